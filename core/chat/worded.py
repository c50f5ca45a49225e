"""Tools for a model without native tool calls: the prompt describes them, and a JSON schema constrains the answer.

Wraps any `ChatModel`. Each answer is one call, `{"tool": NAME, "arguments": {...}}`; results are sent back as user
messages.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from core.chat.protocol import (
    ChatModel,
    Completion,
    FinishReason,
    Left,
    MalformedAnswer,
    Message,
    Role,
    Tool,
    ToolCall,
    Usage,
)

_OFFER = """You act by answering with one JSON object and nothing else: {"tool": NAME, "arguments": {...}}.
The tools:
"""


class WordedTools:
    """Rewrites requests with tools into plain text, and passes on all others unchanged."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def context_tokens(self) -> int:
        return self._model.context_tokens

    @property
    def used(self) -> Usage:
        return self._model.used

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
        if not tools:
            return self._model.complete(messages, (), schema, seconds=seconds, tokens=tokens, left=left)
        rewritten = _as_text(messages, tools)
        try:
            answer = self._model.complete(rewritten, (), _choice(tools), seconds=seconds, tokens=tokens, left=left)
        except MalformedAnswer as error:
            call = ToolCall("call-0", "", problem=str(error))
            return Completion("", (call,), FinishReason.TOOL_CALLS, error.usage)
        if answer.value is None:
            return answer
        chosen = answer.value.model_dump()
        call = ToolCall("call-0", chosen["tool"], chosen["arguments"])
        return replace(answer, text="", calls=(call,), finish=FinishReason.TOOL_CALLS, value=None)


def _as_text(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    offer = _OFFER + "\n".join(_described(tool) for tool in tools)
    rewritten: list[Message] = []
    for message in messages:
        if message.role is Role.TOOL and message.answers is not None:
            text = f"The result of {message.answers.name or 'your answer'}:\n{message.text}"
            rewritten.append(Message(Role.USER, text))
        elif message.calls:
            call = message.calls[0]
            text = json.dumps({"tool": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False)
            rewritten.append(Message(Role.ASSISTANT, text))
        else:
            rewritten.append(message)
    if rewritten and rewritten[0].role is Role.SYSTEM:
        return [Message(Role.SYSTEM, f"{rewritten[0].text}\n\n{offer}"), *rewritten[1:]]
    return [Message(Role.SYSTEM, offer), *rewritten]


def _described(tool: Tool) -> str:
    """A tool in few tokens, since small models have small context windows: `- read(path, start_line=1): Shows lines.
    path: A file. start_line: ...`. The types are in the answer's schema."""
    parameters = tool.parameters
    required, descriptions, signature = parameters.get("required", ()), [], []
    for name, field in parameters.get("properties", {}).items():
        signature.append(name if name in required else f"{name}={json.dumps(field.get('default'))}")
        if description := field.get("description"):
            descriptions.append(f"{name}: {description}")
    return f"- {tool.name}({', '.join(signature)}): {' '.join([tool.description, *descriptions])}"


def _choice(tools: Sequence[Tool]) -> type[BaseModel]:
    """The pydantic model of one call of any of the tools."""
    options: list[Any] = []
    for tool in tools:
        fields: dict[str, Any] = {"tool": (Literal[tool.name], ...), "arguments": (tool.arguments, ...)}
        options.append(create_model(f"Call_{tool.name}", __config__=ConfigDict(extra="forbid"), **fields))
    if len(options) == 1:
        chosen: type[BaseModel] = options[0]
        return chosen
    union: Any = Annotated[Union[tuple(options)], Field(discriminator="tool")]  # noqa: UP007  built at run time
    root: type[BaseModel] = RootModel[union]
    return root
