"""Clients, gateway and database of threads are killed, stopped and cut off from each other, at random, by a seed.

After each round the network is healed and what was killed runs again: within 35 seconds all queues are empty, all
clients read the same, and what a client acknowledged is in the log exactly once. Then traffic goes on.
`PENSTOCK_TEST_ROUNDS` is how many rounds there are, `PENSTOCK_TEST_SEED` the first one's seed.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from core.credentials import ensure_secrets
from core.database import Database
from core.database.embedded import LOGIN, DatabaseNotStarted, EmbeddedServer
from core.database.schema import upgrade
from core.settings import Settings
from tests.faults.proxy import Proxy
from threads.client.client import ThreadClient
from threads.client.transport import HttpTransport, Tokens

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("PENSTOCK_TEST_ROUNDS", "20"))
pytestmark = [pytest.mark.services, pytest.mark.timeout(900 + 60 * ROUNDS)]
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "1"))
CLIENTS = 10
HEALED_WITHIN = 35.0


class Arena:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedServer(folder / "data")
        self.server.ensure_database("threads")
        upgrade(self.server.url("threads", owner=True), login=LOGIN)
        self.settings = Settings(home=folder / "home", gateway_port=0)
        database = Database(self.server.url("threads"))
        self.token = ensure_secrets(self.settings, database).api_token
        database.close()
        self.gateway, self.port = self._start_gateway(0)
        self.proxies = [Proxy(("127.0.0.1", self.port)) for _ in range(2)]
        self.threads = [str(uuid.uuid4()) for _ in range(3)]
        mutations = [
            {"id": n, "thread": thread, "kind": "create", "title": f"thread {n}", "visibility": "team"}
            for n, thread in enumerate(self.threads, 1)
        ]
        body = {"protocol": 1, "client": str(uuid.uuid4()), "mutations": mutations}
        assert self.call("POST", "/sync/push", json=body).status_code == 200
        self.writers: dict[int, subprocess.Popen[bytes]] = {}
        for number in range(CLIENTS):
            self.start_writer(number)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30, **more)

    def _start_gateway(self, port: int) -> tuple[subprocess.Popen[bytes], int]:
        log = self.folder / f"gateway-{uuid.uuid4().hex[:6]}.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            cwd=ROOT,
            stderr=log.open("w"),
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
                "PENSTOCK_HOME": str(self.settings.home),
                "PENSTOCK_GATEWAY_PORT": str(port),
                "PENSTOCK_DATABASE_URL": self.server.url("threads"),
                "PENSTOCK_TOKEN_RATE": "0",
            },
        )
        until = time.monotonic() + 60
        while True:
            lines = [line for line in log.read_text().splitlines() if '"listening"' in line]
            if lines:
                return process, int(json.loads(lines[0])["port"])
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)

    def file(self, number: int) -> Path:
        return self.folder / f"client-{number}.db"

    def start_writer(self, number: int) -> None:
        name = f"{number}-{uuid.uuid4().hex[:4]}"
        arguments = [str(self.file(number)), self.proxies[number % 2].address, self.token, name, "10", *self.threads]
        self.writers[number] = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.thread_writer", *arguments], cwd=ROOT
        )

    # Faults

    def kill_client(self, chance: random.Random) -> None:
        for number in chance.sample(range(CLIENTS), 3):
            self.writers[number].kill()
            self.writers[number].wait()
            self.start_writer(number)

    def stop_client(self, chance: random.Random) -> None:
        for number in chance.sample(range(CLIENTS), 3):
            self.writers[number].send_signal(signal.SIGSTOP)

    def kill_gateway(self, _: random.Random) -> None:
        self.gateway.kill()
        self.gateway.wait()
        self.gateway, _port = self._start_gateway(self.port)

    def kill_database(self, _: random.Random) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        until = time.monotonic() + 60
        while self.server.alive():
            assert time.monotonic() < until
            time.sleep(0.02)
        while not self.server.alive():
            try:
                self.server.start_again()
            except DatabaseNotStarted:
                assert time.monotonic() < until
                time.sleep(0.2)

    def partition(self, chance: random.Random) -> None:
        proxy = chance.choice(self.proxies)
        proxy.inwards, proxy.outwards = chance.choice(((False, True), (True, False), (False, False)))

    def heal(self) -> None:
        for proxy in self.proxies:
            proxy.heal()
        for number, writer in self.writers.items():
            writer.send_signal(signal.SIGCONT)
            assert writer.poll() is None, f"client {number} ended by itself"

    # What must hold

    def expect_traffic(self, ops: int) -> None:
        """After the faults, what clients write arrives again."""
        until = time.monotonic() + HEALED_WITHIN
        while sum(len(found) for found in self.log().values()) <= ops:
            assert time.monotonic() < until, "traffic does not go on"
            time.sleep(0.2)

    def rest(self) -> None:
        """No client writes, all of them sync, until the queues are empty and all have read everything."""
        for writer in self.writers.values():
            writer.kill()
            writer.wait()
        began = time.monotonic()
        clients = [
            ThreadClient(self.file(number), HttpTransport(self.proxies[number % 2].address, Tokens(self.token)))
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
            client._watched += 1
        log = self.log()
        try:
            while True:
                waiting = sum(client.sync.waiting() for client in clients)
                if waiting == 0 and all(self._reads(client, log) for client in clients):
                    break
                assert time.monotonic() - began < HEALED_WITHIN, f"{waiting} changes still wait"
                time.sleep(0.1)
                log = self.log()
            assert all(client.dead_letters() == [] for client in clients)
        finally:
            for client in clients:
                client.close()
        self.check(log)

    def _reads(self, client: ThreadClient, log: dict[str, list[tuple[int, str | None, str]]]) -> bool:
        for thread in self.threads:
            snapshot = client.snapshot(thread)
            if snapshot.head != (log[thread][-1][0] if log[thread] else 1):
                return False
            if any(one.pending for one in snapshot.messages):
                return False
        return True

    def check(self, log: dict[str, list[tuple[int, str | None, str]]]) -> None:
        snapshots: dict[str, set[tuple[str, ...]]] = {thread: set() for thread in self.threads}
        for number in range(CLIENTS):
            said = [tuple(line.split()) for line in Path(f"{self.file(number)}.said").read_text().splitlines()]
            for thread, message in said:
                count = sum(1 for _, identity, kind in log[thread] if identity == message and kind == "append")
                assert count == 1, f"message {message} of client {number} is in the log {count} times"
            with sqlite3.connect(self.file(number)) as db:
                for thread in self.threads:
                    rows = db.execute("SELECT message FROM messages WHERE thread = ? ORDER BY seq", (thread,))
                    snapshots[thread].add(tuple(text for (text,) in rows))
        assert all(len(found) == 1 for found in snapshots.values()), "clients read different things"

    def log(self) -> dict[str, list[tuple[int, str | None, str]]]:
        found: dict[str, list[tuple[int, str | None, str]]] = {thread: [] for thread in self.threads}
        with psycopg.connect(
            self.server.url("threads", owner=True), options="-c search_path=penstock,public"
        ) as connection:
            rows = connection.execute("SELECT thread_id::text, seq, body ->> 'id', kind FROM thread_ops ORDER BY 1, 2")
            for thread, seq, identity, kind in rows:
                found[thread].append((seq, identity, kind))
        for ops in found.values():
            assert [seq for seq, *_ in ops] == list(range(1, len(ops) + 1)), "a gap in a thread"
        return found

    def close(self) -> None:
        for writer in self.writers.values():
            if writer.poll() is None:
                writer.kill()
            writer.wait()
        for proxy in self.proxies:
            proxy.close()
        self.gateway.terminate()
        self.gateway.wait(20)
        self.server.release()


@pytest.fixture
def arena() -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="penstock-threads-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        made = Arena(Path(folder))
        yield made
        made.close()


def test_a_lease_holder_that_was_stopped_writes_nothing_when_it_is_thawed(arena: Arena) -> None:
    thread = arena.threads[0]
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.thread_holder", f"http://127.0.0.1:{arena.port}", arena.token, thread],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        first = int(holder.stdout.readline())
        assert holder.stdout.readline() == "used\n"
        holder.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 20
        while True:
            answer = arena.call("POST", f"/threads/{thread}/turn", json={"action": "claim", "holder": "next"})
            if answer.status_code == 200:
                break
            assert answer.json()["code"] == "turn" and time.monotonic() < until
            time.sleep(0.1)
        assert answer.json()["epoch"] == first + 1
        holder.send_signal(signal.SIGCONT)
        assert holder.stdout.readline() == "turn\n"  # how its next message was refused
    finally:
        holder.kill()
        holder.wait()
    messages = arena.call("GET", f"/threads/{thread}/messages?limit=200").json()["messages"]
    uses = [one["id"] for one in messages if one["role"] == "tool_use"]
    results = [one["body"] for one in messages if one["role"] == "tool_result"]
    assert [one["tool_use"] for one in results] == uses and all(one["error"] for one in results)


def test_whatever_is_killed_nothing_is_lost_or_repeated_and_work_goes_on(arena: Arena) -> None:
    faults: list[Callable[[random.Random], None]] = [
        *(arena.kill_client, arena.stop_client, arena.kill_gateway, arena.kill_database),
        *(arena.partition, arena.partition),
    ]
    before = 0
    for number in range(SEED, SEED + ROUNDS):
        chance = random.Random(number)  # noqa: S311
        time.sleep(0.3 + chance.random())
        for fault in chance.sample(faults, chance.choice((1, 1, 2))):
            fault(chance)
            time.sleep(chance.random() * 0.7)
        arena.heal()
        if (number - SEED) % 5 == 4 or number == SEED + ROUNDS - 1:
            arena.expect_traffic(before + 20)
            arena.rest()
            before = sum(len(ops) for ops in arena.log().values())
            for client in range(CLIENTS):
                arena.start_writer(client)
