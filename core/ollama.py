"""An Ollama server, through its own client: lists, describes and pulls models, and reports their memory use.

API: https://github.com/ollama/ollama/blob/main/docs/api.md. Chatting and embedding are in `core.chat.ollama` and
`core.embedding.served`, which use the same `OllamaServer`. The package `ollama` is imported by the first request.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.http import Limits, RequestRefused, Service, ServiceUnavailable

if TYPE_CHECKING:
    import ollama

    from core.serving.plan_file import Shape

QUERY = Limits(seconds=10.0, retries=1, most_bytes=8 << 20)
PROBE = Limits(seconds=3.0, retries=0, most_bytes=8 << 20)
PULL = Limits(seconds=600.0, retries=0, most_bytes=64 << 20, json=False, stream=True)
"""A pull reports its progress line by line; it fails after ten minutes without a line."""


@dataclass(frozen=True, slots=True)
class Described:
    """A model as its server describes it. `context_tokens` and `dimensions` are None if its file lacks them."""

    family: str
    context_tokens: int | None
    dimensions: int | None
    capabilities: tuple[str, ...]

    @property
    def embeds(self) -> bool:
        """Whether it is an embedding model. Servers before 0.6.4 do not list capabilities."""
        return "embedding" in self.capabilities or (not self.capabilities and "bert" in self.family)


class OllamaServer:
    """All methods raise `ServiceUnavailable`, also for an answer that is not Ollama's."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def client(self, limits: Limits) -> "ollama.Client":
        """Ollama's client with the service's connections and credentials and these limits. It needs no closing."""
        import ollama

        return ollama.Client(
            self._service.base, transport=self._service.transport(limits), trust_env=False, follow_redirects=False
        )

    def models(self, limits: Limits = QUERY) -> dict[str, str]:
        """The digest of each model on the server, by the model's full name."""
        with self.understood():
            listed = self.client(limits).list().models
        return {one.model: (one.digest or "").removeprefix("sha256:")[:64] for one in listed if one.model}

    def digest(self, model: str) -> str:
        """One model's digest. If the server lacks the model, the error says how to add it."""
        if found := self.models().get(full_name(model)):
            return found
        raise ServiceUnavailable(
            f"the server at {self._service.base} has no model {full_name(model)}: `ollama pull {model}` there, "
            f"or penstock models add ollama/{model}"
        )

    def memory(self, model: str) -> str | None:
        """The memory that a model takes now, as text; None if the server does not report it within 3 s."""
        try:
            with self.understood():
                listed = self.client(PROBE).ps().models
        except ServiceUnavailable:  # an old server, or a proxy that lets only some addresses through
            return None
        for one in listed:
            if (one.model or one.name) == full_name(model):
                graphics = f", {one.size_vram / 1e9:.1f} GB of it on the GPU" if one.size_vram else ""
                return f"{(one.size or 0) / 1e9:.1f} GB{graphics}"
        return "not loaded"

    def loaded(self) -> frozenset[str] | None:
        """The full names of the models in memory; None if the server does not report it within 3 s."""
        try:
            with self.understood():
                listed = self.client(PROBE).ps().models
        except ServiceUnavailable:  # an old server, or a proxy that lets only some addresses through
            return None
        return frozenset(full_name(name) for one in listed if (name := one.model or one.name))

    def version(self) -> str:
        """The server's version; empty if it does not say."""
        try:
            answer = self._service.json("GET", "/api/version", limits=PROBE)
        except ServiceUnavailable:
            return ""
        found = answer.get("version") if isinstance(answer, dict) else None
        return found[:60] if isinstance(found, str) else ""

    def describe(self, model: str) -> Described:
        with self.understood():
            answer = self.client(QUERY).show(model)
        facts = answer.modelinfo or {}
        return Described(
            (answer.details and answer.details.family) or "",
            _fact(facts, ".context_length"),
            _fact(facts, ".embedding_length"),
            tuple(answer.capabilities or ()),
        )

    def shape(self, model: str) -> "Shape":
        """What decides about a model's memory: the size of its files, and of its key-value cache."""
        from core.serving.plan_file import Shape

        with self.understood():
            sizes = {one.model: int(one.size or 0) for one in self.client(QUERY).list().models}
            facts = self.client(QUERY).show(model).modelinfo or {}
            layers, heads = _fact(facts, ".block_count"), _fact(facts, ".attention.head_count")
            width = _fact(facts, ".embedding_length")
            if layers is None or heads is None or width is None:
                raise ValueError("no layers, heads or width")
            return Shape(
                weights=sizes.get(full_name(model), 0),
                layers=layers,
                kv_heads=_fact(facts, ".attention.head_count_kv") or heads,
                head_size=_fact(facts, ".attention.key_length") or max(1, width // heads),
            )

    def pull(self, model: str, on_progress: Callable[[int, int], None]) -> None:
        """Makes the server download a model. `on_progress` receives the downloaded and the total bytes of a file."""
        import ollama

        with self.understood():
            try:
                for progress in self.client(PULL).pull(model, stream=True):
                    on_progress(progress.completed or 0, progress.total or 0)
            except (ollama.ResponseError, RequestRefused) as error:
                reason = " ".join(str(error).split())[:300]
                raise ServiceUnavailable(f"{self._service.base} cannot pull {model}: {reason}") from None

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turns what the client raises for an answer that is not Ollama's into `ServiceUnavailable`."""
        try:
            yield
        except (ValidationError, AttributeError, TypeError, ValueError) as error:
            raise ServiceUnavailable(
                f"{self._service.base} answers, but not like the API of ollama ({type(error).__name__})"
            ) from None


def full_name(model: str) -> str:
    """A model's name with its tag, as servers list it."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _fact(facts: Any, suffix: str) -> int | None:
    """A number from a model's file, whose keys begin with the name of its architecture."""
    found = (value for key, value in facts.items() if key.endswith(suffix) and isinstance(value, int))
    return next(found, None)
