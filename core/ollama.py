"""An Ollama server, through its own client: which models it has, describes, holds in memory and pulls.

API: https://github.com/ollama/ollama/blob/main/docs/api.md. Chatting and embedding are in `core.chat.ollama` and
`core.embedding.served`, which use the same `OllamaServer`. The package `ollama` is imported by the first request.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.http import Limits, RequestRefused, Service, ServiceUnavailable

if TYPE_CHECKING:
    import ollama

ASK = Limits(seconds=10.0, retries=1, most_bytes=8 << 20)
GLANCE = Limits(seconds=3.0, retries=0, most_bytes=8 << 20)
PULL = Limits(seconds=600.0, retries=0, most_bytes=64 << 20, json=False, stream=True)
"""A pull tells its progress line by line; ten minutes without a line end it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory: bytes in all and on the graphics card, and until when it stays if nobody asks it."""

    model: str
    digest: str
    memory_bytes: int
    graphics_bytes: int
    context_tokens: int | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Described:
    """What a server tells of a model; `context_tokens` and `dimensions` where its file names them."""

    family: str
    parameters: str
    quantisation: str
    context_tokens: int | None
    dimensions: int | None
    capabilities: tuple[str, ...]

    @property
    def embeds(self) -> bool:
        """Servers before 0.6.4 tell no capabilities."""
        return "embedding" in self.capabilities or (not self.capabilities and "bert" in self.family)


class OllamaServer:
    """Raises `ServiceUnavailable` throughout, also for an answer that is not Ollama's."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def client(self, limits: Limits) -> "ollama.Client":
        """Ollama's client with the service's connections, credentials and these limits; it need not be closed."""
        import ollama

        return ollama.Client(
            self._service.base, transport=self._service.transport(limits), trust_env=False, follow_redirects=False
        )

    def models(self, limits: Limits = ASK) -> dict[str, str]:
        """The digest of each model that the server has, by its full name."""
        with self.understood():
            listed = self.client(limits).list().models
        return {one.model: (one.digest or "").removeprefix("sha256:")[:64] for one in listed if one.model}

    def digest(self, model: str) -> str:
        """Of one model. Says how to get it when the server has none of this name."""
        if found := self.models().get(full_name(model)):
            return found
        raise ServiceUnavailable(
            f"the server at {self._service.base} has no model {full_name(model)}: `ollama pull {model}` there, "
            f"or penstock models add ollama/{model}"
        )

    def loaded(self, limits: Limits = ASK) -> list[Loaded]:
        """The models in memory."""
        with self.understood():
            listed = self.client(limits).ps().models
        return [
            Loaded(
                one.model or one.name or "",
                (one.digest or "").removeprefix("sha256:")[:64],
                int(one.size or 0),
                int(one.size_vram or 0),
                one.context_length,
                one.expires_at,
            )
            for one in listed
        ]

    def memory(self, model: str, limits: Limits = ASK) -> str:
        """What a model takes of it now, for people."""
        for one in self.loaded(limits):
            if one.model == full_name(model):
                graphics = f", {one.graphics_bytes / 1e9:.1f} GB of it on the GPU" if one.graphics_bytes else ""
                return f"{one.memory_bytes / 1e9:.1f} GB{graphics}"
        return "not loaded"

    def describe(self, model: str) -> Described:
        with self.understood():
            told = self.client(ASK).show(model)
        details, facts = told.details, told.modelinfo or {}
        return Described(
            (details and details.family) or "",
            (details and details.parameter_size) or "",
            (details and details.quantization_level) or "",
            _fact(facts, ".context_length"),
            _fact(facts, ".embedding_length"),
            tuple(told.capabilities or ()),
        )

    def pull(self, model: str, told: Callable[[str, int, int], None] = lambda status, done, total: None) -> None:
        """Lets the server download a model; `told` gets its status and how many bytes of how many are there."""
        with self.understood():
            try:
                for progress in self.client(PULL).pull(model, stream=True):
                    told(progress.status or "", progress.completed or 0, progress.total or 0)
            except _response_error() as error:
                raise ServiceUnavailable(
                    f"{self._service.base} cannot pull {model}: {' '.join(str(error).split())[:300]}"
                ) from None
            except RequestRefused as error:
                raise ServiceUnavailable(f"{self._service.base} cannot pull {model}: {error}") from None

    @contextmanager
    def understood(self) -> Iterator[None]:
        """What the client makes of an answer that is not Ollama's is `ServiceUnavailable`."""
        try:
            yield
        except (ValidationError, AttributeError, TypeError, ValueError) as error:
            raise ServiceUnavailable(
                f"{self._service.base} answers, and not as an API of kind ollama does ({type(error).__name__})"
            ) from None


def full_name(model: str) -> str:
    """A model's name with its tag, as servers list it."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _response_error() -> type[Exception]:
    import ollama

    return ollama.ResponseError


def _fact(facts: Any, suffix: str) -> int | None:
    """A number of a model's file, whose keys begin with the name of its architecture."""
    found = (value for key, value in facts.items() if key.endswith(suffix) and isinstance(value, int))
    return next(found, None)
