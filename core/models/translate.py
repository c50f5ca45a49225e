"""Requests in Ollama's dialect for servers that only speak OpenAI's, where that is simple and exact.

Translated are texts: embeddings, and chats without tools and images. All else is refused rather than guessed: prompts
of `/api/generate` go through a model's template, which OpenAI's API does not have. The other direction needs no
translation, since Ollama serves OpenAI's paths itself.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.models.config import Backend
from core.models.dialects import Ask, Dialect
from core.models.streams import Used, usage_of

_OPTIONS = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_IGNORED = frozenset({"num_ctx"})
"""Options that only set up a server, which an OpenAI-compatible one decides itself."""
_FINISH = {"length": "length"}


class NotTranslatable(ValueError):
    """The request has something that the other dialect does not; the message names it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is sent to a server. `translated` says that its answer is in the other dialect."""

    path: str
    body: bytes
    marker: str
    hide_usage: bool = False
    translated: bool = False


def needs_translation(ask: Ask, backend: Backend) -> bool:
    return ask.endpoint.dialect is Dialect.OLLAMA and backend.kind == "openai"


def outgoing(ask: Ask, raw: bytes, backend: Backend) -> Outgoing:
    """Raises `NotTranslatable`."""
    if needs_translation(ask, backend):
        return _translated(ask, backend)
    endpoint, hide = ask.endpoint, False
    field = "name" if "model" not in ask.body else "model"
    body = ask.body if ask.body.get(field) == backend.served_as else {**ask.body, field: backend.served_as}
    if ask.stream and endpoint.dialect is Dialect.OPENAI and backend.stream_usage:
        options = ask.body.get("stream_options")
        wanted = isinstance(options, dict) and options.get("include_usage") is True
        if not wanted:
            hide = True
            body = {**body, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}
    return Outgoing(endpoint.path, raw if body is ask.body else _dumped(body), endpoint.marker, hide)


def _translated(ask: Ask, backend: Backend) -> Outgoing:
    if ask.endpoint.path == "/api/embed":
        _require_known(ask.body, {"model", "input", "truncate", "keep_alive", "options"})
        body = {"model": backend.served_as, "input": ask.body.get("input", [])}
        return Outgoing("/v1/embeddings", _dumped(body), "data", translated=True)
    if ask.endpoint.path != "/api/chat":
        use = {"embed": "/v1/embeddings or /api/embed", "show": "/v1/models"}
        raise NotTranslatable(
            f"{ask.endpoint.path} is answered by Ollama servers only, and this model's are OpenAI-compatible: use "
            + use.get(ask.endpoint.operation, "/v1/chat/completions")
        )
    _require_known(ask.body, {"model", "messages", "stream", "options", "format", "keep_alive"})
    body = {"model": backend.served_as, "messages": _messages(ask.body.get("messages")), "stream": ask.stream}
    body |= _options(ask.body.get("options"))
    if (form := ask.body.get("format")) not in (None, ""):
        body["response_format"] = _format(form)
    if ask.stream and backend.stream_usage:
        body["stream_options"] = {"include_usage": True}
    return Outgoing("/v1/chat/completions", _dumped(body), "choices", translated=True)


def _require_known(body: dict[str, Any], known: set[str]) -> None:
    for name, value in body.items():
        if name not in known and value not in (None, False, [], {}):
            raise NotTranslatable(f"{name}: is not translated for OpenAI-compatible servers: use the paths below /v1")


def _messages(raw: Any) -> list[dict[str, str]]:
    if not isinstance(raw, list) or not raw:
        raise NotTranslatable("messages: is missing")
    found = []
    for number, message in enumerate(raw):
        if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
            raise NotTranslatable(f"messages.{number}: only texts of system, user and assistant are translated")
        if extra := [name for name, value in message.items() if name not in ("role", "content") and value]:
            raise NotTranslatable(f"messages.{number}.{extra[0]}: is not translated: use the paths below /v1")
        content = message.get("content")
        if not isinstance(content, str):
            raise NotTranslatable(f"messages.{number}.content: must be a text")
        found.append({"role": message["role"], "content": content})
    return found


def _options(raw: Any) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise NotTranslatable("options: must be an object")
    found = {}
    for name, value in raw.items():
        if name in _OPTIONS and not (name == "num_predict" and value == -1):
            found[_OPTIONS[name]] = value
        elif name not in _IGNORED and name not in _OPTIONS:
            raise NotTranslatable(f"options.{name}: OpenAI-compatible servers have no such option")
    return found


def _format(raw: Any) -> dict[str, Any]:
    if raw == "json":
        return {"type": "json_object"}
    if isinstance(raw, dict):
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": raw}}
    raise NotTranslatable("format: must be json or a JSON schema")


def answer_back(ask: Ask, value: dict[str, Any]) -> dict[str, Any]:
    """A whole answer in Ollama's dialect. Raises `ValueError` if the server's answer lacks what it needs."""
    used = usage_of(value) or Used(0, 0)
    named = str(ask.body.get("model", ask.model))
    try:
        if ask.endpoint.operation == "embed":
            rows = sorted(value["data"], key=lambda one: int(one["index"]))
            vectors = [one["embedding"] for one in rows]
            if [int(one["index"]) for one in rows] != list(range(len(rows))):
                raise ValueError("its embeddings are not numbered from 0")
            return {"model": named, "embeddings": vectors, "prompt_eval_count": used.prompt}
        choice = value["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text = message.get("content") or ""
        if not isinstance(text, str) or message.get("tool_calls"):
            raise ValueError("its answer is not a text")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("its answer lacks a field of OpenAI's API") from None
    return {**_part(named, text), **_end(finish, used)}


class StreamTranslator:
    """Events of an OpenAI stream, whole ones, as lines of Ollama's."""

    def __init__(self, ask: Ask) -> None:
        self._named = str(ask.body.get("model", ask.model))
        self._finish: Any = None
        self._ended = False

    def feed(self, events: bytes, used: Used) -> bytes:
        lines = []
        for event in events.split(b"\n\n"):
            data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
            if data == b"[DONE]" and not self._ended:
                self._ended = True
                lines.append({**_part(self._named, ""), **_end(self._finish, used)})
            elif data[:1] == b"{":
                lines += self._piece(data)
        return b"".join(_dumped(line) + b"\n" for line in lines)

    def _piece(self, data: bytes) -> list[dict[str, Any]]:
        try:
            choices = json.loads(data)["choices"]
            if not choices:
                return []
            self._finish = choices[0].get("finish_reason") or self._finish
            text = choices[0]["delta"].get("content")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return []
        return [_part(self._named, text)] if isinstance(text, str) and text else []


def _part(model: str, text: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": model, "created_at": now, "message": {"role": "assistant", "content": text}, "done": False}


def _end(finish: Any, used: Used) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": _FINISH.get(str(finish), "stop"),
        "prompt_eval_count": used.prompt,
        "eval_count": used.completion,
    }


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
