"""What an embedding model is to the rest of the platform: text in, unit vectors out, under one identity.

Two models of the same width are different spaces: vectors are only ever compared under the same
`identity`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class EmbedderUnavailable(RuntimeError):
    """The model cannot be loaded or reached; the message says what to install or start."""


class WrongAnswer(EmbedderUnavailable):
    """The model answered, but not as itself: another width, order, vector, or none. Its vectors must not be used."""


class Embedder(Protocol):
    """Deterministic: the same text gives the same vector, whatever else is in the batch.

    Vectors have unit length, except that of a text without any known token, which is all zeros. Text
    beyond `max_tokens` is ignored.
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
    """Each row scaled to unit length in place; rows of zeros stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    vectors /= np.where(lengths > 0, lengths, 1.0).astype(np.float32)[:, None]
    return vectors
