"""What every chat model behind a server shares: bounds, repeats, the account, and whom a failure is blamed on.

An adapter says only how a request is written and an answer read (`Wire`). Not for tools in words, which
`worded` puts around any adapter.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from core.http import Breaker, Limits, RequestRefused, Service, ServiceUnavailable, bearer

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


@dataclass(frozen=True, slots=True)
class Request:
    """One completion that is asked for; `most` bounds the tokens of the answer."""

    messages: Sequence[Message]
    tools: Sequence[Tool]
    schema: dict[str, Any] | None
    most: int

    @property
    def characters(self) -> int:
        """About how many are sent."""
        told = sum(len(m.text) + sum(len(str(c.arguments)) for c in m.calls) + 20 for m in self.messages)
        offered = sum(len(tool.name) + len(tool.description) + len(str(tool.parameters)) for tool in self.tools)
        return told + offered + len(str(self.schema or ""))


class NotAnAnswer(ValueError):
    """What the server sent does not follow its published format."""


class Wire(Protocol):
    """One API's way to write requests and read answers. Raises the errors of `core.http` throughout."""

    def ask(self, request: Request, limits: Limits) -> WireAnswer:
        """Raises `NotAnAnswer` too."""

    def revision(self) -> str:
        """The digest of the model as its server tells it; "" where servers of this kind tell none."""


class ServedChatModel:
    """`core.chat.protocol.ChatModel` over HTTP. Connects at first use."""

    def __init__(self, spec: ChatSpec, wire: Wire) -> None:
        self._spec = spec
        self._wire = wire
        self._used = Usage()
        self._lock = threading.Lock()
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """The digest covers the model, its revision and how it is asked; not the server's address, nor prices."""
        if self._identity is None:
            spec = self._spec
            with _as_chat_errors():
                revision = spec.revision if spec.revision is not None else self._wire.revision()
            use = (spec.provider, spec.model, revision, spec.context_tokens, spec.answer_tokens, spec.temperature,
                   spec.seed, spec.native_tools)  # fmt: skip
            digest = hashlib.sha256(json.dumps(use).encode()).hexdigest()[:16]
            self._identity = f"{spec.name}@sha256:{digest}"
        return self._identity

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
        request = Request(messages, tools, _shape(json_schema(schema)) if schema else None, most)
        until = None if seconds is None else time.monotonic() + max(0.1, seconds)
        limits = Limits(spec.timeout, spec.retries, MAX_ANSWER_BYTES, until=until, on_failure=self._failed)
        began = time.monotonic()
        try:
            with _as_chat_errors():
                answer = self._wire.ask(request, limits)
        except NotAnAnswer as error:
            raise ChatUnavailable(f"{spec.url}: {error}: is this a {spec.provider} API?") from None
        usage = self._priced(answer, request, time.monotonic() - began)
        self._add(usage)
        return Completion(
            answer.text, answer.calls[:MAX_TOOL_CALLS], answer.finish, usage, _validated(answer, schema, usage)
        )

    def _failed(self, took: float, again: bool) -> None:
        self._add(Usage(retries=int(again), seconds=took))

    def _priced(self, answer: WireAnswer, request: Request, seconds: float) -> Usage:
        read, written = answer.prompt_tokens, answer.completion_tokens
        estimated = read is None or written is None
        if read is None:
            read = request.characters // CHARACTERS_PER_TOKEN
        if written is None:
            said = len(answer.text) + sum(len(json.dumps(dict(c.arguments))) + len(c.name) for c in answer.calls)
            written = said // CHARACTERS_PER_TOKEN + 1
        money = (read * self._spec.prompt_price + written * self._spec.completion_price) / 1e6
        return Usage(1, 0, read, written, money, seconds, estimated)

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self._used = self._used + usage


def open_service(spec: ChatSpec, *, breaker: Breaker | None = None) -> Service:
    """The server of a model, with its key."""
    base = str(spec.url).rstrip("/")
    headers = bearer(base, spec.key_variable)
    return Service(base, headers=headers, remedy="is the model server up?", breaker=breaker)


@contextmanager
def _as_chat_errors() -> Iterator[None]:
    try:
        yield
    except RequestRefused as error:
        if error.status in _ABOUT_THE_REQUEST:
            raise Refused(str(error), Usage(requests=1)) from None
        raise ChatUnavailable(str(error)) from None
    except ServiceUnavailable as error:
        raise ChatUnavailable(str(error)) from None


def _shape(node: Any) -> Any:
    """A schema without bounds of lengths, which are checked when the answer is there: servers that make a grammar of it
    spell each of them out, a thousand characters as a thousand rules, and others refuse them."""
    if isinstance(node, dict):
        # A property may have such a name too; then it stands for a schema.
        return {k: _shape(v) for k, v in node.items() if k not in _LENGTHS or isinstance(v, dict)}
    return [_shape(item) for item in node] if isinstance(node, list) else node


def encodable(node: Any) -> Any:
    """The same with a replacement character for what UTF-8 cannot write: half a surrogate pair, out of a tool's
    output or an earlier answer."""
    if isinstance(node, str):
        return node if node.isascii() else node.encode("utf-8", "replace").decode()
    if isinstance(node, dict):
        return {encodable(key): encodable(value) for key, value in node.items()}
    return [encodable(item) for item in node] if isinstance(node, list) else node


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
