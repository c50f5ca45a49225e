"""Threads through a gateway: pushes, pulls, and how soon one client's message is on another's screen.

Each figure stands beside an endpoint of the same framework that reads a request and does nothing, in the same run. The
gateway runs in its own process; clients use persistent HTTP connections from threads of this one.
"""

import http.client
import json
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.credentials import load_or_make
from core.settings import Settings
from tests.bench.gateway import _empty, _gateway
from tests.bench.running import database_server
from threads.client.client import ThreadClient
from threads.client.transport import HttpTransport, Tokens

CLIENTS = 8
SECONDS = 6.0
PUSHES, PULLS = 300, 500
LONG = 10_000
BARE = "an empty endpoint of the same framework"


class Caller:
    """One persistent connection, and one sync client."""

    def __init__(self, port: int, token: str) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.client, self.last = str(uuid.uuid4()), 0

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self._http.request(method, path, body, self._headers)
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return content

    def push(self, mutations: list[dict[str, Any]]) -> None:
        numbered = [{"id": self.last + place, **one} for place, one in enumerate(mutations, 1)]
        self.last += len(mutations)
        found = self.call(
            "POST", "/sync/push", json.dumps({"protocol": 1, "client": self.client, "mutations": numbered}).encode()
        )
        if found.count(b'"applied"') != len(mutations):
            raise RuntimeError(f"not applied: {found[:300]!r}")

    def create(self) -> str:
        thread = str(uuid.uuid4())
        self.push([{"thread": thread, "kind": "create", "title": "bench", "visibility": "team"}])
        return thread


def _message(thread: str) -> dict[str, Any]:
    return {
        "thread": thread,
        "kind": "append",
        "message": str(uuid.uuid4()),
        "role": "user",
        "text": "It adds the tax twice. " * 8,
    }


def _load(acts: list[Callable[[], None]], seconds: float = SECONDS) -> tuple[float, list[float]]:
    """Acts a second, and the seconds that each took, while all are repeated at once."""
    times: list[float] = []
    failed: list[BaseException] = []
    until = time.perf_counter() + seconds

    def work(act: Callable[[], None]) -> None:
        try:
            while (began := time.perf_counter()) < until:
                act()
                times.append(time.perf_counter() - began)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return len(times) / (time.perf_counter() - began), times


def _paced(acts: list[Callable[[], None]], rate: float, seconds: float = SECONDS) -> list[float]:
    """Seconds from when each act was due, `rate` a second, whether or not earlier ones were done."""
    times: list[float] = []
    failed: list[BaseException] = []
    began = time.perf_counter() + 0.1

    def work(first: int) -> None:
        try:
            for turn in range(first, int(rate * seconds), len(acts)):
                due = began + turn / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                acts[first]()
                times.append(time.perf_counter() - due)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return times


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


@contextmanager
def _watcher(url: str, token: str, folder: Path, thread: str) -> Iterator[tuple[dict[str, float], threading.Event]]:
    """When each text was on the screen of a client that watches a thread."""
    seen: dict[str, float] = {}
    stop = threading.Event()
    transport = HttpTransport(url, Tokens(token))
    with ThreadClient(folder / "reader.db", transport) as reader:
        reader.open(thread)

        def watch() -> None:
            for snapshot in reader.observe(thread, seconds=60):
                now = time.perf_counter()
                for text in snapshot.texts:
                    seen.setdefault(text, now)
                if stop.is_set():
                    return

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield seen, stop
        finally:
            stop.set()
            watching.join()
    transport.close()


