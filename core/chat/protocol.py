"""The interface of a chat model: messages and tools in, one answer out, with its cost.

There are two kinds of failure. `ChatUnavailable` says nothing about the model, and the work is retried later.
`BadAnswer` is the model's own mistake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel

MAX_TOOL_CALLS = 16
"""Tool calls read from one answer; further ones are ignored."""


class UnknownChatModel(ValueError):
    """No chat model has this name, or its description is wrong. The message lists the known ones or names the file and
    field."""


@dataclass(frozen=True, slots=True)
class Usage:
    """`requests` counts completions, `money` is in the currency of the prices, `seconds` is the time spent waiting.
    A failed try on which the server may have worked counts as the most that it can have cost. `estimated`: some token
    counts are such limits, or estimated from the length of the text, since the server reported none."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    seconds: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.requests + other.requests,
            self.retries + other.retries,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.money + other.money,
            self.seconds + other.seconds,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Left:
    """What may still be spent. No request is sent that could cost more, and none is repeated beyond it."""

    tokens: int
    money: float


class OverBudget(RuntimeError):
    """A request was not sent, since it could cost more than what is left. `bound` is `tokens` or `money`."""

    def __init__(self, message: str, bound: str) -> None:
        super().__init__(message)
        self.bound = bound


class ChatUnavailable(RuntimeError):
    """The server cannot be reached, is busy or not set up, or sent something that is not an answer. `usage` is what
    the tries may have cost."""

    def __init__(self, message: str, usage: Usage = Usage()) -> None:
        super().__init__(message)
        self.usage = usage


class BadAnswer(RuntimeError):
    """The model made a mistake, or its server refuses this request. `usage` is what the request cost nevertheless."""

    def __init__(self, message: str, usage: Usage = Usage()) -> None:
        super().__init__(message)
        self.usage = usage


class Refused(BadAnswer):
    """The server refuses this request for its content: too long, not allowed, or with tools for a model without."""


class MalformedAnswer(BadAnswer):
    """The text does not follow the requested schema."""


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call by the model. If its arguments are not a JSON object, `arguments` is empty and `problem` says why."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `calls` are the assistant's. In a tool's message, `answers` is the call that it is the result of."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: ToolCall | None = None


def system(text: str) -> Message:
    return Message(Role.SYSTEM, text)


def user(text: str) -> Message:
    return Message(Role.USER, text)


def result(call: ToolCall, text: str) -> Message:
    """The result of a tool call."""
    return Message(Role.TOOL, text, answers=call)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. `arguments` is the pydantic model of its arguments, with descriptions."""

    name: str
    description: str
    arguments: type[BaseModel]

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return json_schema(self.arguments)


class FinishReason(StrEnum):
    STOP = "stop"
    TOOL_CALLS = "tool-calls"
    LENGTH = "length"
    """Cut off at the token limit."""
    FILTERED = "filtered"
    """Withheld by the server's filter, or refused by the model."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `value` is the text parsed as the requested schema's model, None without a schema."""

    text: str
    calls: tuple[ToolCall, ...]
    finish: FinishReason
    usage: Usage
    value: BaseModel | None = None

    @property
    def message(self) -> Message:
        """This answer as a turn of the next request."""
        return Message(Role.ASSISTANT, self.text, self.calls)


class ChatModel(Protocol):
    """Safe for use by several threads, and after a fork. Between calls it stores nothing but `used`."""

    @property
    def identity(self) -> str:
        """Name and digest of the model and the way it is used: `name@sha256:0123456789abcdef`.
        Raises `ChatUnavailable` if it has to be queried from a server that does not answer."""

    @property
    def context_tokens(self) -> int:
        """The limit of prompt and answer together."""

    @property
    def used(self) -> Usage:
        """The total usage through this object."""

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
        """The model's next turn. `seconds` is the timeout including all retries, `tokens` the limit of the answer.
        With `left`, the estimated prompt and the limit of the answer stay within it for all tries together.

        Raises `ChatUnavailable`, `Refused`, `MalformedAnswer` and `OverBudget`.
        """


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A pydantic model's JSON schema without titles, which only cost tokens."""
    schema: dict[str, Any] = _untitled(model.model_json_schema())
    return schema


def _untitled(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _untitled(v) for k, v in node.items() if k != "title" or not isinstance(v, str)}
    return [_untitled(item) for item in node] if isinstance(node, list) else node
