"""An endpoint that reads a request and does nothing with it, of the same framework and server as the gateway's.

`python -m tests.bench.empty_app` prints its port and serves until it is ended.
"""

import asyncio
import sys

from fastapi import FastAPI, Request
from uvicorn import Config, Server

app = FastAPI()


@app.post("/webhooks/github", status_code=202)
async def receive(request: Request) -> dict[str, str]:
    await request.body()
    return {"status": "accepted"}


async def main() -> None:
    server = Server(Config(app, port=0, http="h11", ws="none", log_config=None, access_log=False))
    served = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await served


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
