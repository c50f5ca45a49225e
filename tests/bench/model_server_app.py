"""A model server that answers at once with the same text, for measuring what stands in front of it.

`python -m tests.bench.model_server_app` prints its port and serves until it is ended.
"""

import asyncio
import json
import sys

from aiohttp import web

_MESSAGE = {"role": "assistant", "content": "It should be 3. " * 40}
_USAGE = {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700}
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()


async def chat(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "bench"}]})


async def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
