"""Durable objects: calls, wakes, memory, takeover and alarms, each against what issue and docs promise, or bare
statements.

The node is a process of its own, the clients another; a row beside the first goes through the gateway too. What bounds
each: calls of trusted types by the CPU of node, client and PostgreSQL on the same cores, and by the commits' wait for
the disk; one hot object by the latency of one step and commit after the other; wakes in the sandbox by its start.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from core.database import Database
from core.events import DEFAULT_TEAM
from objects.client import Objects
from objects.model import Address, Call, Reply
from objects.router import Node, Router
from objects.store import NodeStore
from objects.submissions import Submission, submit
from tests.bench.gateway import _gateway
from tests.bench.running import database_server

ROOT = Path(__file__).parents[2]
CALLS, OBJECTS, AT_ONCE = 3000, 1000, 12
HOT = 600
WAKES = 60
HIBERNATING = 100_000
ALARMS = 1000
LEASE = 5.0

ECHO = "def handle(state, message):\n    return {'n': state['n'] + 1}, state['n']\n"
MANIFEST: dict[str, Any] = {"initial": {"n": 0}, "methods": {"go": {}}}


class Bench:
    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home
        self.store = NodeStore(url)
        self.database = Database(url)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.router = Router(self._nodes)

    async def _nodes(self) -> list[Node]:
        return [Node(*row) for row in await asyncio.to_thread(self.store.nodes)]

    def _a_call(self, kind: str, key: str, method: str, argument: Any) -> Call:
        text = json.dumps(argument)
        return Call(Address(DEFAULT_TEAM, kind, key), method, text, str(uuid.uuid4()), "bench", time.time() + 60)

    def call(self, kind: str, key: str, method: str, argument: Any = None) -> Reply:
        made = self._a_call(kind, key, method, {} if argument is None else argument)
        return asyncio.run_coroutine_threadsafe(self.router.call(made), self.loop).result(90)

    def many(self, keys: list[str], at_once: int) -> tuple[float, list[float]]:
        """Adds one to a register for each key; calls a second, and the seconds that each took."""

        async def run() -> tuple[float, list[float]]:
            waiting, took = iter(keys), []

            async def client() -> None:
                for key in waiting:
                    began = time.perf_counter()
                    reply = await self.router.call(self._a_call("register", key, "add", {}))
                    assert reply.ok, reply
                    took.append(time.perf_counter() - began)

            began = time.perf_counter()
            await asyncio.gather(*(client() for _ in range(at_once)))
            return len(keys) / (time.perf_counter() - began), took

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(300)

    @contextmanager
    def node(self) -> Iterator[subprocess.Popen[bytes]]:
        environment = {
            **os.environ,
            "PENSTOCK_DATABASE_URL": self.url,
            "PENSTOCK_HOME": str(self.home),
            "PENSTOCK_OBJECT_LEASE_SECONDS": str(LEASE),
            "PENSTOCK_LOG_LEVEL": "error",
        }
        before = len(self.store.nodes())
        process = subprocess.Popen([sys.executable, "-m", "penstock", "object", "node"], env=environment)
        try:
            deadline = time.monotonic() + 60
            while len(self.store.nodes()) <= before:
                assert time.monotonic() < deadline, "the node does not start"
                time.sleep(0.05)
            time.sleep(0.6)
            yield process
        finally:
            process.kill()
            process.wait()

    def hibernate(self) -> None:
        """Every object leaves memory, as after a minute."""
        with self.database.system() as connection:
            connection.execute("UPDATE objects SET epoch = epoch + 1, node = NULL, status = 'Hibernating'")

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.router.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.store.close()
        self.database.close()


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder, database_server() as server:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        bench = Bench(server.url("bench"), home)
        try:
            return _measured(bench)
        finally:
            bench.close()


def _measured(bench: Bench) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with bench.node() as process:
        keys = [f"k{n % OBJECTS}" for n in range(CALLS)]
        bench.many(keys[:OBJECTS], AT_ONCE)  # the objects are made
        bare = _bare(bench.url, CALLS, AT_ONCE)
        rate, took = bench.many(keys, AT_ONCE)
        rows.append(_row("trusted calls over 1,000 objects", rate, "calls/s", "what they must reach", 250))
        rows.append(_row("the same", rate, "calls/s", "bare UPDATE and INSERT, committed one by one", bare))
        rows.append(_within("their p95", _p95(took) * 1000, "ms", 40))
        rate, took = bench.many(["hot"] * HOT, 8)
        rows.append(_row("one hot object", rate, "calls/s", "what it must reach", 100))
        rows += _through_the_gateway(bench)
        bench.hibernate()
        time.sleep(0.5)
        _, took = bench.many([f"k{n}" for n in range(WAKES)], 1)
        rows.append(_within("wake of a trusted object, p95", _p95(took) * 1000, "ms", 100))
        rows += _wakes_in_the_sandbox(bench)
        rows += _memory(bench, process)
        rows += _alarms(bench)
        rows += _takeover(bench, process)
    return rows


def _bare(url: str, times: int, at_once: int) -> float:
    """Transactions a second that update a row and insert one, on as many connections."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=penstock,public") as connection:
        connection.execute("SET ROLE penstock_system")
        connection.execute("INSERT INTO log_groups VALUES ('bench', 'penstock.tasks', 0) ON CONFLICT DO NOTHING")

    def work(number: int) -> None:
        with psycopg.connect(url, autocommit=True, options="-c search_path=penstock,public") as connection:
            connection.execute("SET ROLE penstock_system")
            for turn in range(times // at_once):
                connection.execute(
                    "WITH one AS (UPDATE objects SET last_call_at = clock_timestamp() WHERE (team_id, type, key) = "
                    "(%s, 'register', %s) RETURNING 1) INSERT INTO object_faults (team_id, type, key, code_version, "
                    "what, reason) SELECT %s, 'bench', 'x', 1, 'call', 'x' FROM one",
                    (DEFAULT_TEAM, f"k{(number * 97 + turn) % OBJECTS}", DEFAULT_TEAM),
                    prepare=True,
                )

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, range(at_once)))
    return times / (time.perf_counter() - began)


