"""A serving model whose queries another one answers while its own server is away.

By an adapter into the old model's space, or by the new model over what it covers so far: whichever did better
on held-back queries, or neither. Every answer says in which space it lies and through what it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.embedding.adapter import LinearMap
from core.embedding.protocol import Embedder, EmbedderUnavailable, Vectors


@dataclass(frozen=True, slots=True)
class Answered:
    """`space` is the identity of the model whose vectors `vector` may be compared with; `through` says what stood in
    for the model that was asked, "" for itself."""

    vector: Vectors
    space: str
    through: str = ""


def ask(embedder: Embedder, text: str) -> Answered:
    """The vector of a query, by the model or what stands in for it. Raises `EmbedderUnavailable`."""
    if isinstance(embedder, StandIn):
        return embedder.ask(text)
    return Answered(embedder.embed_query(text), embedder.identity)


class StandIn:
    """An `Embedder` under the old model's identity.

    `inner` is None for a model that could not be opened, and `problem` then says why. Without `adapter`, queries go
    to `new` in its own space.
    """

    def __init__(
        self,
        identity: str,
        dimensions: int,
        inner: Embedder | None,
        new: Embedder,
        new_name: str,
        adapter: LinearMap | None,
        problem: str = "",
    ) -> None:
        if adapter is not None and adapter.matrix.shape != (new.dimensions, dimensions):
            raise ValueError(f"an adapter of {adapter.matrix.shape} does not lead from {new.identity} to {identity}")
        self.inner = inner
        self._identity = identity
        self._dimensions = dimensions
        self._new = new
        self._new_name = new_name
        self._adapter = adapter
        self._problem = problem

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        return self.inner.max_tokens if self.inner is not None else self._new.max_tokens

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """By the model itself or not at all: what is stored is never translated."""
        if self.inner is None:
            raise EmbedderUnavailable(self._problem)
        return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> Vectors:
        """In the old model's space. Raises `EmbedderUnavailable` where only the new model's own space can answer."""
        answered = self.ask(text)
        if answered.space != self._identity:
            raise EmbedderUnavailable(f"{self._identity} does not answer, and no adapter leads to its vectors")
        return answered.vector

    def ask(self, text: str) -> Answered:
        """By the model itself if it answers. Raises `EmbedderUnavailable` when both do not."""
        if self.inner is not None:
            try:
                return Answered(self.inner.embed_query(text), self._identity)
            except EmbedderUnavailable:
                return self._instead(text)
        return self._instead(text)

    def _instead(self, text: str) -> Answered:
        vector = self._new.embed_query(text)
        if self._adapter is None:
            return Answered(vector, self._new.identity, f"{self._new_name} over what it covers so far")
        return Answered(
            self._adapter.apply(vector), self._identity, f"the adapter from {self._new_name} ({self._adapter.kind})"
        )
