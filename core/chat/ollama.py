"""Ollama's own chat API, `POST /api/chat`, through Ollama's client.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion. Servers cut a
prompt beyond `num_ctx` silently, which is why it is always sent. Calls have no ids there: they are answered by
the tool's name.
"""

from typing import TYPE_CHECKING, Any

from core.chat.protocol import FinishReason, Message, Role, Tool, ToolCall
from core.chat.served import NotAnAnswer, Request, WireAnswer, count, encodable
from core.chat.spec import ChatSpec
from core.http import Limits, Service
from core.ollama import OllamaServer

if TYPE_CHECKING:
    from ollama import ChatResponse


class OllamaWire:
    def __init__(self, spec: ChatSpec, service: Service) -> None:
        self._spec = spec
        self._server = OllamaServer(service)

    def ask(self, request: Request, limits: Limits) -> WireAnswer:
        spec = self._spec
        options: dict[str, Any] = {"num_predict": request.most, "num_ctx": spec.context_tokens}
        if spec.temperature != "default":
            options["temperature"] = spec.temperature
        if spec.seed is not None:
            options["seed"] = spec.seed
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
        count(answer.prompt_eval_count),
        count(answer.eval_count),
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
    shape = tool.parameters
    known = shape.get("$defs", {})
    properties = {name: _property(told, known) for name, told in shape.get("properties", {}).items()}
    parameters = {**shape, "properties": properties}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _property(told: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A property as Ollama takes it: `type`, which may be several, `items`, `description` and `enum`."""
    if "$ref" in told:
        told = {**known.get(told["$ref"].rpartition("/")[2], {}), **told}
    choices = [_property(one, known) for one in told.get("anyOf", ())]
    kinds = [kind for one in choices for kind in ([one["type"]] if isinstance(one.get("type"), str) else [])]
    if kinds:
        return {**choices[0], **told, "type": kinds}
    return told
