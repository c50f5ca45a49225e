"""What a chat model is to the rest of the platform: messages and tools in, one answer out, with its cost.

Two kinds of failure are kept apart: `ChatUnavailable` says nothing about the model and is tried again
elsewhere or later; `BadAnswer` is what the model itself did wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel

MAX_TOOL_CALLS = 16
"""Of one answer; what comes after is ignored."""


class ChatUnavailable(RuntimeError):
    """The server cannot be reached, is busy or not set up, or what came back is no answer at all."""


class UnknownChatModel(ValueError):
    """No chat model has this name, or its description is wrong; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used: `requests` count completions, `money` is in the currency of the prices, `seconds` are waited.
    `estimated` says that a server told no token counts, which were then reckoned from the text's length."""

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


class BadAnswer(RuntimeError):
    """The model did wrong, or its server will not take this very request. `usage` is what it cost all the same."""

    def __init__(self, message: str, usage: Usage = Usage()) -> None:
        super().__init__(message)
        self.usage = usage


class Refused(BadAnswer):
    """The server refuses this request for what is in it: too long, a tool that the model cannot use, not allowed."""


class MalformedAnswer(BadAnswer):
    """The text does not follow the schema that was asked for."""


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called. `problem` says why `arguments` are empty when what it wrote is no object."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `calls` belong to the assistant; `answers` is the call whose result a tool's message holds."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: ToolCall | None = None


def system(text: str) -> Message:
    return Message(Role.SYSTEM, text)


def user(text: str) -> Message:
    return Message(Role.USER, text)


def result(call: ToolCall, text: str) -> Message:
    """What a tool answered."""
    return Message(Role.TOOL, text, answers=call)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `arguments` is the model of its arguments, whose fields are described."""

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
    """Cut off at the bound of tokens."""
    FILTERED = "filtered"
    """The server's filter, or the model's own refusal, held the answer back."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `value` is the text as the asked schema's model, where a schema was asked for."""

    text: str
    calls: tuple[ToolCall, ...]
    finish: FinishReason
    usage: Usage
    value: BaseModel | None = None

    @property
    def message(self) -> Message:
        """The turn to be sent back with the next request."""
        return Message(Role.ASSISTANT, self.text, self.calls)


class ChatModel(Protocol):
    """Safe for use by several threads, and after a fork; nothing is kept between calls but the account."""

    @property
    def identity(self) -> str:
        """Name and digest of what answers and how it is asked: `name@sha256:0123456789abcdef`.
        Raises `ChatUnavailable` when the server has to be asked for it and cannot be."""

    @property
    def context_tokens(self) -> int:
        """Prompt and answer together."""

    @property
    def used(self) -> Usage:
        """Everything that was used through this object."""

    def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: type[BaseModel] | None = None,
        *,
        seconds: float | None = None,
        tokens: int | None = None,
    ) -> Completion:
        """The model's next turn, in at most `seconds` with all repeats and `tokens` of answer.

        Raises `ChatUnavailable`, and `Refused` or `MalformedAnswer` for what the model is to blame for.
        """


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema without the titles, which only cost tokens."""
    schema: dict[str, Any] = _untitled(model.model_json_schema())
    return schema


def _untitled(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _untitled(v) for k, v in node.items() if k != "title" or not isinstance(v, str)}
    return [_untitled(item) for item in node] if isinstance(node, list) else node
