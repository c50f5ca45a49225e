"""Detects a model that has changed under its name, by the vectors of a few fixed texts stored when it was registered.

Another model, revision, pooling or prefix, or vectors in the wrong order, change these vectors a lot. Other hardware
or another batch changes them only by rounding.
"""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from core.embedding.protocol import Embedder, EmbedderUnavailable, TextsRefused, Vectors, WrongAnswer

TEXTS = (
    "parse a date from a string",
    "def connect(host: str, port: int) -> Socket: open a connection, or raise TimeoutError",
    "The index is rebuilt each night.",
    "expected 3 but got None in test_merge_sorted",
    "Größe der Datei in Bytes",
)
"""Must never change: stored answers belong to these texts."""

LEAST_SIMILARITY = 0.99
"""Cosine. The same weights in half precision, on another processor or in another runtime stay above 0.999; eight-bit
weights computed on another instruction set move by some thousandths; other weights, prefixes or pooling fall below."""


def ask(embedder: Embedder) -> Vectors:
    """The answers to store, shape (len(TEXTS), dimensions): document vectors, in one batch.

    Raises `EmbedderUnavailable`, and `WrongAnswer` for a model that gives unusable vectors, or one vector for different
    texts.
    """
    vectors = embedder.embed_documents(TEXTS)
    if vectors.shape != (len(TEXTS), embedder.dimensions) or not np.isfinite(vectors).all():
        raise WrongAnswer(f"{embedder.identity} gave vectors of shape {vectors.shape} that cannot be used")
    alike = vectors @ vectors.T
    if not np.allclose(np.diag(alike), 1, atol=1e-3) or (alike[np.triu_indices(len(TEXTS), 1)] > 0.9999).any():
        raise WrongAnswer(f"{embedder.identity} gives zeros, or one vector for different texts")
    return vectors


def check(embedder: Embedder, stored: Vectors) -> None:
    """Raises `WrongAnswer` if the model's answers no longer match `stored`."""
    now = ask(embedder)
    if now.shape != stored.shape:
        raise WrongAnswer(f"{embedder.identity} now has width {now.shape[1]}, not {stored.shape[1]}: another model")
    similarity = np.einsum("ij,ij->i", now, stored)
    if similarity.min() >= LEAST_SIMILARITY:
        return
    crossed = (now @ stored.T).argmax(axis=1)
    if sorted(crossed) == list(range(len(TEXTS))) and not np.array_equal(crossed, np.arange(len(TEXTS))):
        raise WrongAnswer(f"{embedder.identity} returns vectors in another order than the texts: the server is broken")
    raise WrongAnswer(
        f"{embedder.identity} gives known texts other vectors than when it was registered (cosine "
        f"{similarity.min():.3f}, at least {LEAST_SIMILARITY} expected): register it under another name"
    )


AGAIN_SECONDS = 600.0
"""How long a verification of a server's model is valid: the model under a name may be replaced at any time."""


class Verified:
    """An embedder whose known answers are verified before its first use.

    With `again_after`, for a model on a server, they are verified again after that many seconds and after a failure.
    """

    def __init__(
        self,
        embedder: Embedder,
        stored: Vectors,
        again_after: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inner = embedder
        self._stored = stored
        self._again_after = again_after
        self._clock = clock
        self._checked: float | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        return self.inner.identity

    @property
    def dimensions(self) -> int:
        return self.inner.dimensions

    @property
    def max_tokens(self) -> int:
        return self.inner.max_tokens

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self._verify()
        return self._embedded(lambda: self.inner.embed_documents(texts))

    def embed_query(self, text: str) -> Vectors:
        # The query first: its timeout is short, so a dead server is detected sooner.
        found = self._embedded(lambda: self.inner.embed_query(text))
        self._verify()
        return found

    def _embedded(self, ask: Callable[[], Vectors]) -> Vectors:
        try:
            return ask()
        except TextsRefused:  # it has answered
            raise
        except EmbedderUnavailable:
            if self._again_after is not None:
                self._checked = None
            raise

    def _due(self) -> bool:
        if self._checked is None:
            return True
        return self._again_after is not None and self._clock() - self._checked >= self._again_after

    def _verify(self) -> None:
        if not self._due():
            return
        with self._lock:
            if self._due():
                self._checked = None
                if (check_revision := getattr(self.inner, "check_revision", None)) is not None:
                    check_revision()
                check(self.inner, self._stored)
                self._checked = self._clock()
