"""What every chat model behind a server shares: bounds, repeats, the account, and whom a failure is blamed on.

An adapter says only how a request is written and an answer read (`Wire`). Not for tools in words, which
`worded` puts around any adapter.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from core.chat.protocol import (
    MAX_TOOL_CALLS,
    ChatUnavailable,
    Completion,
    FinishReason,
    MalformedAnswer,
    Message,
    Refused,
    Tool,
    ToolCall,
    Usage,
    json_schema,
)
from core.chat.spec import ChatSpec
from core.embedding.calls import Breaker, Calls, RequestRefused
from core.embedding.protocol import EmbedderUnavailable

_LENGTHS = ("minLength", "maxLength", "pattern")
MAX_ANSWER_BYTES = 8 << 20
CHARACTERS_PER_TOKEN = 3
"""Of code and English, on the low side; for servers that count no tokens, and for sizing prompts."""
_ABOUT_THE_REQUEST = frozenset({400, 413, 422})
"""Client errors that speak of what was sent; the others speak of keys, addresses and permissions."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """An answer as read off the wire; token counts are None where the server tells none."""

    text: str
    calls: tuple[ToolCall, ...]
    finish: FinishReason
    prompt_tokens: int | None
    completion_tokens: int | None


class NotAnAnswer(ValueError):
    """What the server sent does not follow its published format."""


class Wire(Protocol):
    """One API's way to write requests and read answers."""

    path: str

    def body(
        self,
        spec: ChatSpec,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        schema: dict[str, Any] | None,
        most: int,
    ) -> dict[str, Any]: ...

    def read(self, raw: Any) -> WireAnswer:
        """Raises `NotAnAnswer`."""

    def revision(self, spec: ChatSpec, calls: Calls) -> str:
        """The digest of the model as its server tells it; "" where servers of this kind tell none."""


class ServedChatModel:
    """`core.chat.protocol.ChatModel` over HTTP. Connects at first use."""

    def __init__(self, spec: ChatSpec, wire: Wire, *, breaker: Breaker | None = None) -> None:
        self._spec = spec
        self._wire = wire
        self._calls = Calls(str(spec.url), key_variable=spec.key_variable, breaker=breaker)
        self._used = Usage()
        self._lock = threading.Lock()
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """The digest covers the model, its revision and how it is asked; not the server's address, nor prices."""
        if self._identity is None:
            spec = self._spec
            revision = spec.revision if spec.revision is not None else self._revision()
            use = (spec.provider, spec.model, revision, spec.context_tokens, spec.answer_tokens, spec.temperature,
                   spec.seed, spec.native_tools)  # fmt: skip
            digest = hashlib.sha256(json.dumps(use).encode()).hexdigest()[:16]
            self._identity = f"{spec.name}@sha256:{digest}"
        return self._identity

    def _revision(self) -> str:
        try:
            return self._wire.revision(self._spec, self._calls)
        except EmbedderUnavailable as error:
            raise ChatUnavailable(self._without_key(str(error))) from None

    @property
    def context_tokens(self) -> int:
        return self._spec.context_tokens

    @property
    def used(self) -> Usage:
        return self._used

    def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: type[BaseModel] | None = None,
        *,
        seconds: float | None = None,
        tokens: int | None = None,
    ) -> Completion:
        spec = self._spec
        most = max(1, min(spec.answer_tokens, tokens or spec.answer_tokens))
        body = _encodable(self._wire.body(spec, messages, tools, _shape(json_schema(schema)) if schema else None, most))
        began = time.monotonic()
        raw = self._asked(body, seconds)
        try:
            answer = self._wire.read(raw)
        except NotAnAnswer as error:
            raise ChatUnavailable(
                f"{self._calls.base}{self._wire.path}: {error}: is this a {spec.provider} API?"
            ) from None
        usage = self._priced(answer, body, time.monotonic() - began)
        self._add(usage)
        return Completion(
            answer.text, answer.calls[:MAX_TOOL_CALLS], answer.finish, usage, _validated(answer, schema, usage)
        )

    def _asked(self, body: dict[str, Any], seconds: float | None) -> Any:
        spec, calls = self._spec, self._calls
        until = None if seconds is None else time.monotonic() + max(0.1, seconds)

        def failed(took: float, again: bool) -> None:
            self._add(Usage(retries=int(again), seconds=took))

        try:
            return calls.send("POST", self._wire.path, body, timeout=spec.timeout, retries=spec.retries,
                              most_bytes=MAX_ANSWER_BYTES, on_failure=failed, until=until)  # fmt: skip
        except RequestRefused as error:
            message = self._without_key(str(error))
            if error.status in _ABOUT_THE_REQUEST:
                raise Refused(message, Usage(requests=1)) from None
            raise ChatUnavailable(message) from None
        except EmbedderUnavailable as error:
            raise ChatUnavailable(self._without_key(str(error))) from None

    def _without_key(self, text: str) -> str:
        """Servers like to repeat a key that they do not know."""
        key = os.environ.get(self._spec.key_variable or "")
        return text.replace(key, "***") if key else text

    def _priced(self, answer: WireAnswer, body: dict[str, Any], seconds: float) -> Usage:
        read, written = answer.prompt_tokens, answer.completion_tokens
        estimated = read is None or written is None
        if read is None:
            read = len(json.dumps(body, ensure_ascii=False)) // CHARACTERS_PER_TOKEN
        if written is None:
            said = len(answer.text) + sum(len(json.dumps(dict(c.arguments))) + len(c.name) for c in answer.calls)
            written = said // CHARACTERS_PER_TOKEN + 1
        money = (read * self._spec.prompt_price + written * self._spec.completion_price) / 1e6
        return Usage(1, 0, read, written, money, seconds, estimated)

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self._used = self._used + usage


