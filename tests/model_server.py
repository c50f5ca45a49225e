"""A loopback model server with Ollama's and OpenAI's API that injects faults.

Its vectors are those of feature hashing. `tests/conformance` tests real servers; this one is for faults, which real
servers do not produce on demand.
"""

import threading
import time
from typing import Any

from core.embedding import Served
from core.embedding.hashing import HashingEmbedder
from tests.loopback_server import LoopbackServer, OllamaHandler

DIMENSIONS = 64


class ModelServer(LoopbackServer):
    """`batches` holds the number of texts of each request, `most_at_once` the maximum of simultaneous requests."""

    def __init__(self) -> None:
        self.digests = {"hashing": "a" * 64}
        self.can_pull: set[str] = set()
        facts = {"bert.embedding_length": DIMENSIONS, "bert.context_length": 256}
        self.told = {"capabilities": ["embedding"], "details": {"family": "bert"}, "model_info": facts}
        self.batches: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.longest = 10**9
        self.poison: dict[str, str] = {}
        """What happens to a request with a text that holds this word: a status, or `nan` or `zeros` for that text."""
        self.lock = threading.Lock()
        self.model = HashingEmbedder(DIMENSIONS)
        super().__init__(_Handler)

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


class _Handler(OllamaHandler):
    def do_POST(self) -> None:
        server: ModelServer = self.owner
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self._post(server)
        finally:
            with server.lock:
                server.at_once -= 1

    def _post(self, server: ModelServer) -> None:
        body = self.body()
        if self.managed(body):
            return None
        texts = body["input"]
        server.batches.append(len(texts))
        fault = self.fault()
        if self.misbehaved(fault):
            return None
        if fault == "drip":
            return self._drip()
        if any(len(text) > server.longest for text in texts):
            return self.answer(400, {"error": "the input length exceeds the context length"})
        bad = {n: what for word, what in server.poison.items() for n, text in enumerate(texts) if word in text}
        if status := next((what for what in bad.values() if what.isdigit()), ""):
            return self.answer(int(status), {"error": {"message": "the worker has crashed"}})
        vectors = [[float(x) for x in row] for row in server.model.embed_documents([t or "x" for t in texts])]
        # Feature hashing knows no word in a text of signs; a model of tokens always knows some.
        vectors = [row if any(row) else [1.0] + [0.0] * (DIMENSIONS - 1) for row in vectors]
        vectors = _spoil(vectors, fault)
        for n, what in bad.items():
            vectors[n] = [float("nan") if what == "nan" else 0.0] * DIMENSIONS
        if self.path == "/api/embed":
            return self.answer(200, {"embeddings": vectors, "prompt_eval_count": 7 * len(texts)})
        data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(vectors)]
        if fault == "shuffled":
            data = data[::-1]
        if fault == "doubled":
            data = [{**item, "index": 0} for item in data]
        return self.answer(200, {"data": data, "usage": {"prompt_tokens": 7 * len(texts)}})

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
