"""What a platform costs that has nothing to do: processor time, memory, processes; and how long it starts and stops.

Processor time counts every process of the platform, the embedded database included, as a share of one core. Memory is
proportional: a page that several processes share is divided among them. The goals are those of a small machine.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from core.settings import Settings
from dagster_project.ports import free_port
from dagster_project.records import read_record
from tests.bench.running import start_platform

SETTLE_SECONDS = float(os.environ.get("PENSTOCK_IDLE_SETTLE", "30"))
SECONDS = float(os.environ.get("PENSTOCK_IDLE_SECONDS", "60"))
GOALS = {
    "idle CPU": (3.0, "% of a core"),
    "idle memory": (500.0, "MB"),
    "idle processes": (20.0, "processes"),
    "start until the gateway takes events": (2.0, "s"),
    "start until everything answers": (6.0, "s"),
    "stop": (3.0, "s"),
}


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="penstock-idle-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        _stop(start_platform(home, Path(folder))[0])  # the first start creates the database
        port = free_port("127.0.0.1")
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(_ready, f"http://127.0.0.1:{port}/readyz")
            process, _, _ = start_platform(home, Path(folder), PENSTOCK_GATEWAY_PORT=str(port))
            values = {"start until everything answers": time.monotonic() - began}
            values["start until the gateway takes events"] = ready.result() - began
        try:
            time.sleep(SETTLE_SECONDS)
            values |= _idle(process, home)
        finally:
            values["stop"] = _stop(process)
    return [
        {
            "name": name,
            "value": round(values[name], 2),
            "unit": unit,
            "against": "the goal",
            "against_value": goal,
            "ratio": round(values[name] / goal, 2),
        }
        for name, (goal, unit) in GOALS.items()
    ]


def _ready(url: str) -> float:
    """When the gateway says that it is ready, on the monotonic clock."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).status_code == 200:
                return time.monotonic()
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not say that it is ready")


def _idle(process: "subprocess.Popen[bytes]", home: Path) -> dict[str, float]:
    before, began = _times(process, home), time.monotonic()
    time.sleep(SECONDS)
    after, took = _times(process, home), time.monotonic() - began
    shares = {key: 100 * (own - before.get(key, (0.0, 0.0))[0]) / took for key, (own, _) in after.items()}
    # The time of a process that has ended is now its parent's: only the sum is right.
    spent = sum(map(sum, after.values())) - sum(map(sum, before.values()))
    memory = {key: psutil.Process(key[0]).memory_full_info().pss / 1e6 for key in after if psutil.pid_exists(key[0])}
    for key, share in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"  {share:5.2f} % {memory.get(key, 0):6.1f} MB  {key[1]}", file=sys.stderr)  # noqa: T201
    return {
        "idle CPU": 100 * spent / took,
        "idle memory": sum(memory.values()),
        "idle processes": float(len(after)),
    }


def _times(process: "subprocess.Popen[bytes]", home: Path) -> dict[tuple[int, str], tuple[float, float]]:
    """Seconds of processor time that each process has used, and the ended children of it."""
    record = read_record(Settings(home=home))
    assert record is not None
    roots = {process.pid, *(part.process.pid for part in record.parts if part.process)}
    found: dict[tuple[int, str], tuple[float, float]] = {}
    for root in (psutil.Process(pid) for pid in roots):
        for one in (root, *root.children(recursive=True)):
            try:
                used = one.cpu_times()
                name = " ".join(one.cmdline())[-60:] or one.name()
            except psutil.NoSuchProcess:
                continue
            found[one.pid, name] = used.user + used.system, used.children_user + used.children_system
    return found


def _stop(process: "subprocess.Popen[bytes]") -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    return time.monotonic() - began
