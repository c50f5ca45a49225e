"""The part that all chat models on a server share: limits, retries, usage, and the classification of failures.

An adapter (`Wire`) only writes requests and reads answers. Not for models without native tool calls: `worded` wraps
any adapter for those.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from core.chat.cost import BYTES_PER_TOKEN, Costs
from core.chat.protocol import (
    MAX_TOOL_CALLS,
    ChatUnavailable,
    Completion,
    FinishReason,
    Left,
    MalformedAnswer,
    Message,
    Refused,
    Tool,
    ToolCall,
    Usage,
    json_schema,
)
from core.chat.spec import ChatSpec
from core.http import Limits, RequestRefused, ServiceUnavailable
from core.payload import first_problem
from core.tracing import Span, span

_LENGTHS = ("minLength", "maxLength", "pattern")
MAX_ANSWER_BYTES = 8 << 20
_ABOUT_THE_REQUEST = frozenset({400, 413, 422})
"""Client errors about the content of the request; the others are about keys, addresses and permissions."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """An answer as the server sent it. Token counts are None if the server reports none."""

    text: str
    calls: tuple[ToolCall, ...]
    finish: FinishReason
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one completion. `max_tokens` is the limit of the answer."""

    messages: Sequence[Message]
    tools: Sequence[Tool]
    schema: dict[str, Any] | None
    max_tokens: int

    @property
    def size(self) -> int:
        """The approximate length of the request in bytes."""
        messages = sum(_bytes(m.text) + sum(_bytes(str(c.arguments)) for c in m.calls) + 20 for m in self.messages)
        tools = sum(_bytes(f"{tool.name}{tool.description}{tool.parameters}") for tool in self.tools)
        return messages + tools + _bytes(str(self.schema or ""))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class NotAnAnswer(ValueError):
    """The server's answer does not follow its published format."""


class Wire(Protocol):
    """Writes requests and reads answers of one API. Both methods raise the errors of `core.http`."""

    def ask(self, request: Request, limits: Limits) -> WireAnswer:
        """Raises `NotAnAnswer` too."""

    def revision(self) -> str:
        """The model's digest on its server; "" if servers of this kind have none."""


class ServedChatModel:
    """`core.chat.protocol.ChatModel` over HTTP. Connects at first use."""

    def __init__(self, spec: ChatSpec, wire: Wire) -> None:
        self._spec = spec
        self._wire = wire
        self._costs = Costs(spec)
        self._used = Usage()
        self._lock = threading.Lock()
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """The digest covers the model, its revision and how it is used, but not the server's address or prices."""
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
        left: Left | None = None,
    ) -> Completion:
        told = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._spec.provider,
            "gen_ai.request.model": self._spec.model,
        }
        with span(f"chat {self._spec.model}", told, kind="client") as current:
            try:
                done = self._complete(messages, tools, schema, seconds=seconds, tokens=tokens, left=left)
            except (ChatUnavailable, Refused, MalformedAnswer) as error:
                _tell(current, error.usage)
                raise
            _tell(current, done.usage)
            current.set("gen_ai.response.finish_reasons", str(done.finish))
            return done

    def _complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        schema: type[BaseModel] | None,
        *,
        seconds: float | None,
        tokens: int | None,
        left: Left | None,
    ) -> Completion:
        spec, costs = self._spec, self._costs
        most, retries = max(1, min(spec.answer_tokens, tokens or spec.answer_tokens)), spec.retries
        request = Request(messages, tools, _without_lengths(json_schema(schema)) if schema else None, most)
        prompt = costs.prompt(request.size)
        if left is not None:
            most, retries = costs.within(left, prompt, most, retries)
            request = replace(request, max_tokens=most)
        spent: list[Usage] = []

        def failed(took: float, again: bool, worked: bool) -> None:
            spent.append(costs.failed(prompt, most, took, again=again, worked=worked))
            self._add(spent[-1])

        until = None if seconds is None else time.monotonic() + max(0.1, seconds)
        limits = Limits(spec.timeout, retries, MAX_ANSWER_BYTES, until=until, on_failure=failed)
        began = time.monotonic()
        try:
            with _as_chat_errors():
                answer = self._wire.ask(request, limits)
        except NotAnAnswer as error:
            failed(time.monotonic() - began, again=False, worked=True)
            problem = f"{spec.url}: {error}: is this a {spec.provider} API?"
            raise ChatUnavailable(problem, sum(spent, Usage())) from None
        except (ChatUnavailable, Refused) as error:
            error.usage = sum(spent, error.usage)
            raise
        waited = time.monotonic() - began - sum(one.seconds for one in spent)
        usage = self._priced(answer, request, waited)
        self._add(usage)
        usage = sum(spent, usage)
        return Completion(
            answer.text, answer.calls[:MAX_TOOL_CALLS], answer.finish, usage, _validated(answer, schema, usage)
        )

    def _priced(self, answer: WireAnswer, request: Request, seconds: float) -> Usage:
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        estimated = prompt is None or completion is None
        if prompt is None:
            prompt = self._costs.prompt(request.size)
        else:
            self._costs.learn(request.size, prompt)
        if completion is None:
            length = len(answer.text) + sum(len(json.dumps(dict(c.arguments))) + len(c.name) for c in answer.calls)
            completion = length // BYTES_PER_TOKEN + 1
        return Usage(1, 0, prompt, completion, self._costs.money(prompt, completion), seconds, estimated)

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self._used = self._used + usage


def _tell(current: Span, usage: Usage) -> None:
    current.set("gen_ai.usage.input_tokens", usage.prompt_tokens)
    current.set("gen_ai.usage.output_tokens", usage.completion_tokens)
    current.set("penstock.chat.requests", usage.requests)
    current.set("penstock.chat.retries", usage.retries)


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


def _without_lengths(node: Any) -> Any:
    """A schema without length limits and patterns, which are checked on the answer instead. Servers that compile a
    schema to a grammar expand a limit of a thousand characters into a thousand rules; others reject such schemas."""
    if isinstance(node, dict):
        # A dict under such a name is the schema of a property of that name.
        return {k: _without_lengths(v) for k, v in node.items() if k not in _LENGTHS or isinstance(v, dict)}
    return [_without_lengths(item) for item in node] if isinstance(node, list) else node


def encodable(node: Any) -> Any:
    """The same JSON value with lone surrogates, which UTF-8 cannot encode, replaced in all strings. Tool output and
    earlier answers may contain them."""
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
        cut_off = answer.finish is FinishReason.LENGTH
        why = "it was cut off at its token limit" if cut_off else first_problem(error, "the whole")
        raise MalformedAnswer(f"the answer is not a valid {schema.__name__}: {why}", usage) from None
