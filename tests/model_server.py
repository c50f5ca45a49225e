"""A model server on loopback that speaks Ollama's and OpenAI's API and can be told to misbehave.

Its vectors are those of feature hashing. Real servers are tested in `tests/conformance`; this one is for
faults, which real servers cannot be asked for.
"""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core.embedding import Served
from core.embedding.hashing import HashingEmbedder

DIMENSIONS = 64


class ModelServer:
    """`faults` are used up, one a request; `always` holds until it is taken back. `texts` is what was asked."""

    def __init__(self) -> None:
        self.faults: deque[str] = deque()
        self.always = ""
        self.digest = "a" * 64
        self.keys: list[str | None] = []
        self.batches: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.longest = 10**9
        self.lock = threading.Lock()
        self.model = HashingEmbedder(DIMENSIONS)
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def spec(self, provider: str = "openai", **changes: Any) -> Served:
        values: dict[str, Any] = {
            "name": "served",
            "provider": provider,
            "url": self.url if provider == "ollama" else f"{self.url}/v1",
            "model": "hashing",
            "dimensions": DIMENSIONS,
            "max_tokens": 256,
            "timeout": 5.0,
            "retries": 2,
        }
        return Served.model_validate({**values, **changes})

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: two would wait for each other's acknowledgement

        def do_GET(self) -> None:
            self._answer(200, {"models": [{"name": "hashing:latest", "digest": server.digest}]})

        def do_POST(self) -> None:
            with server.lock:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                self._post()
            finally:
                with server.lock:
                    server.at_once -= 1

        def _post(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.keys.append(self.headers.get("Authorization"))
            texts = body["input"]
            server.batches.append(len(texts))
            fault = server.faults.popleft() if server.faults else server.always
            if fault.isdigit() or ":" in fault:
                status, _, after = fault.partition(":")
                headers = {"Retry-After": after} if after else {}
                return self._answer(int(status), {"error": {"message": "out of luck"}}, headers)
            if fault == "drop":
                self.close_connection = True
                return None
            if fault == "slow":
                time.sleep(1.0)
            if fault == "garbage":
                return self._raw(200, b"<html>welcome</html>")
            if fault == "huge":
                return self._raw(200, b" " * (8 << 20))
            if fault == "drip":
                return self._drip()
            if any(len(text) > server.longest for text in texts):
                return self._answer(400, {"error": "the input length exceeds the context length"})
            vectors = [[float(x) for x in row] for row in server.model.embed_documents([t or "x" for t in texts])]
            # Feature hashing knows no word in a text of signs; a model of tokens always knows some.
            vectors = [row if any(row) else [1.0] + [0.0] * (DIMENSIONS - 1) for row in vectors]
            vectors = _spoil(vectors, fault)
            if self.path == "/api/embed":
                return self._answer(200, {"embeddings": vectors, "prompt_eval_count": 7 * len(texts)})
            data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(vectors)]
            if fault == "shuffled":
                data = data[::-1]
            if fault == "doubled":
                data = [{**item, "index": 0} for item in data]
            return self._answer(200, {"data": data, "usage": {"prompt_tokens": 7 * len(texts)}})

        def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
            self._raw(status, json.dumps(value).encode(), headers)

        def _raw(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler


def _spoil(vectors: list[list[float]], fault: str) -> list[list[float]]:
    if fault == "width":
        return [row[:-1] for row in vectors]
    if fault == "ragged":
        return [*vectors[:-1], vectors[-1][:-1]]
    if fault == "nan":
        return [*vectors[:-1], [float("nan"), *vectors[-1][1:]]]
    if fault == "zeros":
        return [*vectors[:-1], [0.0] * DIMENSIONS]
    if fault == "words":
        return [*vectors[:-1], ["x"] * DIMENSIONS]  # type: ignore[list-item]
    if fault == "few":
        return vectors[:-1]
    if fault == "reversed":
        return vectors[::-1]
    if fault == "other":
        return [row[1:] + row[:1] for row in vectors]
    return vectors
