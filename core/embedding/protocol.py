"""The interface of an embedding model: text in, unit vectors out, under one identity.

Vectors of two models are not comparable, even if they have the same width: only vectors of one `identity` are.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class EmbedderUnavailable(RuntimeError):
    """The model cannot be loaded or reached; the message says what to install or start."""


class WrongAnswer(EmbedderUnavailable):
    """The model answered with vectors of another width, order or value, or with none. They must not be used."""


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
        """Shape (len(texts), dimensions), in the order given. Raises `EmbedderUnavailable`."""

    def embed_query(self, text: str) -> Vectors:
        """Shape (dimensions,). Raises `EmbedderUnavailable`."""


def unit_rows(vectors: Vectors) -> Vectors:
    """Scales each row to unit length in place and returns the array. Rows of zeros are left unchanged."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    vectors /= np.where(lengths > 0, lengths, 1.0).astype(np.float32)[:, None]
    return vectors
