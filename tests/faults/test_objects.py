"""Three nodes of objects as processes, killed, stopped and thawed, cut off from the database, and the database
restarted, while clients call: registers and sets stay linearisable, locks are held once, no answered call is lost.

Twenty faults by a seed; `PENSTOCK_TEST_ROUNDS=200` for the long version.
"""

import asyncio
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.events import DEFAULT_TEAM
from objects.model import Address, Call, Reply, Unavailable
from objects.router import Node, Router
from objects.store import NodeStore
from tests.objects.linearizability import Operation, a_set, is_linearizable, register

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("PENSTOCK_TEST_ROUNDS", "20"))
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "1"))
LEASE = 1.5
OPERATIONS = 120
"""Of one object; then the clients go on to the next."""


class Cut:
    """A Unix socket before the database's, which can be cut and joined again: connections stay open and silent."""

    def __init__(self, folder: Path, target: str) -> None:
        self.open = threading.Event()
        self.open.set()
        self._target = target
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / ".s.PGSQL.5432"))
        self._server.listen(64)
        self.url = f"postgresql://{LOGIN}@/penstock?host={quote(str(folder), safe='/')}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._server.accept()
                outer = socket.socket(socket.AF_UNIX)
                try:
                    outer.connect(self._target)
                except OSError:
                    inner.close()
                    continue
                for one, other in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                self.open.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.open.set()
        self._server.close()


