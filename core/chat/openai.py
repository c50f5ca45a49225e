"""The chat API that OpenAI made common and many servers and proxies speak, `POST /chat/completions`.

Source: https://platform.openai.com/docs/api-reference/chat/create. Only fields that are widely understood
are sent.
"""

import json
from collections.abc import Sequence
from typing import Any

from core.chat.protocol import FinishReason, Message, Role, Tool, ToolCall
from core.chat.served import NotAnAnswer, WireAnswer, arguments_of, count
from core.chat.spec import ChatSpec
from core.embedding.calls import Calls

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.FILTERED,
}


class OpenAIWire:
    path = "/chat/completions"

    def body(
        self,
        spec: ChatSpec,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        schema: dict[str, Any] | None,
        most: int,
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": spec.model,
            "messages": [_message(message) for message in messages],
            spec.answer_field: most,
            "stream": False,
        }
        if spec.temperature != "default":
            body["temperature"] = spec.temperature
        if spec.seed is not None:
            body["seed"] = spec.seed
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in tools
            ]
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        return body

    def read(self, raw: Any) -> WireAnswer:
        choices = raw.get("choices") if isinstance(raw, dict) else None
        first = choices[0] if isinstance(choices, list) and choices else None
        message = first.get("message") if isinstance(first, dict) else None
        if not isinstance(first, dict) or not isinstance(message, dict):
            raise NotAnAnswer("the answer holds no choice with a message")
        text, refusal = message.get("content"), message.get("refusal")
        if not isinstance(text, str | None):
            raise NotAnAnswer("the answer's content is no text")
        calls = tuple(_call(n, one) for n, one in enumerate(message.get("tool_calls") or ()))
        finish = _FINISH.get(str(first.get("finish_reason")), FinishReason.STOP)
        if isinstance(refusal, str) and refusal:
            text, finish = text or refusal, FinishReason.FILTERED
        elif calls:
            finish = FinishReason.TOOL_CALLS  # some servers say "stop"
        usage = raw.get("usage") if isinstance(raw.get("usage"), dict) else {}
        return WireAnswer(
            text or "", calls, finish, count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
        )

    def revision(self, spec: ChatSpec, calls: Calls) -> str:
        return ""


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
    arguments, problem = arguments_of(function.get("arguments", "{}"))
    identity = raw.get("id")
    return ToolCall(
        identity if isinstance(identity, str) and identity else f"call-{number}", function["name"], arguments, problem
    )