def _through_the_gateway(bench: Bench) -> list[dict[str, Any]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        _gateway(Path(folder), bench.url, PENSTOCK_TOKEN_RATE="0") as port,
    ):
        from core.credentials import load_or_make
        from core.settings import Settings

        token = load_or_make(Settings(home=Path(folder))).api_token
        objects = Objects(f"http://127.0.0.1:{port}", token)
        objects.call("register", "g", "add", {})
        took: list[float] = []

        def work(number: int) -> None:
            own = Objects(f"http://127.0.0.1:{port}", token)
            for turn in range(100):
                began = time.perf_counter()
                own.call("register", f"k{(number * 100 + turn) % OBJECTS}", "add", {})
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        rate = 400 / (time.perf_counter() - began)
    return [_row("trusted calls through the gateway", rate, "calls/s", "what calls must reach", 250)]


def _wakes_in_the_sandbox(bench: Bench) -> list[dict[str, Any]]:
    stored, cold, idle = [], [], []
    for turn in range(6):
        # The first takes the process in store; the next finds none, since that is replaced meanwhile.
        for name, times in ((f"stored-{turn}", stored), (f"cold-{turn}", cold)):
            _let_in(bench, name)
            if turn == 0 and times is stored:
                bench.call(name, "first", "go")  # which opens the sandbox, and puts a process in store
                time.sleep(2)
                _let_in(bench, name := "stored-again")
            times.append(_timed(bench, name))
        bench.hibernate()
        idle.append(_timed(bench, f"cold-{turn}"))
        time.sleep(2)
    return [
        _within("wake in the sandbox, cold (median of 6)", statistics.median(cold) * 1000, "ms", 400),
        _within("wake in the sandbox, from the store (median of 6)", statistics.median(stored) * 1000, "ms", 60),
        _within("wake in the sandbox, its process idle (median of 6)", statistics.median(idle) * 1000, "ms", 60),
    ]


def _let_in(bench: Bench, name: str) -> None:
    """Code that serves as if the gate had let it out."""
    with bench.database.team(DEFAULT_TEAM) as connection:
        row = submit(connection, DEFAULT_TEAM, Submission(name, f"{ECHO}# {name}\n", MANIFEST, [], "bench", 100))
        connection.execute("UPDATE object_code SET state = 'accepted' WHERE type = %s", (name,))
        connection.execute("UPDATE object_types SET active_version = %s WHERE type = %s", (row.version, name))


def _timed(bench: Bench, name: str) -> float:
    began = time.perf_counter()
    reply = bench.call(name, "a", "go")
    assert reply.ok, reply
    return time.perf_counter() - began


def _memory(bench: Bench, process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    before = _resident(process.pid)
    with bench.database.system() as connection:
        connection.execute(
            "INSERT INTO objects (team_id, type, key, code_version, status, state, state_version) "
            "SELECT %s, 'register', 'h' || n, 1, 'Hibernating', %s, 1 FROM generate_series(1, %s) n",
            (DEFAULT_TEAM, '{"value":null,"count":1,"lock":null,"fence":0}', HIBERNATING),
        )
    bench.many([f"h{n}" for n in range(1, 50)], 1)
    time.sleep(5)
    grown = max(0.1, (_resident(process.pid) - before) / (1 << 20))
    return [_within("100,000 hibernating objects: memory of the node", grown, "MiB", 5)]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _alarms(bench: Bench) -> list[dict[str, Any]]:
    with bench.database.system() as connection:
        connection.execute(
            "INSERT INTO object_alarms (team_id, type, key, name, kind, due_at, method, argument, next_try_at) "
            "SELECT %s, 'register', 'k' || n, 'bench', 'alarm', clock_timestamp() + interval '1 second', 'add', '{}', "
            "clock_timestamp() + interval '1 second' FROM generate_series(0, %s) n",
            (DEFAULT_TEAM, ALARMS - 1),
        )
    began = time.monotonic() + 1

    def left() -> int:
        with bench.database.system() as connection:
            row = connection.execute("SELECT count(*) FROM object_alarms").fetchone()
        return int(row[0]) if row else 0

    _until(lambda: left() == 0, 60)
    took = time.monotonic() - began
    return [_row("1,000 alarms that are due at once", took, "s", "what they must be done in", 10, less=True)]


def _takeover(bench: Bench, process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    key = "takeover"
    bench.call("register", key, "add")
    with bench.node():
        process.kill()
        process.wait()
        began = time.monotonic()
        assert bench.call("register", key, "add").ok
        took = time.monotonic() - began
    return [_row("takeover of a killed node's object", took, "s", "the lease and 2 s", LEASE + 2, less=True)]


def _until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def _within(name: str, value: float, unit: str, most: float) -> dict[str, Any]:
    return _row(name, value, unit, "what it must stay under", most, less=True)


def _row(name: str, value: float, unit: str, against: str, aim: float, *, less: bool = False) -> dict[str, Any]:
    """`ratio` is how many times better than the aim it is."""
    ratio = aim / value if less else value / aim
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "against": against,
        "against_value": round(aim, 2),
        "ratio": round(ratio, 2),
    }
