"""Finds a model that has changed under its name: a few fixed texts, whose vectors are kept when it is registered.

Another model, another revision, another pooling or prefix, and an order that is not that of the texts all
move these vectors far; other hardware or another batch moves them by rounding only.
"""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from core.embedding.protocol import Embedder, EmbedderUnavailable, Vectors, WrongAnswer

TEXTS = (
    "parse a date from a string",
    "def connect(host: str, port: int) -> Socket: open a connection, or raise TimeoutError",
    "The index is rebuilt each night.",
    "expected 3 but got None in test_merge_sorted",
    "Größe der Datei in Bytes",
)
"""Never changed: stored answers belong to these."""

LEAST_SIMILARITY = 0.99
"""Cosine. The same weights in half precision, on another processor or in another runtime stay above 0.999; eight-bit
weights computed on another instruction set move by some thousandths; other weights, prefixes or pooling fall below."""


def ask(embedder: Embedder) -> Vectors:
    """The answers to keep, shape (len(TEXTS), dimensions): documents, in one batch. Raises `EmbedderUnavailable`.

    Raises `WrongAnswer` for a model that gives one vector for different texts, or none at all.
    """
    vectors = embedder.embed_documents(TEXTS)
    if vectors.shape != (len(TEXTS), embedder.dimensions) or not np.isfinite(vectors).all():
        raise WrongAnswer(f"{embedder.identity} gave vectors of shape {vectors.shape} that cannot be used")
    alike = vectors @ vectors.T
    if not np.allclose(np.diag(alike), 1, atol=1e-3) or (alike[np.triu_indices(len(TEXTS), 1)] > 0.9999).any():
        raise WrongAnswer(f"{embedder.identity} gives zeros, or one vector for different texts")
    return vectors


def check(embedder: Embedder, stored: Vectors) -> None:
    """Raises `WrongAnswer` when the model no longer answers as it did when `stored` was kept."""
    now = ask(embedder)
    if now.shape != stored.shape:
        raise WrongAnswer(f"{embedder.identity} now has width {now.shape[1]}, not {stored.shape[1]}: another model")
    similarity = np.einsum("ij,ij->i", now, stored)
    if similarity.min() >= LEAST_SIMILARITY:
        return
    crossed = (now @ stored.T).argmax(axis=1)
    if sorted(crossed) == list(range(len(TEXTS))) and not np.array_equal(crossed, np.arange(len(TEXTS))):
        raise WrongAnswer(f"{embedder.identity} answers in another order than that of the texts: the server is broken")
    raise WrongAnswer(
        f"{embedder.identity} answers known texts with other vectors than when it was registered (cosine "
        f"{similarity.min():.3f}, at least {LEAST_SIMILARITY} expected): register it anew under another name"
    )


AGAIN_SECONDS = 600.0
"""So long what a server answered counts: another model may be put under its name while a process runs."""


class Verified:
    """An embedder that is asked for its known answers before its first real answer.

    With `again_after`, for one behind a server: also so many seconds later, and once it answers after a failure.
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
        return self._told(lambda: self.inner.embed_documents(texts))

    def embed_query(self, text: str) -> Vectors:
        # The query first: it has a short time limit, and a dead server is not worth more.
        found = self._told(lambda: self.inner.embed_query(text))
        self._verify()
        return found

    def _told(self, ask: Callable[[], Vectors]) -> Vectors:
        try:
            return ask()
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
