"""Signed webhooks through the gateway, compared with bare INSERTs of the same rows and with an empty endpoint.

All are measured on the same machine in the same run; the empty endpoint is of the same framework and server.

The gateway runs in its own process; clients use persistent HTTP connections. Latency is measured with one client,
throughput with eight. The latency at a load of 70% of that throughput is measured from when each delivery was due.
"""

import http.client
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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from core.credentials import load_or_make
from core.events import DEFAULT_TEAM
from core.settings import Settings
from core.signatures import sign_github
from tests.bench.running import database_server

ROOT = Path(__file__).parents[2]
ONE_BY_ONE = 400
CLIENTS = 8
EACH = 150
LOAD = 0.7
PACED_SECONDS = 10.0

_PAYLOAD = {
    "action": "opened",
    "issue": {"title": "Total is wrong", "body": "It should be 3.\n" * 100, "user": {"login": "someone"}},
    "repository": {"full_name": "owner/name"},
}

_ROWS = (
    "INSERT INTO deliveries (team_id, id, kind, state, task_id, body_sha256) "
    "VALUES (%(team)s, %(id)s, 'issues.opened', 'task', %(task)s, %(sha)s)",
    "INSERT INTO tasks (team_id, id, event_id, source, title, body) "
    "VALUES (%(team)s, %(task)s, %(id)s, 'bench', 'Total is wrong', %(body)s)",
    "INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body) "
    "VALUES ('penstock.tasks', %(team)s, %(id)s, nextval('log_batches'), 0, length(%(event)s), %(event)s::json)",
)


@contextmanager
def _gateway(home: Path, database_url: str, **more: str) -> Iterator[int]:
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            cwd=ROOT,
            stderr=log,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
                "PENSTOCK_HOME": str(home),
                "PENSTOCK_GATEWAY_PORT": "0",
                "PENSTOCK_DATABASE_URL": database_url,
                "PENSTOCK_WEBHOOK_RATE": "0",
                "PENSTOCK_MOST_WAITING": "0",
                "PENSTOCK_MOST_WAITING_OF_SOURCE": "0",
                **more,
            },
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            lines = [line for line in (home / "log").read_text().splitlines() if '"listening"' in line]
            if lines:
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the gateway did not start: {(home / 'log').read_text()}")
            time.sleep(0.02)
        yield int(json.loads(lines[0])["port"])
    finally:
        process.terminate()
        process.wait(15)


def _deliverer(port: int, secret: str) -> Callable[[], None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps(_PAYLOAD).encode()
    headers = {"X-GitHub-Event": "issues", "X-Hub-Signature-256": sign_github(secret, body)}

    def deliver() -> None:
        connection.request("POST", "/webhooks/github", body, {**headers, "X-GitHub-Delivery": str(uuid.uuid4())})
        answer = connection.getresponse()
        if answer.status != 202 or b'"accepted"' not in answer.read():
            raise RuntimeError(f"the gateway answered {answer.status}")

    return deliver


def _inserter(database_url: str) -> Callable[[], None]:
    connection = psycopg.connect(database_url, autocommit=True, options="-c search_path=penstock,public")
    connection.execute("SET ROLE penstock_system")
    body = str(_PAYLOAD["issue"]["body"])  # type: ignore[index]

    def insert() -> None:
        task = uuid.uuid4()
        event = json.dumps({"id": str(task), "data": {"task": str(task), "title": "Total is wrong"}, "pad": "x" * 300})
        values = {"team": DEFAULT_TEAM, "id": f"bare:{task}", "task": task, "sha": b"0" * 32, "body": body}
        with connection.transaction():
            for statement in _ROWS:
                connection.execute(statement.encode(), {**values, "event": event})

    return insert


def _seconds(act: Callable[[], None], times: int) -> list[float]:
    for _ in range(20):
        act()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        found.append(time.perf_counter() - started)
    return found


@contextmanager
def _empty() -> Iterator[int]:
    """The port of the empty endpoint."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.empty_app"], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(15)


def _paced(make: Callable[[], Callable[[], None]], rate: float, seconds: float) -> list[float]:
    """Latencies of deliveries that are due `rate` times a second, whether or not earlier ones were answered."""
    acts = [make() for _ in range(CLIENTS)]
    for act in acts:
        act()
    found: list[float] = []
    began = time.perf_counter() + 0.1

    def work(number: int) -> None:
        for turn in range(number, int(rate * seconds), CLIENTS):
            due = began + turn / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            acts[number]()
            found.append(time.perf_counter() - due)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < int(rate * seconds):
        raise RuntimeError("a delivery failed")
    return found


def _rate(make: Callable[[], Callable[[], None]]) -> float:
    acts = [make() for _ in range(CLIENTS)]
    for act in acts:
        act()
    failed: list[BaseException] = []

    def work(act: Callable[[], None]) -> None:
        try:
            for _ in range(EACH):
                act()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return CLIENTS * EACH / (time.perf_counter() - started)


def measure() -> list[dict[str, Any]]:
    """Latency (p50 and p99) and throughput of accepted webhooks, each compared with bare INSERTs."""
    with database_server() as server, tempfile.TemporaryDirectory() as folder:
        url, home = server.url("bench"), Path(folder)
        secret = load_or_make(Settings(home=home)).github_secrets[0]
        insert = _inserter(url)
        with psycopg.connect(url, options="-c search_path=penstock,public") as connection:
            connection.execute("SET ROLE penstock_system")
            connection.execute(
                "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, 'bench', '/x', 'owner/name')",
                (DEFAULT_TEAM,),
            )
        with _gateway(home, url) as port:
            gateway = _seconds(_deliverer(port, secret), ONE_BY_ONE)
            bare = _seconds(insert, ONE_BY_ONE)
            gateway_rate = _rate(lambda: _deliverer(port, secret))
            loaded = _paced(lambda: _deliverer(port, secret), LOAD * gateway_rate, PACED_SECONDS)
        bare_rate = _rate(lambda: _inserter(url))
        with _empty() as port:
            empty_rate = _rate(lambda: _deliverer(port, secret))
            empty_loaded = _paced(lambda: _deliverer(port, secret), LOAD * gateway_rate, PACED_SECONDS)
    rows = []
    for name, pick in (("p50", 50), ("p99", 99)):
        ours, theirs = (statistics.quantiles(found, n=100)[pick - 1] * 1000 for found in (gateway, bare))
        rows.append(_row(f"accepted webhook, {name}", ours, "ms", theirs))
    rows.append(_row(f"accepted webhooks, {CLIENTS} clients", gateway_rate, "per second", bare_rate))
    name = f"accepted webhooks, {CLIENTS} clients, beside nothing done"
    rows.append(_row(name, gateway_rate, "per second", empty_rate, "an empty endpoint of the same framework"))
    ours, theirs = (statistics.quantiles(found, n=100)[98] * 1000 for found in (loaded, empty_loaded))
    name = f"accepted webhook, p99 at {LOAD:.0%} of the highest rate"
    rows.append(_row(name, ours, "ms", theirs, "an empty endpoint of the same framework at the same rate"))
    return rows


def _row(
    name: str, value: float, unit: str, against: float, what: str = "bare INSERTs of the same rows"
) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "against": what,
        "against_value": round(against, 2),
        "ratio": round(value / against, 2),
    }
