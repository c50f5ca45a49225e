"""Tools for a model that has not learnt to call them: offered in words, the answer bound by a JSON schema.

Put around any `ChatModel`. Each answer is one call, `{"tool": NAME, "arguments": {...}}`; results go back
as the user's words.
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
    """Passes everything on but requests with tools, which it puts into words."""

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
    ) -> Completion:
        if not tools:
            return self._model.complete(messages, (), schema, seconds=seconds, tokens=tokens)
        said = _in_words(messages, tools)
        try:
            answer = self._model.complete(said, (), _choice(tools), seconds=seconds, tokens=tokens)
        except MalformedAnswer as error:
            call = ToolCall("call-0", "", problem=str(error))
            return Completion("", (call,), FinishReason.TOOL_CALLS, error.usage)
        if answer.value is None:
            return answer
        chosen = answer.value.model_dump()
        call = ToolCall("call-0", chosen["tool"], chosen["arguments"])
        return replace(answer, text="", calls=(call,), finish=FinishReason.TOOL_CALLS, value=None)


def _in_words(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    offer = _OFFER + "\n".join(_offered(tool) for tool in tools)
    said: list[Message] = []
    for message in messages:
        if message.role is Role.TOOL and message.answers is not None:
            said.append(Message(Role.USER, f"The result of {message.answers.name or 'your answer'}:\n{message.text}"))
        elif message.calls:
            call = message.calls[0]
            written = json.dumps({"tool": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False)
            said.append(Message(Role.ASSISTANT, written))
        else:
            said.append(message)
    if said and said[0].role is Role.SYSTEM:
        return [Message(Role.SYSTEM, f"{said[0].text}\n\n{offer}"), *said[1:]]
    return [Message(Role.SYSTEM, offer), *said]


def _offered(tool: Tool) -> str:
    """A tool in few words, since small models have small windows: `- read(path, start_line=1): Shows lines. path: A
    file. start_line: ...`. The answer's schema says the types."""
    parameters = tool.parameters
    required, told, signature = parameters.get("required", ()), [], []
    for name, field in parameters.get("properties", {}).items():
        signature.append(name if name in required else f"{name}={json.dumps(field.get('default'))}")
        if description := field.get("description"):
            told.append(f"{name}: {description}")
    return f"- {tool.name}({', '.join(signature)}): {' '.join([tool.description, *told])}"


def _choice(tools: Sequence[Tool]) -> type[BaseModel]:
    """The model of one call of any of the tools."""
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