def _shape(node: Any) -> Any:
    """A schema without bounds of lengths, which are checked when the answer is there: servers that make a grammar of it
    spell each of them out, a thousand characters as a thousand rules, and others refuse them."""
    if isinstance(node, dict):
        # A property may have such a name too; then it stands for a schema.
        return {k: _shape(v) for k, v in node.items() if k not in _LENGTHS or isinstance(v, dict)}
    return [_shape(item) for item in node] if isinstance(node, list) else node


def _encodable(node: Any) -> Any:
    """The same with a replacement character for what UTF-8 cannot write: half a surrogate pair, out of a tool's
    output or an earlier answer."""
    if isinstance(node, str):
        return node if node.isascii() else node.encode("utf-8", "replace").decode()
    if isinstance(node, dict):
        return {_encodable(key): _encodable(value) for key, value in node.items()}
    return [_encodable(item) for item in node] if isinstance(node, list) else node


def _validated(answer: WireAnswer, schema: type[BaseModel] | None, usage: Usage) -> BaseModel | None:
    if schema is None or answer.calls or answer.finish is FinishReason.FILTERED:
        return None
    try:
        return schema.model_validate_json(answer.text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = "was cut off at its bound of tokens" if answer.finish is FinishReason.LENGTH else first["msg"]
        raise MalformedAnswer(
            f"the answer is not the {schema.__name__} asked for: {where or 'it'}: {why}", usage
        ) from None


def arguments_of(raw: Any) -> tuple[dict[str, Any], str]:
    """A call's arguments, given as an object or as JSON text, and what is wrong with them."""
    if isinstance(raw, str):
        try:
            raw = json.loads(raw or "{}")
        except ValueError as error:
            return {}, f"the arguments are not JSON: {error}"
    if not isinstance(raw, dict):
        return {}, "the arguments are not a JSON object"
    return raw, ""


def count(raw: Any) -> int | None:
    """A token count, or None for what is none."""
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0 else None
