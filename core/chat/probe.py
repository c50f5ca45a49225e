"""Whether chat models answer: one cheap question to each server, which costs nothing and wakes no model.

Ollama is asked for its models, an OpenAI-compatible server for its list of them. That a model is worth
anything is for evals to say.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.chat.protocol import UnknownChatModel
from core.chat.spec import ChatSpec, described_chat_models, find_chat_spec
from core.embedding.calls import Calls, RequestRefused
from core.embedding.protocol import EmbedderUnavailable

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
    calls = Calls(str(spec.url), key_variable=spec.key_variable)
    path = "/api/tags" if spec.provider == "ollama" else "/models"
    try:
        raw = calls.send("GET", path, timeout=seconds, retries=0, most_bytes=MOST_BYTES)
    except RequestRefused as error:
        if error.status in (404, 405) and spec.provider == "openai":
            return True, "the server answers; it lists no models"
        return False, _without_key(str(error), spec)
    except EmbedderUnavailable as error:
        return False, _without_key(str(error), spec)
    finally:
        calls.close()
    known = _names(raw, spec.provider)
    if known is None:
        return False, f"{spec.url} answers, and not as an API of kind {spec.provider} does"
    wanted = spec.model if spec.provider == "openai" or ":" in spec.model else f"{spec.model}:latest"
    if wanted in known:
        return True, f"{spec.model} at {spec.url}"
    shown = ", ".join(known[:3]) + (" …" if len(known) > 3 else "")
    return False, f"{spec.url} answers, and has no model {wanted} (it has {shown or 'none'})"


def _names(raw: Any, provider: str) -> Sequence[str] | None:
    field, key = ("models", "name") if provider == "ollama" else ("data", "id")
    listed = raw.get(field) if isinstance(raw, dict) else None
    if not isinstance(listed, list):
        return None
    return [one[key] for one in listed if isinstance(one, dict) and isinstance(one.get(key), str)]


def _without_key(text: str, spec: ChatSpec) -> str:
    key = os.environ.get(spec.key_variable or "")
    return text.replace(key, "***") if key else text
