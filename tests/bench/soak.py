"""Very many deliveries: all are accepted and accounted for, some start tasks, and no process grows.

Most are issues of repositories that are no source, comments and pushes, as a whole organisation's webhook sends them.
The memory of each process is its resident set, sampled once a second; the row compares its highest in the last quarter
of the deliveries with that in the second.
"""

import http.client
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg

from core.signatures import sign_github
from deploy.demo.build import build, issue_payload
from tests.bench.running import PENSTOCK, start_platform

EVENTS = int(os.environ.get("PENSTOCK_SOAK_EVENTS", "100000"))
TASKS = int(os.environ.get("PENSTOCK_SOAK_TASKS", "200"))
CLIENTS = 8
SAMPLE = "parcel_quotes"
CLOSE_SECONDS = 14_400.0

Request = tuple[str, bytes]


def _requests(sample: Any) -> Iterator[Request]:
    """Event names and bodies: every so many deliveries, one starts a task."""
    every = max(1, EVENTS // TASKS) if TASKS else EVENTS + 1
    for number in range(EVENTS):
        if number % every == 0 and number // every < TASKS:
            yield "issues", json.dumps(issue_payload(sample, number + 1)).encode()
        elif number % 3 == 0:
            yield "push", json.dumps(_push(number)).encode()
        else:
            yield "issue_comment", json.dumps(_comment(number)).encode()


def _push(number: int) -> dict[str, Any]:
    repository = {"id": 7, "full_name": "owner/elsewhere"}
    return {"ref": f"refs/heads/topic-{number}", "before": "a" * 40, "after": "b" * 40, "repository": repository}


def _comment(number: int) -> dict[str, Any]:
    return {
        "action": "created",
        "issue": {"number": number + 1, "title": "It fails", "body": "", "user": {"login": "ada"}},
        "comment": {"id": number + 1, "body": "I see it as well.\n" * 20, "user": {"login": "bob"}},
        "repository": {"id": 7, "full_name": "owner/elsewhere"},
    }


def _send(port: int, secret: str, waiting: "queue.Queue[Request | None]", failed: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while (request := waiting.get()) is not None:
        event, body = request
        identity = str(uuid.uuid4())
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": identity,
            "X-Hub-Signature-256": sign_github(secret, body),
            "Content-Type": "application/json",
        }
        while True:
            connection.request("POST", "/webhooks/github", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 429:
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        if answer.status not in (200, 202):
            failed.append(f"{answer.status} {said[:200]!r}")


class _Memory(threading.Thread):
    """Samples the resident set of each process, in MiB, with how many deliveries were sent by then."""

    def __init__(self, processes: dict[str, int], sent: list[int]) -> None:
        super().__init__(daemon=True)
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._sent = sent
        self._ended = threading.Event()
        self.samples: dict[str, list[tuple[int, float]]] = {name: [] for name in processes}

    def run(self) -> None:
        while not self._ended.wait(1.0):
            for name, process in self._processes.items():
                self.samples[name].append((self._sent[0], process.memory_info().rss / (1 << 20)))

    def end(self) -> None:
        self._ended.set()
        self.join()

    def growth(self) -> tuple[str, float, float]:
        """The process that grew most, with its highest in the second and in the last quarter."""
        worst = ("", 1.0, 1.0)
        for name, found in self.samples.items():
            second = [size for sent, size in found if EVENTS / 4 <= sent < EVENTS / 2]
            last = [size for sent, size in found if sent >= EVENTS * 3 / 4]
            if second and last and max(last) / max(second) > worst[2] / worst[1]:
                worst = (name, max(second), max(last))
        return worst


def _ledger(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [PENSTOCK, "ledger", "--json"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _wait_until_closed(database: str, seconds: float) -> None:
    query = "SELECT count(*) FROM tasks WHERE state IN ('queued', 'running', 'waiting')"
    deadline = time.monotonic() + seconds
    with psycopg.connect(database, autocommit=True, options="-c search_path=penstock,public") as connection:
        connection.execute("SET ROLE penstock_system")
        while time.monotonic() < deadline:
            row = connection.execute(query.encode()).fetchone()
            if row == (0,):
                return
            time.sleep(1.0)
    raise RuntimeError(f"tasks are open after {seconds:.0f} s")


def measure() -> list[dict[str, Any]]:
    """The rate of durable acknowledgements, how many tasks were resolved, what the ledger lacks, and growth."""
    with tempfile.TemporaryDirectory(prefix="penstock-soak-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        sample = build(SAMPLE, root / "repositories" / SAMPLE)
        process, environment, state = start_platform(root / "home", root / "repositories", PENSTOCK_WEBHOOK_RATE="0")
        try:
            subprocess.run(
                [PENSTOCK, "index", "add", SAMPLE, str(sample.directory), "--repository", sample.repository],
                env=environment, check=True, capture_output=True, timeout=300,
            )  # fmt: skip
            return _rows(root / "home", environment, state, sample)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def _rows(home: Path, environment: dict[str, str], state: dict[str, Any], sample: Any) -> list[dict[str, Any]]:
    secret = (home / "secrets" / "github-webhook-secret").read_text().strip()
    port = int(str(state["gateway"]).rpartition(":")[2])
    waiting: queue.Queue[Request | None] = queue.Queue(1000)
    failed: list[str] = []
    sent = [0]
    memory = _Memory({name: int(pid) for name, pid in state["processes"].items()}, sent)
    senders = [threading.Thread(target=_send, args=(port, secret, waiting, failed)) for _ in range(CLIENTS)]
    for thread in (memory, *senders):
        thread.start()
    began = time.perf_counter()
    for request in _requests(sample):
        waiting.put(request)
        sent[0] += 1
    for _ in senders:
        waiting.put(None)
    for thread in senders:
        thread.join()
    acknowledged = time.perf_counter() - began
    _wait_until_closed(state["database"], CLOSE_SECONDS)
    closed = time.perf_counter() - began
    memory.end()
    if failed:
        raise RuntimeError(f"{len(failed)} deliveries were refused, the first with {failed[0]}")
    ledger = _ledger(environment)
    name, second, last = memory.growth()
    published = ledger["outcomes"].get("published", 0)
    lost = ledger["outcomes"].get("lost", 0) + ledger["without_outcome_event"]
    return [
        _row(f"deliveries acknowledged, of {EVENTS}", ledger["accepted"], "deliveries", "sent", EVENTS),
        _row("deliveries acknowledged, with tasks under way", EVENTS / acknowledged, "per second", "all closed",
             EVENTS / closed),
        _row(f"tasks published, of {TASKS}", published, "tasks", "started", TASKS),
        _row("deliveries lost", lost, "deliveries", "accepted", ledger["accepted"]),
        _row(f"memory of {name or 'every process'}, last quarter", last, "MiB", "its second quarter", second),
    ]  # fmt: skip


def _row(name: str, value: float, unit: str, against: str, against_value: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "against": against,
        "against_value": round(against_value, 2),
        "ratio": round(value / against_value, 3) if against_value else 0.0,
    }