def measure() -> list[dict[str, Any]]:
    """Rates, latencies and the opening of a long thread."""
    with database_server() as server, tempfile.TemporaryDirectory() as folder:
        url, home = server.url("bench"), Path(folder)
        token = load_or_make(Settings(home=home)).api_token
        with _gateway(home, url, PENSTOCK_TOKEN_RATE="0") as port:
            _ready(port, token)
            callers = [Caller(port, token) for _ in range(CLIENTS)]
            own = [caller.create() for caller in callers]
            acts = [lambda c=c, t=t: c.push([_message(t)]) for c, t in zip(callers, own, strict=True)]
            _load(acts, 1.0)
            single_rate, _ = _load(acts)
            single = _paced(acts, PUSHES)
            batches = [
                lambda c=c, t=t: c.push([_message(t) for _ in range(50)]) for c, t in zip(callers, own, strict=True)
            ]
            batch_rate, _ = _load(batches, 3.0)
            shared = callers[0].create()
            batches = [lambda c=c: c.push([_message(shared) for _ in range(50)]) for c in callers[:4]]
            shared_rate, _ = _load(batches, 1.5)
            cursor = _caught_up(callers[0])
            place = f"/sync/pull?cursor={cursor}"
            unchanged = [lambda c=c: c.call("GET", place) and None for c in callers]
            pull_rate, _ = _load(unchanged)
            pulls = _paced(unchanged, PULLS)
            screen = _screen(port, token, home)
            opened, first = _open(port, token, home, Caller(port, token))
        with _empty() as port:
            empties = [Caller(port, token) for _ in range(CLIENTS)]
            body = b'{"nothing": "' + b"x" * 300 + b'"}'
            nothing = [lambda c=c: c.call("POST", "/webhooks/github", body) and None for c in empties]
            bare_rate, _ = _load(nothing)
            bare = _paced(nothing, PULLS)
    return [
        _row("unbatched pushes, many threads", single_rate, "per second", bare_rate),
        _row(f"unbatched push, p95 at {PUSHES} a second", _p95(single) * 1000, "ms", _p95(bare) * 1000),
        _row("messages in batches of 50, many threads", batch_rate * 50, "per second", bare_rate),
        _row("messages in batches of 50, one thread", shared_rate * 50, "per second", bare_rate),
        _row("unchanged pulls", pull_rate, "per second", bare_rate),
        _row(f"unchanged pull, p95 at {PULLS} a second", _p95(pulls) * 1000, "ms", _p95(bare) * 1000),
        _row("from one client's write to another's screen, p95", _p95(screen) * 1000, "ms", _p95(bare) * 1000),
        _row(f"a thread of {LONG} messages opens", opened, "seconds", _p95(bare)),
        _row("its first screen", first * 1000, "ms", _p95(bare) * 1000),
    ]


def _caught_up(caller: Caller) -> str:
    """A cursor after which nothing has changed."""
    cursor = json.loads(caller.call("GET", "/sync/pull"))["cursor"]
    while True:
        answer = json.loads(caller.call("GET", f"/sync/pull?cursor={cursor}"))
        if answer["cursor"] == cursor:
            return str(cursor)
        cursor = answer["cursor"]


def _ready(port: int, token: str) -> None:
    """Waits until the gateway knows the token."""
    until = time.monotonic() + 60
    while True:
        try:
            Caller(port, token).call("GET", "/threads")
            return
        except RuntimeError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _screen(port: int, token: str, home: Path) -> list[float]:
    """Seconds from a client's `say` to another client's snapshot with it."""
    url = f"http://127.0.0.1:{port}"
    transport = HttpTransport(url, Tokens(token))
    found = []
    with ThreadClient(home / "writer.db", transport) as writer:
        thread = writer.create("screen", visibility="team")
        while writer.sync.waiting():
            time.sleep(0.01)
        with _watcher(url, token, home, thread) as (seen, _):
            time.sleep(1)
            for number in range(40):
                began = time.perf_counter()
                writer.say(thread, f"message {number}")
                while f"message {number}" not in seen:
                    time.sleep(0.005)
                    if time.perf_counter() - began > 30:
                        raise RuntimeError("a message did not arrive")
                found.append(seen[f"message {number}"] - began)
                time.sleep(0.05)
            writer.say(thread, "the last")
    transport.close()
    return found


def _open(port: int, token: str, home: Path, caller: Caller) -> tuple[float, float]:
    thread = caller.create()
    for _ in range(LONG // 50):
        caller.push([_message(thread) for _ in range(50)])
    began = time.perf_counter()
    page = json.loads(caller.call("GET", f"/threads/{thread}/messages?limit=50"))
    first = time.perf_counter() - began
    transport = HttpTransport(f"http://127.0.0.1:{port}", Tokens(token))
    client = ThreadClient(home / "opener.db", transport)
    began = time.perf_counter()
    client.open(thread)
    snapshot = client.snapshot(thread)
    opened = time.perf_counter() - began
    client.close()
    transport.close()
    if len(snapshot.messages) != LONG or len(page["messages"]) != 50:
        raise RuntimeError("messages are missing")
    return opened, first


def _row(name: str, value: float, unit: str, against: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "against": BARE,
        "against_value": round(against, 3),
        "ratio": round(value / against, 3),
    }
