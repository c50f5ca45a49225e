"""Ollama's own chat API, `POST /api/chat`, through Ollama's client.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion. `num_ctx` is always sent,
because servers silently truncate a longer prompt. Calls have no ids in this API: a result names the tool.
"""

from typing import TYPE_CHECKING, Any

from core.chat.protocol import FinishReason, Message, Role, Tool, ToolCall
from core.chat.served import NotAnAnswer, Request, WireAnswer, encodable
from core.chat.spec import ChatSpec
from core.http import Limits, Service
from core.model_server import token_count
from core.ollama import OllamaServer

if TYPE_CHECKING:
    from ollama import ChatResponse


class OllamaWire:
    def __init__(self, spec: ChatSpec, service: Service) -> None:
        self._spec = spec
        self._server = OllamaServer(service)

    def ask(self, request: Request, limits: Limits) -> WireAnswer:
        spec = self._spec
        options = {"num_predict": request.max_tokens, "num_ctx": spec.context_tokens, **spec.sampling}
        with self._server.understood():
            answer = self._server.client(limits).chat(
                spec.model,
                encodable([_message(message) for message in request.messages]),
                tools=encodable([_tool(tool) for tool in request.tools]) or None,
                format=request.schema,
                options=options,
            )
        return _read(answer)

    def revision(self) -> str:
        return self._server.digest(self._spec.model)


def _read(answer: "ChatResponse") -> WireAnswer:
    if answer.done is not True:
        raise NotAnAnswer("the answer is not complete")
    calls = tuple(
        ToolCall(f"call-{number}", call.function.name, dict(call.function.arguments))
        for number, call in enumerate(answer.message.tool_calls or ())
    )
    finish = FinishReason.LENGTH if answer.done_reason == "length" else FinishReason.STOP
    return WireAnswer(
        answer.message.content or "",
        calls,
        FinishReason.TOOL_CALLS if calls else finish,
        token_count(answer.prompt_eval_count),
        token_count(answer.eval_count),
    )


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.calls:
        written["tool_calls"] = [
            {"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in message.calls
        ]
    if message.role is Role.TOOL and message.answers is not None:
        written["tool_name"] = message.answers.name
    return written


def _tool(tool: Tool) -> dict[str, Any]:
    schema = tool.parameters
    definitions = schema.get("$defs", {})
    properties = {name: _property(field, definitions) for name, field in schema.get("properties", {}).items()}
    parameters = {**schema, "properties": properties}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _property(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A property as Ollama accepts it: `type`, which may be a list, `items`, `description` and `enum`."""
    if "$ref" in field:
        field = {**definitions.get(field["$ref"].rpartition("/")[2], {}), **field}
    choices = [_property(one, definitions) for one in field.get("anyOf", ())]
    kinds = [one["type"] for one in choices if isinstance(one.get("type"), str)]
    if kinds:
        return {**choices[0], **field, "type": kinds}
    return field