class Cluster:
    """A database, three nodes each behind a cut of its own, and a router."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder / "data")
        self.server.ensure_database("penstock")
        upgrade(self.server.url("penstock", owner=True), login=LOGIN)
        target = str(next((folder / "data").glob(".s.PGSQL.*")))
        self.cuts = []
        for number in range(3):
            (folder / f"cut{number}").mkdir()
            self.cuts.append(Cut(folder / f"cut{number}", target))
        self.folder = folder
        self.nodes = [self.start(number) for number in range(3)]
        self.store = NodeStore(self.server.url("penstock"))
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.router = Router(self._living)
        deadline = time.monotonic() + 60
        while len(self.store.nodes()) < 3:
            assert time.monotonic() < deadline, "the nodes do not start"
            time.sleep(0.1)

    async def _living(self) -> list[Node]:
        return [Node(*row) for row in await asyncio.to_thread(self.store.nodes)]

    def start(self, number: int) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PENSTOCK_HOME": str(self.folder / f"home{number}"),
            "PENSTOCK_DATABASE_URL": self.cuts[number].url,
            "PENSTOCK_OBJECT_LEASE_SECONDS": str(LEASE),
            "PENSTOCK_LOG_LEVEL": "error",
        }
        log = (self.folder / f"node{number}.log").open("ab")
        return subprocess.Popen([sys.executable, "-m", "penstock", "object", "node"], env=environment, stderr=log)

    def call(self, kind: str, key: str, method: str, argument: Any, seconds: float = 20.0) -> Reply:
        address = Address(DEFAULT_TEAM, kind, key)
        made = Call(address, method, json.dumps(argument), str(uuid.uuid4()), "test", time.time() + seconds)
        return asyncio.run_coroutine_threadsafe(self.router.call(made), self.loop).result(seconds + 30)

    def owner(self, key: str) -> int | None:
        """The number of the node that runs an object."""
        with suppress(Unavailable), self.store.connection() as connection:
            row = connection.execute(
                "SELECT n.address FROM objects o JOIN object_nodes n ON n.id = o.node WHERE o.key = %s", (key,)
            ).fetchone()
            port = int(row[0].rpartition(":")[2]) if row else 0
            return next((n for n, process in enumerate(self.nodes) if _listens(process.pid, port)), None)
        return None

    # faults

    def kill(self, number: int, chance: random.Random) -> None:
        self.nodes[number].send_signal(signal.SIGKILL)
        self.nodes[number].wait()
        self.nodes[number] = self.start(number)

    def freeze(self, number: int, chance: random.Random) -> None:
        self.nodes[number].send_signal(signal.SIGSTOP)
        time.sleep(LEASE * chance.uniform(0.6, 1.8))
        self.nodes[number].send_signal(signal.SIGCONT)

    def partition(self, number: int, chance: random.Random) -> None:
        self.cuts[number].open.clear()
        time.sleep(LEASE * chance.uniform(0.6, 1.8))
        self.cuts[number].open.set()

    def drain(self, number: int, chance: random.Random) -> None:
        self.nodes[number].send_signal(signal.SIGTERM)
        self.nodes[number].wait(40)
        self.nodes[number] = self.start(number)

    def restart_database(self, number: int, chance: random.Random) -> None:
        os.kill(self.server.pid, signal.SIGQUIT)  # an immediate shutdown: it recovers as after a crash
        deadline = time.monotonic() + 60
        while True:
            time.sleep(0.2)
            try:
                if not self.server.alive():
                    self.server.start_again()
                    return
            except Exception:
                assert time.monotonic() < deadline, "the database does not start again"

    def close(self) -> None:
        for process in self.nodes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.loop.call_soon_threadsafe(self.router.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        for cut in self.cuts:
            cut.close()
        self.store.close()
        self.server.release()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="penstock-nodes-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        made = Cluster(Path(folder))
        yield made
        made.close()


class Client(threading.Thread):
    """Calls the object of the moment until it is stopped; what it saw is in `seen`, by object."""

    def __init__(self, cluster: Cluster, number: int, state: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.cluster, self.number, self.state = cluster, number, state
        self.chance = random.Random(SEED * 1000 + number)  # noqa: S311
        self.seen: dict[str, list[Operation]] = {}
        self.holding: list[tuple[str, int, float, float]] = []
        self.added: dict[str, int] = {}

    def run(self) -> None:
        work: list[Callable[[], None]] = [self._register, self._register, self._set, self._lock, self._count]
        while not self.state["stop"]:
            self.chance.choice(work)()

    def _saw(self, name: str, what: tuple[Any, ...], start: float, reply: Reply, read: Callable[[Any], Any]) -> None:
        known = reply.code in ("ok", "refused")
        result = read(reply) if known else None
        end = time.monotonic() if known else math.inf
        self.seen.setdefault(name, []).append(Operation(what, result, start, end))
        with self.state["lock"]:
            self.state["count"] += 1
            if self.state["count"] % OPERATIONS == 0:
                self.state["turn"] += 1

    def _register(self) -> None:
        name, value = f"r{self.state['turn']}", self.chance.randrange(4)
        start = time.monotonic()
        kind = self.chance.randrange(3)
        if kind == 0:
            reply = self.cluster.call("register", name, "read", {})
            self._saw(name, ("read",), start, reply, lambda r: json.loads(r.body)["value"])
        elif kind == 1:
            reply = self.cluster.call("register", name, "write", {"value": value})
            self._saw(name, ("write", value), start, reply, lambda r: None)
        else:
            expected = self.chance.choice([None, 0, 1, 2, 3])
            reply = self.cluster.call("register", name, "compare_and_set", {"expected": expected, "value": value})
            self._saw(name, ("cas", expected, value), start, reply, lambda r: json.loads(r.body)["set"])

    def _set(self) -> None:
        name, item = f"s{self.state['turn']}", f"i{self.chance.randrange(6)}"
        start = time.monotonic()
        if self.chance.random() < 0.3:
            reply = self.cluster.call("storage", name, "list", {})
            self._saw(name, ("all",), start, reply, lambda r: frozenset(one["name"] for one in json.loads(r.body)))
        else:
            reply = self.cluster.call("storage", name, "put", {"name": item, "document": 1, "version": 0})
            self._saw(name, ("add", item), start, reply, lambda r: r.code == "ok")

    def _lock(self) -> None:
        name, owner = "lock", f"client-{self.number}-{uuid.uuid4()}"
        taken = self.cluster.call("register", name, "lock", {"owner": owner, "seconds": 600})
        if not taken.ok:
            return
        begin = time.monotonic()
        time.sleep(0.01)
        end = time.monotonic()
        self.holding.append((name, json.loads(taken.body)["fence"], begin, end))
        while not self.cluster.call("register", name, "unlock", {"owner": owner}).ok and not self.state["stop"]:
            if self.cluster.call("register", name, "unlock", {"owner": owner}).code == "refused":
                return  # the first try had done it

    def _count(self) -> None:
        reply = self.cluster.call("register", "counter", "add", {"amount": 1})
        self.added[reply.code] = self.added.get(reply.code, 0) + 1


def test_objects_stay_linearizable_under_faults(cluster: Cluster) -> None:
    chance = random.Random(SEED)  # noqa: S311
    state: dict[str, Any] = {"stop": False, "turn": 0, "count": 0, "lock": threading.Lock()}
    clients = [Client(cluster, number, state) for number in range(4)]
    for client in clients:
        client.start()
    faults = [cluster.kill, cluster.kill, cluster.freeze, cluster.freeze, cluster.partition, cluster.drain]
    done: dict[str, int] = {}
    for turn in range(ROUNDS):
        time.sleep(chance.uniform(0.2, 0.8))
        fault = cluster.restart_database if turn % 10 == 9 else chance.choice(faults)
        done[fault.__name__] = done.get(fault.__name__, 0) + 1
        owner = cluster.owner(f"r{state['turn']}") if chance.random() < 0.7 else None
        fault(chance.randrange(3) if owner is None else owner, chance)
    time.sleep(1)
    state["stop"] = True
    for client in clients:
        client.join(90)
        assert not client.is_alive(), "a call never ended"
    seen: dict[str, list[Operation]] = {}
    for client in clients:
        for name, operations in client.seen.items():
            seen.setdefault(name, []).extend(operations)
    known = sum(one.known for operations in seen.values() for one in operations)
    assert known > 10 * ROUNDS, f"only {known} calls were answered; faults: {done}"
    with ThreadPoolExecutor(1) as pool:
        for name, operations in seen.items():
            model, initial = (register, None) if name.startswith("r") else (a_set, frozenset())
            assert pool.submit(is_linearizable, operations, initial, model).result(300), (name, operations)
    held = sorted((one for client in clients for one in client.holding), key=lambda one: one[1])
    for (_, fence, _, end), (_, later, begin, _) in pairwise(held):
        assert fence < later and end <= begin, "the lock was held twice"
    assert held, "nobody held the lock"
    total = json.loads(cluster.call("register", "counter", "read", {}).body)["count"]
    answered = sum(client.added.get("ok", 0) for client in clients)
    asked = sum(sum(client.added.values()) for client in clients)
    assert answered <= total <= asked, (answered, total, asked)


def test_a_killed_nodes_object_is_served_again_within_the_lease_and_two_seconds(cluster: Cluster) -> None:
    for turn in range(3):
        key = f"k{turn}"
        assert cluster.call("register", key, "add", {}).ok
        number = cluster.owner(key)
        assert number is not None
        cluster.nodes[number].send_signal(signal.SIGKILL)
        began = time.monotonic()
        assert json.loads(cluster.call("register", key, "add", {}).body) == {"count": 2}
        assert time.monotonic() - began < LEASE + 2
        cluster.nodes[number].wait()
        cluster.nodes[number] = cluster.start(number)
        while len(cluster.store.nodes()) < 3:
            time.sleep(0.1)


def _listens(pid: int, port: int) -> bool:
    import psutil  # type: ignore[import-untyped]

    with suppress(psutil.Error):
        return any(one.laddr.port == port and one.status == "LISTEN" for one in psutil.Process(pid).net_connections())
    return False
