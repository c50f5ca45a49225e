"""Whether the servers of chat models answer: one free request to each for its list of models, which loads no model.

Not for whether a model is any good: evals measure that.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core.chat.protocol import UnknownChatModel
from core.chat.spec import ChatSpec, described_chat_models, find_chat_spec
from core.http import RequestRefused, Service, ServiceUnavailable
from core.ollama import PROBE, OllamaServer, full_name

AT_ONCE = 8
MOST = 100


@dataclass(frozen=True)
class ChatState:
    """One chat model. `answers` is None if its server was not queried, for example because its description is wrong."""

    name: str
    provider: str
    model: str
    url: str
    default: bool
    answers: bool | None
    detail: str


def chat_states(folder: Path, default: str | None, *, ask: bool = True) -> list[ChatState]:
    """Every described chat model and the default, by name. Up to `AT_ONCE` servers are queried at a time."""
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
    answers, detail = _probe(spec) if ask else (None, "not queried")
    return ChatState(name, spec.provider, spec.model, str(spec.url), default, answers, detail)


def _probe(spec: ChatSpec) -> tuple[bool, str]:
    """Whether the server answers and has the model, and a sentence about it."""
    memory = None
    with closing(spec.service()) as service:
        try:
            if spec.provider == "ollama":
                server = OllamaServer(service)
                known: Sequence[str] | None = list(server.models(PROBE))
                memory = server.memory(spec.model)
            else:
                known = _listed(service)
        except RequestRefused as error:
            if error.status in (404, 405) and spec.provider == "openai":
                return True, "the server answers, but does not list its models"
            return False, str(error)
        except ServiceUnavailable as error:
            return False, str(error)
    if known is None:
        return False, f"{spec.url} answers, but not like the API of {spec.provider}"
    wanted = spec.model if spec.provider == "openai" else full_name(spec.model)
    if wanted in known:
        return True, f"{spec.model} at {spec.url}{f', memory: {memory}' if memory else ''}"
    shown = ", ".join(known[:3]) + (" …" if len(known) > 3 else "")
    return False, f"{spec.url} answers, but has no model {wanted} (it has {shown or 'none'})"


def _listed(service: Service) -> Sequence[str] | None:
    raw = service.json("GET", "/models", limits=PROBE)
    listed = raw.get("data") if isinstance(raw, dict) else None
    if not isinstance(listed, list):
        return None
    return [one["id"] for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)]
