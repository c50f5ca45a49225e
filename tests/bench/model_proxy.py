"""What the routing proxy adds to a request to a model: the same requests through it and directly, at 200 a second.

Model server, proxy and client are processes of their own. Stretches of both kinds alternate, so that both meet the
same machine. The proxy checks an API token and writes accounts to PostgreSQL, as in production. Latency is measured
from when a request was due. Requests have a prompt of 2,000 bytes; the server answers at once, so that all that is
measured is the way there and back.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import psycopg

from core.access.roles import Role
from core.access.tokens import create_token
from core.database import Database
from core.events import DEFAULT_TEAM
from tests.bench.running import database_server

ROOT = Path(__file__).parents[2]
RATE = 200.0
STRETCH_SECONDS = float(os.environ.get("PENSTOCK_BENCH_STRETCH", "5"))
STRETCHES = 4
_CONFIG = """
[[backends]]
name = "one"
url = "http://127.0.0.1:{port}/v1"
kind = "openai"
model = "bench"
concurrency = 64
[[models]]
name = "bench"
prompt_price = 0.5
completion_price = 1.5
"""
_BODY = json.dumps(
    {"model": "bench", "messages": [{"role": "user", "content": "Total is wrong. " * 125}], "max_tokens": 300}
).encode()


@contextlib.contextmanager
def _process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if environment else None,
        text=True,
        env={**own, "PYTHONPATH": str(ROOT), **environment},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextlib.contextmanager
def _database() -> Iterator[tuple[str, str]]:
    """A database's URL, and an API token in it."""
    with database_server() as server:
        database = Database(server.url("bench"))
        with database.team(DEFAULT_TEAM) as connection:
            _, token = create_token(connection, DEFAULT_TEAM, "bench", role=Role.OPERATOR)
        database.close()
        yield server.url("bench"), token


@contextlib.contextmanager
def _proxy(database_url: str, port: int) -> Iterator[tuple[int, int]]:
    """The proxy's port, and its process."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, "model-proxy.toml").write_text(_CONFIG.format(port=port))
        environment = {"PENSTOCK_HOME": home, "PENSTOCK_DATABASE_URL": database_url}
        with _process("penstock", "model-proxy", "--port", "0", **environment) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if '"listening"' in line:
                    yield int(json.loads(line)["port"]), process.pid
                    return
            raise RuntimeError("the proxy did not start")


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def _paced(session: aiohttp.ClientSession, url: str, token: str) -> list[float]:
    """Latencies in seconds of requests that are due `RATE` times a second, answered or not those before."""
    found: list[float] = []
    began = time.perf_counter() + 0.05

    async def one(due: float) -> None:
        async with session.post(url, data=_BODY, headers={"Authorization": f"Bearer {token}"}) as answer:
            content = await answer.read()
            if answer.status != 200 or b'"choices"' not in content:
                raise RuntimeError(f"answered {answer.status}: {content[:200]!r}")
        found.append(time.perf_counter() - due)

    tasks = []
    for number in range(int(RATE * STRETCH_SECONDS)):
        due = began + number / RATE
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return found


async def _alternating(direct: str, proxied: str, token: str) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    theirs: list[float] = []
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), headers=headers) as session:
        for url in (direct, proxied):
            await _paced(session, url, token)  # warm
        for _ in range(STRETCHES):
            theirs += await _paced(session, direct, token)
            ours += await _paced(session, proxied, token)
    return ours, theirs


def measure() -> list[dict[str, Any]]:
    """Latency (p50 and p99) through the proxy and directly, and what the proxy adds."""
    path = "/v1/chat/completions"
    with _database() as (url, token), _process("tests.bench.model_server_app") as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with _proxy(url, port) as (proxy, pid):
            direct, proxied = (f"http://127.0.0.1:{one}{path}" for one in (port, proxy))
            before = [_cpu(one) for one in (pid, server.pid)]
            ours, theirs = asyncio.run(_alternating(direct, proxied, token))
            used = [_cpu(one) - then for one, then in zip((pid, server.pid), before, strict=True)]
            time.sleep(2.5)
        with psycopg.connect(url, options="-c search_path=penstock,public") as connection:
            connection.execute("SET ROLE penstock_system")
            row = connection.execute("SELECT count(*) FROM model_requests WHERE outcome = 'ok'").fetchone()
        sent = int(RATE * STRETCH_SECONDS) * (STRETCHES + 1)
        if row is None or row[0] != sent:
            raise RuntimeError(f"{row} of {sent} requests are accounted")
    rows = []
    for name, pick in (("p50", 50), ("p99", 99)):
        mine, bare = (statistics.quantiles(found, n=100)[pick - 1] * 1000 for found in (ours, theirs))
        rows.append(
            {
                "name": f"model request through the proxy at {RATE:g}/s, {name} (it adds {mine - bare:.2f} ms)",
                "value": round(mine, 2),
                "unit": "ms",
                "against": "the same request sent directly",
                "against_value": round(bare, 2),
                "ratio": round(mine / bare, 2),
            }
        )
    in_proxy, in_server = used[0] / sent * 1e6, used[1] / (2 * sent) * 1e6
    rows.append(
        {
            "name": "processor time of a model request in the proxy",
            "value": round(in_proxy),
            "unit": "µs",
            "against": "in a model server that does nothing, of aiohttp",
            "against_value": round(in_server),
            "ratio": round(in_proxy / in_server, 2),
        }
    )
    return rows
