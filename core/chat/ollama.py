"""Ollama's own chat API, `POST /api/chat`.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion. Older servers
give tool calls no id, and cut a prompt beyond `num_ctx` silently, which is why it is always sent.
"""

from collections.abc import Sequence
from typing import Any

from core.chat.protocol import FinishReason, Message, Role, Tool, ToolCall
from core.chat.served import NotAnAnswer, WireAnswer, arguments_of, count
from core.chat.spec import ChatSpec
from core.embedding.calls import Calls
from core.embedding.protocol import EmbedderUnavailable

_ASK_SECONDS = 10.0


class OllamaWire:
    path = "/api/chat"

    def body(
        self,
        spec: ChatSpec,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        schema: dict[str, Any] | None,
        most: int,
    ) -> dict[str, Any]:
        options: dict[str, Any] = {"num_predict": most, "num_ctx": spec.context_tokens}
        if spec.temperature != "default":
            options["temperature"] = spec.temperature
        if spec.seed is not None:
            options["seed"] = spec.seed
        body: dict[str, Any] = {
            "model": spec.model,
            "messages": [_message(message) for message in messages],
            "stream": False,
            "options": options,
        }
        if tools:
            body["tools"] = [_tool(tool) for tool in tools]
        if schema is not None:
            body["format"] = schema
        return body

    def read(self, raw: Any) -> WireAnswer:
        message = raw.get("message") if isinstance(raw, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("content", ""), str):
            raise NotAnAnswer("the answer holds no message")
        if raw.get("done") is not True:
            raise NotAnAnswer("the answer is not complete")
        calls = tuple(_call(n, one) for n, one in enumerate(message.get("tool_calls") or ()))
        finish = FinishReason.LENGTH if raw.get("done_reason") == "length" else FinishReason.STOP
        return WireAnswer(
            message.get("content", ""),
            calls,
            FinishReason.TOOL_CALLS if calls else finish,
            count(raw.get("prompt_eval_count")),
            count(raw.get("eval_count")),
        )

    def revision(self, spec: ChatSpec, calls: Calls) -> str:
        tags = calls.send("GET", "/api/tags", timeout=_ASK_SECONDS, retries=1, most_bytes=4 << 20)
        wanted = spec.model if ":" in spec.model else f"{spec.model}:latest"
        models = tags.get("models") if isinstance(tags, dict) else None
        for model in models if isinstance(models, list) else []:
            if isinstance(model, dict) and model.get("name") == wanted and isinstance(model.get("digest"), str):
                return str(model["digest"]).removeprefix("sha256:")[:64]
        raise EmbedderUnavailable(f"the server at {spec.url} has no model {wanted}: `ollama pull` it there")


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.calls:
        written["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.calls
        ]
    if message.role is Role.TOOL and message.answers is not None:
        written |= {"tool_name": message.answers.name, "tool_call_id": message.answers.id}
    return written


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _call(number: int, raw: Any) -> ToolCall:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise NotAnAnswer("a tool call has no function")
    arguments, problem = arguments_of(function.get("arguments") or {})
    identity = raw.get("id")
    return ToolCall(
        identity if isinstance(identity, str) and identity else f"call-{number}", function["name"], arguments, problem
    )
