"""A loopback HTTP server in a thread, and a handler that injects faults: the base of the tests' servers."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class LoopbackServer:
    """`faults` are used once each, one per request; `always` applies until reset. `keys` are the credentials received.

    A fault is a status (`503`, or with a time to wait `429:2`), `drop`, `slow`, or one of the handler's `raw` bodies.
    """

    def __init__(self, handler: "type[FaultyHandler]", port: int = 0) -> None:
        self.faults: deque[str] = deque()
        self.always = ""
        self.keys: list[str | None] = []
        self._http = _Quiet(("127.0.0.1", port), type("Handler", (handler,), {"owner": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect, which some tests do on purpose."""


class FaultyHandler(BaseHTTPRequestHandler):
    """Subclasses answer requests, and first call `misbehaved`."""

    owner: Any
    raw: ClassVar[dict[str, bytes]] = {"garbage": b"<html>welcome</html>", "huge": b" " * (9 << 20)}
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: two would wait for each other's acknowledgement

    def body(self) -> dict[str, Any]:
        """The request's JSON body; records its credentials."""
        self.owner.keys.append(self.headers.get("Authorization"))
        sent: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return sent

    def fault(self) -> str:
        """The next fault, or an empty string."""
        owner = self.owner
        return str(owner.faults.popleft() if owner.faults else owner.always)

    def misbehaved(self, fault: str, message: str = "out of luck") -> bool:
        """Injects the fault. Returns whether that was the whole answer."""
        if fault.isdigit() or ":" in fault:
            status, _, after = fault.partition(":")
            self.answer(int(status), {"error": {"message": message}}, {"Retry-After": after} if after else {})
        elif fault == "drop":
            self.close_connection = True
        elif fault in self.raw:
            self.send(200, self.raw[fault])
        else:
            if fault == "slow":
                time.sleep(1.0)
            return False
        return True

    def answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), headers)

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""


class OllamaHandler(FaultyHandler):
    """What both kinds of models have in common on Ollama: a list of them, what is loaded, and pulling.

    `owner.digests` are the models that are there, `owner.can_pull` those that may be pulled, `owner.told` is the
    answer of `/api/show`.
    """

    def do_GET(self) -> None:
        listed = [{"name": f"{name}:latest", "model": f"{name}:latest", "digest": f"sha256:{digest}"}
                  for name, digest in self.owner.digests.items()]  # fmt: skip
        if self.path == "/api/ps":
            loaded = {"size": 5_000_000_000, "size_vram": 4_000_000_000, "expires_at": "2026-01-01T00:00:00Z"}
            listed = [{**one, **loaded} for one in listed[:1]]
        self.answer(200, {"models": listed})

    def managed(self, body: dict[str, Any]) -> bool:
        """Whether a request was about having a model, and is answered."""
        if self.path == "/api/show":
            self.answer(200, self.owner.told)
        elif self.path == "/api/pull":
            lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
            if body["model"] in self.owner.can_pull:
                self.owner.digests[body["model"]] = "c" * 64
                lines += [{"status": "pulling", "total": 64 << 20, "completed": n << 25} for n in range(3)]
                lines.append({"status": "success"})
            else:
                lines.append({"error": "pull model manifest: file does not exist"})
            self.send(200, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        return self.path in ("/api/show", "/api/pull")
