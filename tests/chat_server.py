"""A chat server on loopback that speaks Ollama's and OpenAI's API, says what a script says, and can misbehave.

It refuses what the published formats forbid, so that an adapter cannot get away with less. Real servers are
tested in `tests/conformance`; this one is for faults and for engines.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core.chat import ChatSpec


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


class ChatServer:
    """`faults` are used up, one a request; `always` holds until it is taken back. `requests` is what was asked."""

    reply = Reply

    def __init__(self, script: Script = obedient, port: int = 0) -> None:
        self.script = script
        self.faults: deque[str] = deque()
        self.always = ""
        self.keys: list[str | None] = []
        self.requests: list[Request] = []
        self.bodies: list[dict[str, Any]] = []
        self._http = _Quiet(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

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

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class Forbidden(ValueError):
    """The request does not follow the published format."""


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: two would wait for each other's acknowledgement

        def do_GET(self) -> None:
            self._answer(200, {"models": [{"name": "scripted:latest", "digest": "sha256:" + "a" * 64}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.keys.append(self.headers.get("Authorization"))
            server.bodies.append(body)
            fault = server.faults.popleft() if server.faults else server.always
            if fault.isdigit() or ":" in fault:
                status, _, after = fault.partition(":")
                message = f"out of luck with {self.headers.get('Authorization')}"
                return self._answer(
                    int(status), {"error": {"message": message}}, {"Retry-After": after} if after else {}
                )
            if fault == "drop":
                self.close_connection = True
                return None
            if fault == "slow":
                time.sleep(1.0)
            if fault in ("garbage", "huge", "empty"):
                raw = {"garbage": b"<html>welcome</html>", "huge": b" " * (9 << 20), "empty": b"{}"}
                return self._raw(200, raw[fault])
            native = self.path == "/api/chat"
            try:
                request = _ollama_request(body) if native else _openai_request(body)
            except (Forbidden, KeyError, TypeError) as error:
                return self._answer(400, {"error": {"message": f"{type(error).__name__}: {error}"}})
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
            return self._answer(200, answer)

        def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
            self._raw(status, json.dumps(value).encode(), headers)

        def _raw(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler


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
        if message["role"] not in ("system", "user", "assistant", "tool") or not isinstance(message["content"], str):
            raise Forbidden(f"message {message}")
        for call in message.get("tool_calls", ()):
            if not isinstance(call["function"]["arguments"], dict):
                raise Forbidden("a call's arguments must be an object")
        turns.append((message["role"], message["content"]))
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
