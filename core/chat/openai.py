"""OpenAI's chat API, which many servers and proxies implement: `POST /chat/completions`.

Source: https://platform.openai.com/docs/api-reference/chat/create. Only widely supported fields are sent.
"""

import json
from typing import Any

from core.chat.protocol import FinishReason, Message, Role, Tool, ToolCall
from core.chat.served import NotAnAnswer, Request, WireAnswer, encodable
from core.chat.spec import ChatSpec
from core.http import Limits, Service
from core.model_server import token_count

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.FILTERED,
}


class OpenAIWire:
    def __init__(self, spec: ChatSpec, service: Service) -> None:
        self._spec = spec
        self._service = service

    def ask(self, request: Request, limits: Limits) -> WireAnswer:
        return _read(self._service.json("POST", "/chat/completions", encodable(self._body(request)), limits=limits))

    def revision(self) -> str:
        return ""

    def _body(self, request: Request) -> dict[str, Any]:
        spec = self._spec
        body: dict[str, Any] = {
            "model": spec.model,
            "messages": [_message(message) for message in request.messages],
            spec.answer_field: request.max_tokens,
            "stream": False,
            **spec.sampling,
        }
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        if request.schema is not None:
            form = {"name": "answer", "schema": request.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body


def _read(raw: Any) -> WireAnswer:
    choices = raw.get("choices") if isinstance(raw, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        raise NotAnAnswer("the answer holds no choice with a message")
    text, refusal = message.get("content"), message.get("refusal")
    if not isinstance(text, str | None):
        raise NotAnAnswer("the answer's content is not text")
    calls = tuple(_call(n, one) for n, one in enumerate(message.get("tool_calls") or ()))
    finish = _FINISH.get(str(first.get("finish_reason")), FinishReason.STOP)
    if isinstance(refusal, str) and refusal:
        text, finish = text or refusal, FinishReason.FILTERED
    elif calls:
        finish = FinishReason.TOOL_CALLS  # some servers say "stop"
    usage = raw.get("usage") if isinstance(raw.get("usage"), dict) else {}
    prompt, completion = (token_count(usage.get(f"{part}_tokens")) for part in ("prompt", "completion"))
    return WireAnswer(text or "", calls, finish, prompt, completion)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)},
            }
            for call in message.calls
        ]
    if message.role is Role.TOOL and message.answers is not None:
        written["tool_call_id"] = message.answers.id
    return written


def _call(number: int, raw: Any) -> ToolCall:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise NotAnAnswer("a tool call has no function")
    arguments, problem = _arguments(function.get("arguments", "{}"))
    identity = raw.get("id")
    return ToolCall(
        identity if isinstance(identity, str) and identity else f"call-{number}", function["name"], arguments, problem
    )


def _arguments(raw: Any) -> tuple[dict[str, Any], str]:
    """A call's arguments, sent as an object or as JSON text, and what is wrong with them."""
    if isinstance(raw, str):
        try:
            raw = json.loads(raw or "{}")
        except (ValueError, RecursionError) as error:
            return {}, f"the arguments are not JSON: {error}"
    if not isinstance(raw, dict):
        return {}, "the arguments are not a JSON object"
    return raw, ""
