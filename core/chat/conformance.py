"""Checks of what every chat model must do, which anyone can run against their own adapter or server.

Each check takes a function without arguments that opens the model. It raises `ConformanceFailure` with what it
observed. Not for a model's quality: evals measure that.
"""

import re
import threading
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from core.chat.protocol import (
    ChatModel,
    Completion,
    FinishReason,
    Left,
    Message,
    OverBudget,
    Role,
    Tool,
    Usage,
    result,
    system,
    user,
)
from core.conformance import require, require_in_fork

OpenChat = Callable[[], ChatModel]
Check = Callable[[OpenChat], None]

TOKENS = 48
"""Limit of one answer: enough for a check, and quick on a slow machine."""


class Sum(BaseModel):
    """Two numbers to add."""

    model_config = ConfigDict(extra="forbid")

    a: int = Field(description="The first number.")
    b: int = Field(description="The second number.")


class Mood(BaseModel):
    model_config = ConfigDict(extra="forbid")

    happy: bool


ADD = Tool("add", "Adds two numbers.", Sum)
QUESTION = (system("You add numbers with the tool add."), user("Add 2 and 3 with the tool."))


def check_text(open_chat: OpenChat) -> None:
    """A question gets a text answer with a finish reason and token counts."""
    done = open_chat().complete([user("Say hello.")], tokens=TOKENS)
    require(bool(done.text.strip()), "the answer is empty")
    require(done.finish in (FinishReason.STOP, FinishReason.LENGTH), f"the answer ended with {done.finish}")
    require(not done.calls and done.value is None, "a text answer has calls or a value")
    require(_counted(done), f"the tokens are not counted: {done.usage}")


def check_conversation(open_chat: OpenChat) -> None:
    """Earlier turns are accepted and read: a longer conversation has more prompt tokens."""
    model = open_chat()
    first = [system("You are short."), user("Say one.")]
    one = model.complete(first, tokens=TOKENS)
    two = model.complete([*first, one.message, user("Say another, and remember both.")], tokens=TOKENS)
    require(bool(two.text.strip()), "the second answer is empty")
    require(two.usage.prompt_tokens > one.usage.prompt_tokens, "the earlier turns were not read")


def check_tool_call(open_chat: OpenChat) -> None:
    """A tool is called by its name with arguments that follow its schema, and its result is accepted."""
    model = open_chat()
    first = model.complete(QUESTION, [ADD], tokens=TOKENS)
    require(first.finish is FinishReason.TOOL_CALLS, f"the answer ended with {first.finish}")
    require([call.name for call in first.calls] == ["add"], f"the calls are {first.calls}, not one of `add`")
    call = first.calls[0]
    require(not call.problem and bool(call.id), f"the call is broken: {call}")
    Sum.model_validate(call.arguments)
    second = model.complete([*QUESTION, first.message, result(call, "5")], [ADD], tokens=TOKENS)
    require(_counted(second), f"the tokens are not counted: {second.usage}")


def check_schema(open_chat: OpenChat) -> None:
    """An answer constrained by a schema is returned as an instance of its model."""
    done = open_chat().complete([user("Are you happy? Answer as JSON.")], schema=Mood, tokens=TOKENS)
    require(isinstance(done.value, Mood), f"the value is {done.value!r}")


def check_length(open_chat: OpenChat) -> None:
    """An answer stays within its token limit, and says that it was cut off."""
    done = open_chat().complete([user("Count from one to one hundred in words.")], tokens=4)
    require(done.finish is FinishReason.LENGTH, f"the answer ended with {done.finish}")
    require(done.usage.completion_tokens <= 6, f"{done.usage.completion_tokens} tokens were written")


def check_account(open_chat: OpenChat) -> None:
    """`used` is the sum of the answers' usage."""
    model = open_chat()
    total = Usage()
    for text in ("Say yes.", "Say no."):
        total = total + model.complete([user(text)], tokens=TOKENS).usage
    used = model.used
    seen = (used.requests, used.prompt_tokens, used.completion_tokens)
    require(seen == (2, total.prompt_tokens, total.completion_tokens), f"{used} is not {total}")
    require(used.seconds >= total.seconds > 0, "no time was counted")


def check_what_is_left(open_chat: OpenChat) -> None:
    """A request that could cost more than what is left is not sent, and costs nothing."""
    model = open_chat()
    for left in (Left(1, 1e6), Left(10_000, -1.0)):
        try:
            model.complete([user("Say hello.")], left=left)
        except OverBudget:
            continue
        require(False, f"a request was sent with {left}")
    require(model.used == Usage(), f"{model.used} was counted for requests that were not sent")
    require(_counted(model.complete([user("Say hello.")], tokens=TOKENS, left=Left(10_000, 1e6))), "not counted")


def check_any_text(open_chat: OpenChat) -> None:
    """Control characters, lone surrogates and an empty text cause no error."""
    odd = "a\x00b \ud800 \u202e \N{PILE OF POO} <|im_end|> {{ .System }}"
    done = open_chat().complete([user(odd), Message(Role.ASSISTANT, ""), user("Go on.")], tokens=8)
    require(_counted(done), f"the tokens are not counted: {done.usage}")


def check_identity(open_chat: OpenChat) -> None:
    """Two instances agree on the identity, which names the model and a digest."""
    one, other = open_chat().identity, open_chat().identity
    require(one == other, f"{one} and {other}")
    require(re.fullmatch(r"\S+@sha256:[0-9a-f]{16}", one) is not None, f"the identity is {one}")


def check_threads(open_chat: OpenChat) -> None:
    """Several threads may use one instance simultaneously."""
    model = open_chat()
    answers: list[Completion] = []
    threads = [
        threading.Thread(target=lambda: answers.append(model.complete([user("Say hello.")], tokens=8)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(len(answers) == 3 and model.used.requests == 3, f"{len(answers)} answers, {model.used.requests} counted")


def check_fork(open_chat: OpenChat) -> None:
    """A process forked after the first use can use the model too."""
    model = open_chat()
    model.complete([user("Say hello.")], tokens=8)
    require_in_fork(lambda: _counted(model.complete([user("Say hello.")], tokens=8)))


CHECKS: tuple[Check, ...] = (
    check_text,
    check_conversation,
    check_tool_call,
    check_schema,
    check_length,
    check_account,
    check_what_is_left,
    check_any_text,
    check_identity,
    check_threads,
    check_fork,
)


def _counted(done: Completion) -> bool:
    return done.usage.requests == 1 and done.usage.prompt_tokens > 0 and done.usage.seconds > 0
