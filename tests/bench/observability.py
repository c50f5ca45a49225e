"""CPU time of an event's way to its result, of all processes of the platform: with traces, JSON logs and a scrape every
15 seconds, against without them.

The demo's sample task, on the same machine, in turn (without, with, with, without), so that a machine that becomes
slower meets both. The collector runs outside of what is measured. The first row is one number minus another of about
the same size, and no better than the machine is quiet; the second adds up what each span of an event and its share of
the scrapes cost.
"""

import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from deploy.demo.build import build, issue_payload
from tests.bench.latency import SAMPLE, _seconds
from tests.bench.running import PENSTOCK, database_server, deliver, start_platform
from tests.otlp_receiver import OtlpReceiver

EVENTS = 4
ORDER = (False, True, True, False)
SCRAPE_SECONDS = 15.0
TOKEN = "a token for metrics"
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """The CPU time so far of a process and everything below it, with children that have ended and were waited for."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(map(int, fields[11:15])) / _TICKS
    total = 0.0
    for pid, seconds in used.items():
        above = pid
        while above and above != root:
            above = parents.get(above, 0)
        total += seconds if above == root else 0.0
    return total


def _scrape(url: str, stop: threading.Event) -> None:
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15) as client:
        while not stop.wait(SCRAPE_SECONDS):
            client.get(f"{url}/metrics").raise_for_status()


def _series(observed: bool) -> tuple[float, float, int]:
    """CPU seconds and wall seconds for each event, and the number of spans that were received."""
    receiver, stop = OtlpReceiver(), threading.Event()
    more = {"PENSTOCK_TRACES_ENDPOINT": receiver.endpoint, "PENSTOCK_LOG_FORMAT": "json"} if observed else {}
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        sample = build(SAMPLE, root / "repositories" / SAMPLE)
        process, environment, state = start_platform(
            root / "home", root / "repositories", PENSTOCK_METRICS_TOKEN=TOKEN, **more
        )
        try:
            subprocess.run(
                [PENSTOCK, "index", "add", SAMPLE, str(sample.directory), "--repository", sample.repository],
                env=environment, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            for number in (1, 2):  # not counted: caches are cold
                _seconds(state, deliver(state, root / "home", issue_payload(sample, number)))
            if observed:
                threading.Thread(target=_scrape, args=(str(state["gateway"]), stop), daemon=True).start()
            time.sleep(2)
            before, began = cpu_seconds(process.pid), time.monotonic()
            for number in range(3, EVENTS + 3):
                _seconds(state, deliver(state, root / "home", issue_payload(sample, number)))
            time.sleep(2)  # the last run ends, and sends its spans
            used, took = cpu_seconds(process.pid) - before, time.monotonic() - began
            if observed and not receiver.spans:
                raise RuntimeError("no span was received")
            return used / EVENTS, took / EVENTS, len(receiver.spans)
        finally:
            stop.set()
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            receiver.stop()


def measure() -> list[dict[str, Any]]:
    found: dict[bool, list[tuple[float, float, int]]] = {False: [], True: []}
    for observed in ORDER:
        found[observed].append(_series(observed))
    without, with_ = (statistics.mean(cpu for cpu, _, _ in found[observed]) for observed in (False, True))
    spans = statistics.mean(spans for *_, spans in found[True]) / (EVENTS + 2)
    direct = _direct(spans, statistics.mean(wall for _, wall, _ in found[True]))
    rows = [("traces, JSON logs and scrapes", with_), ("the same by what each part of it costs", without + direct)]
    return [
        {
            "name": f"CPU of an event's way to its result, with {name} ({100 * (value / without - 1):+.1f}%)",
            "value": round(value, 3),
            "unit": "s",
            "against": "without",
            "against_value": round(without, 3),
            "ratio": round(value / without, 3),
            "spans": round(spans, 1),
            "all": {str(observed): [round(cpu, 3) for cpu, _, _ in series] for observed, series in found.items()},
        }
        for name, value in rows
    ]


def _direct(spans: float, wall: float) -> float:
    """CPU seconds for the spans of an event, and for the share of scrapes during its `wall` seconds."""
    from core import tracing
    from core.database import Database
    from core.settings import Settings
    from gateway.scrape import Scraper

    receiver = OtlpReceiver()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        Path(folder).chmod(0o711)
        settings = Settings(home=Path(folder), traces_endpoint=receiver.endpoint, metrics_seconds=0)
        tracing.use(settings, "penstock-bench")
        with tracing.span("first"):
            pass
        began, many = time.process_time(), 2000
        for number in range(many):
            with tracing.span("a span", {"penstock.task": "0" * 36, "penstock.attempt": number}) as current:
                current.set("penstock.state", "resolved")
        tracing.flush(30)
        span = (time.process_time() - began) / many  # with the receiver's own work, which runs in this process
        tracing.close()
        tracing.use(Settings(home=Path(folder)), "penstock-bench")
        receiver.stop()
        with database_server() as server:
            database = Database(server.url("bench"))
            scraper = Scraper(settings, database)
            scraper.read()
            began, many = time.process_time(), 50
            for _ in range(many):
                scraper.read()
            scrape = 2 * (time.process_time() - began) / many  # the database's share is about as much
            database.close()
    return span * spans + scrape * wall / SCRAPE_SECONDS
