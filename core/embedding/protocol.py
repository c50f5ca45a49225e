"""The interface of an embedding model: text in, unit vectors out, under one identity.

Vectors of two models are not comparable, even if they have the same width: only vectors of one `identity` are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


FEW_REFUSED = 16
REFUSED_SHARE = 0.1
"""A model that gives no vector for some texts can be used as long as these are few, or a small part of all."""


class EmbedderUnavailable(RuntimeError):
    """The model cannot be loaded or reached; the message says what to install or start."""


class WrongAnswer(EmbedderUnavailable):
    """The model answered with vectors of another width, order or value, or with none. They must not be used."""


class TextsRefused(WrongAnswer):
    """The model answers, but gives no vector for some of the texts, whatever else is in the batch. `vectors` are those
    of all texts, with zeros for the refused ones; `refused` says why, by the text's place in the batch."""

    def __init__(self, who: str, vectors: Vectors, refused: Mapping[int, str]) -> None:
        place, reason = min(refused.items())
        super().__init__(f"{who} gave no vector for {len(refused)} of {len(vectors)} texts, such as {place}: {reason}")
        self.vectors = vectors
        self.refused = dict(refused)


@dataclass(frozen=True)
class Embedded:
    """Vectors of shape (texts, dimensions). Those of `refused` are zeros: why, by the text's place."""

    vectors: Vectors
    refused: Mapping[int, str] = field(default_factory=dict)


class Embedder(Protocol):
    """Deterministic: the same text gives the same vector, whatever else is in the batch.

    Vectors have unit length; the vector of a text without known tokens is all zeros. Text beyond `max_tokens` is
    ignored.
    """

    @property
    def identity(self) -> str:
        """Name, width and digest of the weights: `name-256@sha256:0123456789abcdef`."""

    @property
    def dimensions(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), in the order given. Raises `EmbedderUnavailable`; `TextsRefused` for a model
        on a server that takes the others of these texts."""

    def embed_query(self, text: str) -> Vectors:
        """Shape (dimensions,). Raises `EmbedderUnavailable`."""


def embed_most(embedder: Embedder, texts: Sequence[str]) -> Embedded:
    """The vectors of what the model takes of the texts. Raises `EmbedderUnavailable`, also if it refuses too many."""
    try:
        return Embedded(embedder.embed_documents(texts))
    except TextsRefused as some:
        if refuses_too_many(len(some.refused), len(texts)):
            raise
        return Embedded(some.vectors, some.refused)


def refuses_too_many(refused: int, texts: int) -> bool:
    """Whether a model that refuses so many of so many texts is broken, rather than some of the texts."""
    return refused > max(FEW_REFUSED, int(REFUSED_SHARE * texts))


def unit_rows(vectors: Vectors) -> Vectors:
    """Scales each row to unit length in place and returns the array. Rows of zeros are left unchanged."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    vectors /= np.where(lengths > 0, lengths, 1.0).astype(np.float32)[:, None]
    return vectors
