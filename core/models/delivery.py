"""Passing a server's answer on to the caller: whole, or piece by piece as fast as the caller takes it.

Until the first token nothing is sent, so that another server can still answer. After it there is no replay: a stream
that breaks off ends with an error in its dialect, and the connection is closed without a proper end.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from core.models.config import Times
from core.models.dialects import Ask, Dialect, error_event
from core.models.streams import NotAStream, StreamReader, Used, usage_of
from core.models.translate import Outgoing, StreamTranslator, answer_back
from core.models.upstream import MOST_ERROR, Answer, Failed, pieces, whole

Send = Callable[[dict[str, Any]], Awaitable[None]]
LARGE = 256 << 10
"""Answers above this many bytes are not parsed, since that would delay everybody else's."""
_COUNTS = {
    name: re.compile(rb'"%b"\s*:\s*(\d{1,12})' % name.encode())
    for name in ("prompt_tokens", "completion_tokens", "prompt_eval_count", "eval_count")
}
_EVENT_STREAM = b"text/event-stream; charset=utf-8"
_LINES = b"application/x-ndjson"
_JSON = b"application/json"


class BrokenOff(Exception):
    """The stream ended early, after something of it was sent. `used` is what it held until then."""

    def __init__(self, failure: Failed, used: Used, *, by_caller: bool = False) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.used = used
        self.by_caller = by_caller


class Delivery:
    """One request's answer. `headers` are added to it."""

    def __init__(self, ask: Ask, send: Send, headers: list[tuple[bytes, bytes]], deadline: float) -> None:
        self.ask = ask
        self.headers = headers
        self.first_byte: float | None = None
        """When the first token came, on the monotonic clock."""
        self.used = Used(0, 0)
        """What was passed on so far."""
        self._send = send
        self._deadline = deadline

    @property
    def begun(self) -> bool:
        return self.first_byte is not None

    async def refuse(self, answer: Answer) -> int:
        """Passes on what a server says about a wrong request. Returns the status."""
        raw = await whole(answer, self._left(10.0), MOST_ERROR)
        if not _object(raw):
            raise Failed("garbage", f"answers {answer.status} without JSON")
        await self._whole(answer.status, raw)
        return answer.status

    async def whole(self, answer: Answer, out: Outgoing, most: int) -> Used:
        """Passes on an answer in one piece, once it is complete and of its dialect. Raises `Failed`."""
        raw = await whole(answer, self._left(), most)
        value = _object(raw)
        if value is None or out.marker not in value:
            raise Failed("garbage", f"its answer is not of this API: it lacks {out.marker!r}")
        used = usage_of(value) or Used(self.ask.prompt_tokens, _guess(raw, self.ask), True)
        if out.translated:
            try:
                raw = json.dumps(answer_back(self.ask, value), separators=(",", ":")).encode()
            except ValueError as error:
                raise Failed("garbage", str(error)) from None
        self.first_byte = time.monotonic()
        await self._whole(200, raw)
        return used

    async def stream(self, answer: Answer, out: Outgoing, times: Times, on_first: Callable[[], None]) -> Used:
        """Passes on a stream. Raises `Failed` before the first token, `BrokenOff` after it."""
        dialect = Dialect.OPENAI if out.translated else self.ask.endpoint.dialect
        reader = StreamReader(dialect, hide_usage=out.hide_usage)
        translator = StreamTranslator(self.ask) if out.translated else None
        arriving = pieces(answer, self._left(times.first_byte), times.between)
        try:
            async for piece in arriving:
                events = reader.feed(piece)
                self._left()
                if not reader.begun:
                    continue
                self.used = reader.used(self.ask.prompt_tokens)
                if not self.begun:
                    self.first_byte = time.monotonic()
                    await self._start()
                    on_first()
                if translator is not None:
                    events = translator.feed(events, self.used)
                if events:
                    await self._piece(events, times.between)
                if reader.ended:
                    break
            if not reader.ended:
                raise Failed("broken", "ended its stream without its last event")
        except NotAStream as error:
            failure = Failed("garbage", str(error))
            raise await self._broken(failure) from None
        except Failed as failure:
            raise await self._broken(failure) from None
        await self._piece(b"", times.between, more=False)
        with suppress(Failed):  # reads the end of a kept connection, so that it can be used again
            async with asyncio.timeout(0.2):
                async for _ in arriving:
                    pass
        return self.used

    async def _broken(self, failure: Failed) -> Exception:
        if not self.begun:
            return failure
        message = f"the model server {failure}; what came before is not complete"
        with suppress(BrokenOff):
            await self._piece(error_event(self.ask.endpoint.dialect, "broken_off", message), 5.0)
        return BrokenOff(failure, self.used)

    def _left(self, most: float = float("inf")) -> float:
        """Seconds until the deadline, at most `most`. Raises `Failed` if none are left."""
        left = min(most, self._deadline - time.monotonic())
        if left <= 0:
            raise Failed("timeout", "does not answer within the time limit")
        return left

    async def _start(self) -> None:
        kind = _EVENT_STREAM if self.ask.endpoint.dialect is Dialect.OPENAI else _LINES
        headers = [(b"content-type", kind), (b"cache-control", b"no-cache"), *self.headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _piece(self, content: bytes, seconds: float, *, more: bool = True) -> None:
        """Waits for the caller to take it. Raises `BrokenOff` for one who takes nothing for so long."""
        try:
            async with asyncio.timeout(min(seconds, max(0.1, self._deadline - time.monotonic()))):
                await self._send({"type": "http.response.body", "body": content, "more_body": more})
        except TimeoutError:
            failure = Failed("timeout", "is waiting for the caller, who takes nothing")
            raise BrokenOff(failure, self.used, by_caller=True) from None

    async def _whole(self, status: int, raw: bytes) -> None:
        headers = [(b"content-type", _JSON), (b"content-length", str(len(raw)).encode()), *self.headers]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": raw, "more_body": False})


def _object(raw: bytes) -> dict[str, Any] | None:
    """An answer's JSON object; of a large one only the counts of tokens and the names that it seems to have."""
    if len(raw) > LARGE:
        return _looked_at(raw)
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _looked_at(raw: bytes) -> dict[str, Any] | None:
    ends = raw[:4096] + raw[-4096:]
    if not (raw[:1] == b"{" and raw.rstrip()[-1:] == b"}"):
        return None
    counts = {name: int(found[1]) for name, pattern in _COUNTS.items() if (found := pattern.search(ends))}
    named = dict.fromkeys(re.findall(rb'"([a-z_]{1,20})"\s*:', ends), True)
    return {"usage": counts, **counts, **{name.decode(): True for name in named if name.decode() not in counts}}


def _guess(raw: bytes, ask: Ask) -> int:
    return 0 if ask.endpoint.operation == "embed" else min(ask.answer_tokens, len(raw) // 4)
