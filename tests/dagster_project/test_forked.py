"""A part that begins as a fork of the supervisor is like a program of its own."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.processes import ProcessName, await_end, end, started_ticks

PART = """
import json, os, sys, time
threads = len(os.listdir("/proc/self/task"))
print(json.dumps({"argv": sys.argv[1:], "name": __name__, "home": os.environ.get("ONLY_HERE"), "other": os.environ.get(
    "ONLY_THERE"), "cwd": os.getcwd(), "session": os.getsid(0) == os.getpid(), "threads": threads, "title": open(
    "/proc/self/cmdline").read().strip(chr(0)), "open": sorted(os.listdir("/proc/self/fd"))}))
if sys.argv[1] == "sleep":
    time.sleep(600)
if sys.argv[1] == "raise":
    raise ValueError("no luck")
sys.exit(int(sys.argv[1]))
"""

PARENT = """
import atexit, fcntl, os, sys, threading, time
from pathlib import Path
from dagster_project import forked
folder = Path(sys.argv[1])
lock = open(folder / "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
atexit.register(lambda: (folder / f"left-{os.getpid()}").touch())
sys.path.insert(0, str(folder))
os.environ["ONLY_THERE"] = "1"
assert forked.alone()
with open(folder / "log", "ab") as log:
    environment = {"ONLY_HERE": "2", "PATH": os.environ["PATH"]}
    child = forked.start("a-part", "some_part", [sys.argv[2], "x"], environment, log.fileno())
print(child.pid, flush=True)
if sys.argv[2] == "sleep":
    thread = threading.Thread(target=time.sleep, args=(600,), daemon=True)
    thread.start()
    assert not forked.alone()
    time.sleep(600)
print(child.wait(60), child.poll(), flush=True)
child.send_signal(9)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some_part.py").write_text(PART)
    return tmp_path


def _parent(folder: Path, what: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", PARENT, str(folder), what], stdout=subprocess.PIPE, text=True)


def _said(folder: Path) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while not (folder / "log").exists() or not (text := (folder / "log").read_text()).endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(text.splitlines()[0])
    return found


@pytest.mark.parametrize(("what", "code"), [("0", "0"), ("7", "7"), ("raise", "1")])
def test_it_runs_as_the_main_module_with_its_own_output_environment_and_end(what: str, code: str, folder: Path) -> None:
    parent = _parent(folder, what)
    pid, ended = parent.communicate(timeout=60)[0].splitlines()
    assert (parent.returncode, ended) == (0, f"{code} {code}")
    said = _said(folder)
    assert said.pop("open")[:3] == ["0", "1", "2"]
    assert said == {
        "argv": [what, "x"], "name": "__main__", "home": "2", "other": None, "cwd": str(Path(__file__).parents[2]),
        "session": True, "threads": 1, "title": "penstock: a-part",
    }  # fmt: skip
    assert ("ValueError: no luck" in (folder / "log").read_text()) == (what == "raise")
    assert [path.name for path in folder.glob("left-*")] == [f"left-{parent.pid}"], "the exit is its parent's alone"
    assert started_ticks(int(pid)) is None


def test_it_ends_with_its_parent_and_holds_none_of_its_locks(folder: Path) -> None:
    parent = _parent(folder, "sleep")
    assert parent.stdout is not None
    child = ProcessName.of(int(parent.stdout.readline()))
    assert child is not None
    try:
        _said(folder)
        os.kill(child.pid, signal.SIGSTOP)  # it cannot end yet
        parent.kill()
        parent.wait()
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(child.pid, signal.SIGCONT)
        assert await_end([child], 30) == []
    finally:
        parent.stdout.close()
        end([child], 0)


def test_the_end_of_a_killed_fork_is_noticed(folder: Path) -> None:
    script = PARENT.replace("print(child.wait", "child.kill()\nprint(child.wait").replace('== "sleep"', '== "never"')
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), "sleep"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[1] == "-9 -9"
