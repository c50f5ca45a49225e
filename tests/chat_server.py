"""A chat server on loopback that speaks Ollama's and OpenAI's API, says what a script says, and can misbehave.

It refuses what the published formats forbid, so that an adapter cannot get away with less. Real servers are
tested in `tests/conformance`; this one is for faults and for engines.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.chat import ChatSpec
from tests.loopback_server import FaultyHandler, LoopbackServer, OllamaHandler


@dataclass(frozen=True)
class Request:
    """What was asked. `turns` are (role, text); `tools` names and parameters."""

    turns: tuple[tuple[str, str], ...]
    tools: dict[str, Any]
    schema: Any
    seed: int
    most: int

    @property
    def answers(self) -> int:
        """How often the model has spoken in this conversation."""
        return sum(1 for role, _ in self.turns if role == "assistant")

    def first(self, role: str) -> str:
        return next((text for who, text in self.turns if who == role), "")


@dataclass(frozen=True)
class Reply:
    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    """(name, arguments); arguments given as text are sent as they are."""
    filtered: bool = False


Script = Callable[[Request], Reply]


def obedient(request: Request) -> Reply:
    """Calls the first tool once, fills in a schema, or says something."""
    if request.schema:
        return Reply(json.dumps(_example(request.schema)))
    if request.tools and request.turns[-1][0] != "tool":
        name, parameters = next(iter(request.tools.items()))
        return Reply(calls=((name, _example(parameters)),))
    return Reply("one two three four five six seven eight nine ten" if "Count" in request.turns[-1][1] else "Hello.")


def _example(schema: Any, known: Any = None) -> Any:
    known = known or schema.get("$defs", {})
    if "$ref" in schema:
        return _example(known[schema["$ref"].rpartition("/")[2]], known)
    if "oneOf" in schema:
        return _example(schema["oneOf"][0], known)
    kinds: dict[str, Any] = {"integer": 2, "number": 2.0, "boolean": True, "string": "x", "array": []}
    if schema.get("type") == "object":
        return {name: _example(part, known) for name, part in schema["properties"].items()}
    return schema.get("const", kinds.get(schema.get("type", "string")))


class ChatServer(LoopbackServer):
    """`requests` is what was asked, `bodies` as it was sent."""

    reply = Reply

    def __init__(self, script: Script = obedient, port: int = 0) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.bodies: list[dict[str, Any]] = []
        self.digests = {"scripted": "a" * 64}
        self.can_pull: set[str] = set()
        self.told = {"capabilities": ["completion"], "details": {"family": "llama"}, "model_info": {}}
        super().__init__(_Handler, port)

    def spec(self, provider: str = "openai", **changes: Any) -> ChatSpec:
        values: dict[str, Any] = {
            "name": "scripted",
            "provider": provider,
            "url": self.url if provider == "ollama" else f"{self.url}/v1",
            "model": "scripted",
            "timeout": 5.0,
            "retries": 2,
        }
        return ChatSpec.model_validate({**values, **changes})


class Forbidden(ValueError):
    """The request does not follow the published format."""


class _Handler(OllamaHandler):
    raw = FaultyHandler.raw | {"empty": b"{}"}

    def do_POST(self) -> None:
        server: ChatServer = self.owner
        body = self.body()
        if self.managed(body):
            return
        server.bodies.append(body)
        fault = self.fault()
        if self.misbehaved(fault, f"out of luck with {self.headers.get('Authorization')}"):
            return
        native = self.path == "/api/chat"
        try:
            request = _ollama_request(body) if native else _openai_request(body)
        except (Forbidden, KeyError, TypeError) as error:
            self.answer(400, {"error": {"message": f"{type(error).__name__}: {error}"}})
            return
        server.requests.append(request)
        reply = server.script(request)
        read = sum(len(text) for _, text in request.turns) // 4 + len(request.turns)
        words = reply.text.split(" ")
        cut = len(words) > request.most
        text = " ".join(words[: request.most])
        written = min(len(words), request.most) + sum(len(str(a)) // 4 + 1 for _, a in reply.calls)
        answer = (_ollama_answer if native else _openai_answer)(reply, text, cut, read, written)
        if fault == "uncounted":
            for name in ("usage", "prompt_eval_count", "eval_count"):
                answer.pop(name, None)
        self.answer(200, answer)


def _openai_request(body: dict[str, Any]) -> Request:
    _only(body, {"model", "messages", "tools", "stream", "temperature", "seed", "max_tokens", "max_completion_tokens",
                 "response_format"})  # fmt: skip
    open_calls: set[str] = set()
    turns = []
    for message in body["messages"]:
        role, content = message["role"], message["content"]
        if role == "tool":
            if message["tool_call_id"] not in open_calls:
                raise Forbidden("a tool message must answer a call of the assistant before it")
            open_calls.discard(message["tool_call_id"])
        elif open_calls:
            raise Forbidden("a call of the assistant was not answered")
        if role not in ("system", "user", "assistant", "tool") or (content is None and not message.get("tool_calls")):
            raise Forbidden(f"a message of {role!r} with content {content!r}")
        for call in message.get("tool_calls", ()):
            if call["type"] != "function" or not isinstance(json.loads(call["function"]["arguments"]), dict):
                raise Forbidden("a call's arguments must be JSON text of an object")
            open_calls.add(call["id"])
        turns.append((role, content or ""))
    form = body.get("response_format")
    if form is not None and (form["type"] != "json_schema" or not form["json_schema"]["name"]):
        raise Forbidden("response_format")
    schema = form["json_schema"]["schema"] if form else None
    most = body.get("max_tokens", body.get("max_completion_tokens", 10**6))
    return Request(tuple(turns), _tools(body), schema, body.get("seed", 0), most)


def _ollama_request(body: dict[str, Any]) -> Request:
    _only(body, {"model", "messages", "tools", "format", "options", "stream", "keep_alive", "think"})
    _only(body["options"], {"num_predict", "num_ctx", "temperature", "seed"})
    if body["stream"] is not False:
        raise Forbidden("stream")
    turns = []
    for message in body["messages"]:
        content = message.get("content", "")
        if message["role"] not in ("system", "user", "assistant", "tool") or not isinstance(content, str):
            raise Forbidden(f"message {message}")
        for call in message.get("tool_calls", ()):
            if not isinstance(call["function"]["arguments"], dict):
                raise Forbidden("a call's arguments must be an object")
        turns.append((message["role"], content))
    options = body["options"]
    return Request(tuple(turns), _tools(body), body.get("format"), options.get("seed", 0), options["num_predict"])


def _only(body: dict[str, Any], known: set[str]) -> None:
    if unknown := set(body) - known:
        raise Forbidden(f"unknown fields {sorted(unknown)}")


def _tools(body: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for tool in body.get("tools", ()):
        function = tool["function"]
        if tool["type"] != "function" or function["parameters"]["type"] != "object" or not function["description"]:
            raise Forbidden(f"tool {tool}")
        found[function["name"]] = function["parameters"]
    return found


def _openai_answer(reply: Reply, text: str, cut: bool, read: int, written: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": _text(arguments)}}
            for n, (name, arguments) in enumerate(reply.calls)
        ]
    finish = "content_filter" if reply.filtered else "tool_calls" if reply.calls else "length" if cut else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
    }


def _ollama_answer(reply: Reply, text: str, cut: bool, read: int, written: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reply.calls:
        message["tool_calls"] = [{"function": {"name": n, "arguments": a}} for n, a in reply.calls]
    return {
        "model": "scripted",
        "created_at": "2025-01-01T00:00:00Z",
        "message": message,
        "done": True,
        "done_reason": "length" if cut else "stop",
        "prompt_eval_count": read,
        "eval_count": written,
    }


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
