"""Whether chat models answer: one cheap question to each server, which costs nothing and wakes no model.

Ollama is asked for its models, an OpenAI-compatible server for its list of them. That a model is worth
anything is for evals to say.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.chat.protocol import UnknownChatModel
from core.chat.served import open_service
from core.chat.spec import ChatSpec, described_chat_models, find_chat_spec
from core.http import Limits, RequestRefused, Service, ServiceUnavailable
from core.ollama import OllamaServer, full_name

SECONDS = 3.0
AT_ONCE = 8
MOST = 100
MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class ChatState:
    """One chat model. `answers` is None when it was not asked, as one whose description is wrong."""

    name: str
    provider: str
    model: str
    url: str
    default: bool
    answers: bool | None
    detail: str


def chat_states(folder: Path, default: str | None, *, ask: bool = True) -> list[ChatState]:
    """Every described chat model and the default, by name; all servers are asked at the same time."""
    names = sorted({*described_chat_models(folder)[:MOST], *([default] if default else [])})
    if not names:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(names))) as pool:
        return list(pool.map(lambda name: _state(name, folder, name == default, ask), names))


def _state(name: str, folder: Path, default: bool, ask: bool) -> ChatState:
    try:
        spec = find_chat_spec(name, folder)
    except UnknownChatModel as error:
        return ChatState(name, "", "", "", default, None, str(error))
    answers, detail = probe(spec) if ask else (None, "not asked")
    return ChatState(name, spec.provider, spec.model, str(spec.url), default, answers, detail)


def probe(spec: ChatSpec, seconds: float = SECONDS) -> tuple[bool, str]:
    """Whether the server answers and has the model, and what it said."""
    service = open_service(spec)
    limits = Limits(seconds=seconds, retries=0, most_bytes=MOST_BYTES)
    memory = ""
    try:
        if spec.provider == "ollama":
            server = OllamaServer(service)
            known: Sequence[str] | None = list(server.models(limits))
            memory = _memory(server, spec.model, limits)
        else:
            known = _listed(service, limits)
    except RequestRefused as error:
        if error.status in (404, 405) and spec.provider == "openai":
            return True, "the server answers; it lists no models"
        return False, str(error)
    except ServiceUnavailable as error:
        return False, str(error)
    finally:
        service.close()
    if known is None:
        return False, f"{spec.url} answers, and not as an API of kind {spec.provider} does"
    wanted = spec.model if spec.provider == "openai" else full_name(spec.model)
    if wanted in known:
        return True, f"{spec.model} at {spec.url}{memory}"
    shown = ", ".join(known[:3]) + (" …" if len(known) > 3 else "")
    return False, f"{spec.url} answers, and has no model {wanted} (it has {shown or 'none'})"


def _memory(server: OllamaServer, model: str, limits: Limits) -> str:
    try:
        return f", memory: {server.memory(model, limits)}"
    except ServiceUnavailable:  # an old server, or a proxy that lets only some addresses through
        return ""


def _listed(service: Service, limits: Limits) -> Sequence[str] | None:
    raw = service.json("GET", "/models", limits=limits)
    listed = raw.get("data") if isinstance(raw, dict) else None
    if not isinstance(listed, list):
        return None
    return [one["id"] for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)]
