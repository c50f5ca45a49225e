"""The process that times searches: what it measures, and what happens when it, or its parent, is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.migrations.backfill import monitor, probe
from assets.migrations.backfill.probe import MOST_STARTS, Probe, ProbeFailed, ProbeQuery, Timing
from assets.migrations.backfill.throttle import Throttle
from assets.platform import Platform
from core.embedding.spec import BuiltIn
from core.teams import DEFAULT_TEAM

QUERY = ProbeQuery(DEFAULT_TEAM, "demo", "return")


@pytest.fixture
def timer(platform: Platform) -> Iterator[Probe]:
    made = Probe(platform)
    yield made
    made.close()


def runs(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds: Callable[[], bool], seconds: float = 300) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def test_it_times_searches_in_one_process_and_says_why_one_failed(platform: Platform, timer: Probe) -> None:
    before = time.monotonic()
    first = timer.search(QUERY)
    pid = timer.pid
    second = timer.search(QUERY)
    assert before < first.began < first.began + first.seconds <= second.began
    assert second.began + second.seconds <= time.monotonic()
    assert second.worked > 0
    with pytest.raises(ProbeFailed, match="nowhere"):
        timer.search(ProbeQuery(DEFAULT_TEAM, "nowhere", "return"))
    assert timer.search(QUERY).seconds > 0
    assert timer.pid == pid != os.getpid()
    # Others of this machine can read what a process was called with.
    assert platform.database.url.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert os.getpriority(os.PRIO_PROCESS, pid or 0) == os.getpriority(os.PRIO_PROCESS, 0)
    timer.close()
    assert not runs(pid)
    with pytest.raises(ProbeFailed, match="the probe is closed"):
        timer.search(QUERY)


def test_a_killed_process_is_started_again_a_few_times(timer: Probe) -> None:
    pids = set()
    for _ in range(MOST_STARTS):
        timer.search(QUERY)
        pids.add(timer.pid)
        os.kill(timer.pid or 0, signal.SIGKILL)
        os.waitid(os.P_PID, timer.pid or 0, os.WEXITED | os.WNOWAIT)
    assert len(pids) == MOST_STARTS
    with pytest.raises(ProbeFailed, match=f"has ended {MOST_STARTS} times"):
        timer.search(QUERY)
    assert timer.pid is None


def test_a_search_that_times_out_counts_as_having_taken_that_long(
    timer: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer.search(QUERY)
    pid = timer.pid
    monkeypatch.setattr(probe, "SEARCH_SECONDS", 0.3)
    os.kill(pid or 0, signal.SIGSTOP)
    assert timer.search(QUERY).seconds >= 0.3
    assert not runs(pid)


def test_closing_ends_the_process_in_the_middle_of_a_search(timer: Probe) -> None:
    timer.search(QUERY)
    pid = timer.pid
    os.kill(pid or 0, signal.SIGSTOP)
    told: list[Timing | ProbeFailed] = []

    def ask() -> None:
        try:
            told.append(timer.search(QUERY))
        except ProbeFailed as error:
            told.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert not wait_until(lambda: bool(told), 0.3)
    timer.close()
    thread.join(timeout=600)
    assert isinstance(told[0], ProbeFailed)
    assert not runs(pid)


def test_it_ends_soon_after_its_parent_is_killed_though_others_hold_its_input(
    platform: Platform, tmp_path: Path
) -> None:
    told, platforms = tmp_path / "pids", Platform(platform.settings, platform.database.url)
    parent = os.fork()
    if parent == 0:
        try:
            made = Probe(platforms)
            made.search(QUERY)
            holder = os.fork()  # inherits the pipe, so that its end is never seen
            if holder:
                told.with_suffix(".part").write_text(f"{made.pid} {holder}", encoding="ascii")
                told.with_suffix(".part").rename(told)
            time.sleep(600)
        finally:
            os._exit(0)
    assert wait_until(told.exists)
    pid, holder = map(int, told.read_text(encoding="ascii").split())
    try:
        assert runs(pid)
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert wait_until(lambda: not runs(pid))
        assert runs(holder)
    finally:
        os.kill(holder, signal.SIGKILL)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("print('hello')", "cannot be read"),
        ("print('[1]')", "cannot be read"),
        ("print('x' * (2 << 20))", "without an end"),
        ("raise SystemExit(3)", "ended with status 3"),
        ('print(\'{"error": "no module"}\')', "did not start: no module"),
        ("import time; time.sleep(600)", "was not ready after"),
    ],
)
def test_a_process_that_gives_no_usable_answer_is_reported_and_ended(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    started: list[Any] = []

    def start() -> Any:
        command = [sys.executable, "-S", "-c", program]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    monkeypatch.setattr(probe, "_start_process", start)
    monkeypatch.setattr(probe, "START_SECONDS", 1.0 if "sleep" in program else 300.0)
    with pytest.raises(ProbeFailed, match=message):
        Probe(platform).search(QUERY)
    assert started[0].poll() is not None


def test_a_process_that_cannot_be_started_is_reported(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(probe, "_start_process", refused)
    with pytest.raises(ProbeFailed, match="cannot be started: no more processes"):
        Probe(platform).search(QUERY)


def test_however_a_build_ends_no_search_is_timed_after_it(
    platform: Platform, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(BuiltIn(name="good", provider="hashing", dimensions=512))
    monkeypatch.setattr(monitor, "FEWEST_CHUNKS", 1)
    made: list[Probe] = []

    class Noted(Probe):
        def __init__(self, given: Platform) -> None:
            super().__init__(given)
            made.append(self)

    monkeypatch.setattr(monitor, "Probe", Noted)
    throttle = Throttle()
    with platform.database.system() as connection:
        row = connection.execute("SELECT identity FROM embedding_models WHERE name = 'good'").fetchone()
    assert row
    with pytest.raises(KeyboardInterrupt), monitor.monitored(platform, throttle, row[0]):
        assert throttle.limit(monitor.SEARCH)
        pid = made[0].pid
        assert runs(pid)
        raise KeyboardInterrupt
    assert not runs(pid)
    assert not any(thread.name == "penstock-monitor" for thread in threading.enumerate())
