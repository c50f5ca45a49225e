"""A model server with both dialects whose behaviour tests choose: a real HTTP server, in a thread or as a process.

As a process, `python -m tests.model_backend [--port N] [--behaviour B]` prints its port. Behaviours: `honest`, `slow`
(a token every 50 ms), `late` (a second before the first byte), `dies` (closes after three tokens), `dies-early` (closes
before any token), `endless` (never the last event), `stalls` (after two tokens), `hangs` (never answers), `garbage`,
`wrong-dialect` (200 with another API's answer), `error-event` (an error as the stream's first event), `huge`, a status.
"""

import argparse
import asyncio
import json
import threading
from typing import Any

from aiohttp import web

WORDS = ("one ", "two ", "three ", "four ", "five")
TEXT = "".join(WORDS)
CLOSED = web.Response(status=500)


class ModelBackend:
    """`bodies` are the requests that came, with their path; `headers` theirs; `finished` counts whole answers."""

    def __init__(self, behaviour: str = "honest", *, models: tuple[str, ...] = ("m",), port: int = 0) -> None:
        self.behaviour = behaviour
        self.models = models
        self.loaded: tuple[str, ...] = ()
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.finished = 0
        self.at_once = 0
        self.most_at_once = 0
        self.healthy = True
        self.name = "backend"
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "ModelBackend":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def stop(self) -> None:
        if self._loop.is_closed() or not self._up.is_set():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20)
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            app.router.add_post(path, self._answer)
        for path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"):
            app.router.add_post(path, self._answer)
        app.router.add_get("/v1/models", self._listed)
        app.router.add_get("/api/tags", self._listed)
        app.router.add_get("/api/ps", self._listed)
        app.router.add_get("/api/version", self._listed)
        return app

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port).start())
        self.port = runner.addresses[0][1]
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listed(self, request: web.Request) -> web.StreamResponse:
        if self.behaviour == "hangs":
            await asyncio.sleep(3600)
        if not self.healthy:
            return web.json_response({"error": "not now"}, status=503)
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})
        if request.path == "/api/version":
            return web.json_response({"version": "0.6.8"})
        shown = self.loaded if request.path == "/api/ps" else self.models
        listed = [{"name": f"{name}:latest", "model": f"{name}:latest", "digest": "a" * 64} for name in shown]
        return web.json_response({"models": listed})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append((request.path, body))
        self.headers.append(dict(request.headers))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._behave(request, body)
        finally:
            self.at_once -= 1

    async def _behave(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        behaviour = self.behaviour
        if behaviour.isdigit():
            return web.json_response({"error": {"message": "out of luck"}}, status=int(behaviour))
        if behaviour == "hangs":
            await asyncio.sleep(3600)
        if behaviour == "late":
            await asyncio.sleep(1.0)
        if behaviour == "dies-early":
            assert request.transport is not None
            request.transport.close()
            return CLOSED
        if behaviour == "garbage":
            return web.Response(body=b"<html>welcome</html>", content_type="text/html")
        if behaviour == "huge":
            return web.Response(body=b'{"choices": "' + b"x" * (3 << 20) + b'"}', content_type="application/json")
        ollama = request.path.startswith("/api/") != (behaviour == "wrong-dialect")
        streams = body.get("stream", request.path in ("/api/chat", "/api/generate"))
        if streams:
            return await self._stream(request, body, ollama)
        if behaviour in ("slow", "dies"):
            await asyncio.sleep(0.3)
        if behaviour == "dies":
            assert request.transport is not None
            request.transport.close()
            return CLOSED
        self.finished += 1
        return web.json_response(self._whole(request.path, body, ollama))

    def _whole(self, path: str, body: dict[str, Any], ollama: bool) -> dict[str, Any]:
        if "embed" in path:
            texts = body.get("input", body.get("prompt"))
            number = len(texts) if isinstance(texts, list) else 1
            vectors = [[float(n), 1.0] for n in range(number)]
            if ollama:
                return {"embeddings": vectors, "embedding": vectors[0], "prompt_eval_count": 7}
            data = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
            return {"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        if path == "/api/show":
            return {"details": {"family": "test"}, "capabilities": ["completion"], "model_info": {}}
        if ollama:
            done = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5}
            content = {"response": TEXT} if path == "/api/generate" else {"message": _message(TEXT)}
            return {"model": body["model"], "created_at": "2026-01-01T00:00:00Z", **content, **done}
        choice = {"index": 0, "message": _message(TEXT), "text": TEXT, "finish_reason": "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        return {"id": "x", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}

    async def _stream(self, request: web.Request, body: dict[str, Any], ollama: bool) -> web.StreamResponse:
        behaviour = self.behaviour
        response = web.StreamResponse(
            headers={"Content-Type": "application/x-ndjson" if ollama else "text/event-stream"}
        )
        await response.prepare(request)

        async def send(value: dict[str, Any] | str) -> None:
            text = value if isinstance(value, str) else json.dumps(value)
            await response.write(f"{text}\n".encode() if ollama else f"data: {text}\n\n".encode())

        if behaviour == "error-event":
            await send({"error": "the model crashed" if ollama else {"message": "the model crashed"}})
            return response
        for number, word in enumerate(WORDS):
            if behaviour == "slow":
                await asyncio.sleep(0.05)
            if behaviour == "dies" and number == 3:
                assert request.transport is not None
                request.transport.close()
                return response
            if behaviour == "stalls" and number == 2:
                await asyncio.sleep(3600)
            if ollama:
                await send({"model": body["model"], "message": _message(word), "response": word, "done": False})
            else:
                delta = {"index": 0, "delta": {"content": word}, "text": word, "finish_reason": None}
                await send({"id": "x", "object": "chat.completion.chunk", "choices": [delta]})
        if behaviour != "endless":
            if ollama:
                counts = {"done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5}
                await send({"model": body["model"], "message": _message(""), "done": True, **counts})
            else:
                options = body.get("stream_options") or {}
                if options.get("include_usage"):
                    await send({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 5}})
                await send("[DONE]")
        self.finished += 1
        return response


def _message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


async def _serve(backend: ModelBackend) -> None:
    runner = web.AppRunner(backend.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", backend.port, reuse_address=True).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", default="honest")
    given = parser.parse_args()
    asyncio.run(_serve(ModelBackend(given.behaviour, port=given.port)))
