"""What the sandbox costs: opening sessions, running commands in them, the speed of programs inside, and what is left.

Every time is compared with a bare subprocess measured in the same run, one after the other. "Warm" is a command in a
session whose earlier command ended half a second before, as when an engine thinks in between; "at once" is one command
right after the other.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox import backends
from sandbox.process_tree import children
from sandbox.protocol import Environment, Limits, Sandbox
from sandbox.python import python_runtime

SESSIONS = 200
COLD, WARM, AT_ONCE = 40, 60, 30
PAUSE = 0.5
TURNS = 3
LIMITS = Limits(wall_seconds=120, cpu_seconds=120)
TRUE = ["/bin/true"]
CPU = "n=0\nfor i in range(12_000_000): n += i * i % 7\nprint(n)"
FILES = """
import os, shutil
for turn in range(4):
    os.makedirs("made", exist_ok=True)
    for i in range(500):
        with open(f"made/{i}", "w") as file: file.write("x" * 2000)
    for i in range(500):
        os.stat(f"made/{i}")
        with open(f"made/{i}") as file: file.read()
    shutil.rmtree("made")
"""
PROGRAMS = {"CPU-bound program": CPU, "file-heavy program": FILES}


def measure() -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        workspace = Path(folder)
        (workspace / "file").write_text("content")
        bare = [_timed(lambda: subprocess.run(TRUE, capture_output=True, check=True)) for _ in range(WARM)]
        for one in backends():
            if one.available() is not None:
                continue
            rows += _latency(one, workspace, bare)
            rows += [_speed(one, workspace, name, code) for name, code in PROGRAMS.items()]
            rows += _left(one, workspace)
    return rows


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _latency(sandbox: Sandbox, workspace: Path, bare: list[float]) -> list[dict[str, Any]]:
    def cold() -> None:
        with sandbox.open(Environment(workspace), LIMITS) as session:
            took.append(_timed(lambda: session.run(TRUE)))

    took: list[float] = []
    whole = [_timed(cold) for _ in range(COLD)]
    with sandbox.open(Environment(workspace), LIMITS) as session:
        session.run(TRUE)
        at_once = [_timed(lambda: session.run(TRUE)) for _ in range(AT_ONCE)]
        warm = []
        for _ in range(WARM):
            time.sleep(PAUSE)
            warm.append(_timed(lambda: session.run(TRUE)))
    named = (("session opened, first command and close", whole), ("command, warm", warm), ("command, at once", at_once))
    return [
        _row(f"{sandbox.name}: {name}, p{part}", _part(times, part), "bare subprocess", _part(bare, part))
        for name, times in named
        for part in (50, 95, 99)
    ]


def _speed(sandbox: Sandbox, workspace: Path, name: str, code: str) -> dict[str, Any]:
    """A program outside against the same inside, without the time of starting Python; each side's fastest, in turn."""
    python = python_runtime()
    environment = Environment(workspace, python.mounts, python.variables)
    with sandbox.open(environment, LIMITS) as session, tempfile.TemporaryDirectory(prefix="penstock-bench-") as native:

        def inside(text: str) -> float:
            return _timed(lambda: session.run([python.executable, "-c", text]))

        def outside(text: str) -> float:
            command = [sys.executable, "-I", "-c", text]
            return _timed(lambda: subprocess.run(command, cwd=native, capture_output=True, check=True))

        starts = [(inside(""), outside("")) for _ in range(TURNS)]
        times = [(inside(code), outside(code)) for _ in range(TURNS)]
    inner, outer = (min(pair[side] for pair in times) - min(pair[side] for pair in starts) for side in (0, 1))
    return _row(f"{sandbox.name}: {name}, outside (ratio: speed reached)", outer, "inside", inner)


def _left(sandbox: Sandbox, workspace: Path) -> list[dict[str, Any]]:
    """What is there after many sessions and was not before, and the memory of this process."""
    before, memory = _counts(), _resident()
    for _ in range(SESSIONS):
        with sandbox.open(Environment(workspace), LIMITS) as session:
            session.run(TRUE)
    after, grown = _counts(), _resident()
    left = {name: after[name] - before[name] for name in before if after[name] > before[name]}
    shown = ", ".join(f"{count} {name}" for name, count in left.items()) or "nothing"
    return [
        {"name": f"{sandbox.name}: left after {SESSIONS} sessions: {shown}", "value": sum(left.values()),
         "unit": "things", "against": "before", "against_value": 0, "ratio": float(not left)},
        {"name": f"{sandbox.name}: resident memory after {SESSIONS} sessions", "value": round(grown, 1), "unit": "MiB",
         "against": "before", "against_value": round(memory, 1), "ratio": round(grown / memory, 3)},
    ]  # fmt: skip


def _counts() -> dict[str, int]:
    """Of processes only this one's children, zombies too: others may run sandboxes on this machine."""
    return {
        "processes": len(children(os.getpid(), threads=2)),
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
        "cgroups": sum(1 for folder in Path("/sys/fs/cgroup").rglob(f"penstock-{os.getpid()}-*") if folder.is_dir()),
        "temporary folders": sum(1 for _ in Path(tempfile.gettempdir()).glob("penstock-sandbox-*")),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
    }


def _resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def _part(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


def _row(name: str, seconds: float, against: str, other: float) -> dict[str, Any]:
    return {"name": name, "value": round(seconds * 1000, 1), "unit": "ms", "against": against,
            "against_value": round(other * 1000, 1), "ratio": round(seconds / other, 3)}  # fmt: skip
