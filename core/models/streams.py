"""Streams of answers, cut into whole events: what may be passed on, how many tokens it holds, and whether it ended.

OpenAI's are server-sent events that end with `data: [DONE]`; Ollama's are lines of JSON whose last has `"done": true`.
"""

import json
from dataclasses import dataclass
from typing import Any

from core.model_server import token_count
from core.models.dialects import Dialect

MOST_EVENT = 4 << 20
"""Bytes of one event."""


class NotAStream(ValueError):
    """The server sends something else than a stream of this dialect."""


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens that a request took; `estimated` if its server did not count them."""

    prompt: int
    completion: int
    estimated: bool = False


class StreamReader:
    """Takes bytes as they arrive, and returns the whole events among them.

    `begun` becomes true with the first event that carries an answer, `ended` with the one that says that it is the
    last. With `hide_usage`, the event that only counts tokens is left out, since the caller did not ask for it.
    """

    def __init__(self, dialect: Dialect, *, hide_usage: bool = False) -> None:
        self._openai = dialect is Dialect.OPENAI
        self._hide = hide_usage
        self._rest = b""
        self.begun = False
        self.ended = False
        self.pieces = 0
        self.counted: Used | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Raises `NotAStream`, also for an error that the server sends as an event."""
        self._rest += chunk
        if len(self._rest) > MOST_EVENT:
            raise NotAStream(f"an event of its stream is longer than {MOST_EVENT} bytes")
        if self._openai:
            return self._events()
        *lines, self._rest = self._rest.split(b"\n")
        return b"".join(line + b"\n" for line in lines if self._line(line.strip()))

    @property
    def cut(self) -> bool:
        """Whether the stream stops within an event."""
        return bool(self._rest.strip())

    def used(self, prompt_estimate: int) -> Used:
        return self.counted or Used(prompt_estimate, self.pieces, True)

    def _events(self) -> bytes:
        text = self._rest.replace(b"\r\n", b"\n") if b"\r\n" in self._rest else self._rest
        whole, found, self._rest = text.rpartition(b"\n\n")
        if not found:
            return b""
        return b"".join(event + b"\n\n" for event in whole.split(b"\n\n") if self._event(event))

    def _event(self, event: bytes) -> bool:
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        if not data:
            if event.strip() and not event.lstrip().startswith((b":", b"event:", b"id:", b"retry:")):
                raise NotAStream("it does not send server-sent events")
            return self.begun  # comments that only keep a connection open
        if data == b"[DONE]":
            self.ended = True
            return True
        if data[:1] != b"{":
            raise NotAStream("an event of its stream is not a JSON object")
        if not self.begun or b'"usage"' in data or b'"error"' in data:
            value = _object(data)
            if "error" in value and "choices" not in value:
                raise NotAStream(_said(value))
            if not isinstance(value.get("choices"), list):
                raise NotAStream("an event of its stream has no choices")
            if counted := usage_of(value):
                self.counted = counted
                if self._hide and not value["choices"]:
                    return False
        self.begun = True
        self.pieces += 1
        return True

    def _line(self, line: bytes) -> bool:
        if not line:
            return False
        if line[:1] != b"{":
            raise NotAStream("it does not send lines of JSON")
        if not self.begun or b'"done":true' in line or b'"done": true' in line or b'"error"' in line[:40]:
            value = _object(line)
            if "error" in value and "done" not in value:
                raise NotAStream(_said(value))
            if "done" not in value:
                raise NotAStream("a line of its stream lacks the field done")
            if value["done"] is True:
                self.ended = True
                self.counted = usage_of(value) or self.counted
        self.begun = True
        self.pieces += 1
        return True


def usage_of(value: dict[str, Any]) -> Used | None:
    """The tokens that an answer of either dialect counts."""
    usage = value.get("usage")
    if isinstance(usage, dict):
        prompt = token_count(usage.get("prompt_tokens"))
        if prompt is not None:
            return Used(prompt, token_count(usage.get("completion_tokens")) or 0)
    prompt, completion = token_count(value.get("prompt_eval_count")), token_count(value.get("eval_count"))
    if prompt is None and completion is None:
        return None
    return Used(prompt or 0, completion or 0)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise NotAStream("an event of its stream is not JSON") from None
    if not isinstance(value, dict):
        raise NotAStream("an event of its stream is not a JSON object")
    return value


def _said(value: dict[str, Any]) -> str:
    error = value["error"]
    text = error.get("message") if isinstance(error, dict) else error
    return f"it says: {' '.join(str(text).split())[:300]}"
