"""A worker that hangs, dies, says too much or cannot start is told by name, and is gone."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core import worker as workers
from core.worker import Worker, WorkerEnded, WorkerLate, WorkerUnavailable

MODULE = "tests.core.worker_cases"
LONG = 60.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(MODULE) as made:
        yield made


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_worker_answers_one_request_after_the_other_and_prints_are_no_answers(worker: Worker) -> None:
    for value in ({"a": [1, None, "é\n"]}, "x" * 3_000_000, []):
        assert worker.ask({"do": "echo", "value": value}, LONG) == value
    assert worker.ask({"do": "print"}, LONG) == "told"


def test_bytes_are_answered_by_bytes(worker: Worker) -> None:
    for content in (b"", b"\n{}\0", os.urandom(3_000_000)):
        assert worker.ask(content, LONG) == content[::-1]


def test_a_kill_from_another_thread_ends_the_wait(worker: Worker) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(worker.ask, {"do": "sleep"}, LONG)
        worker.kill()
        with pytest.raises(WorkerEnded, match="killed by signal 9"):
            asked.result(LONG)


def test_a_worker_sees_no_secret_but_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TOKEN", "hush")
    with Worker(MODULE) as bare, Worker(MODULE, {"GIVEN": "this"}) as given:
        assert "hush" not in bare.ask({"do": "environment"}, LONG).values()
        assert given.ask({"do": "environment"}, LONG)["GIVEN"] == "this"


@pytest.mark.parametrize("asked", [{"do": "sleep"}, {"do": "echo", "value": "x" * 10_000_000}])
def test_one_that_hangs_is_ended_whether_it_has_read_its_request_or_not(worker: Worker, asked: Any) -> None:
    if asked["do"] == "echo":
        os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerLate, match="in time"):
        worker.ask(asked, 0.3)
    assert not runs(worker.pid)
    with pytest.raises(WorkerEnded, match="before"):
        worker.ask({"do": "print"}, LONG)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"do": "exit"}, "ended with status 3: so it goes"),
        ({"do": "memory", "size": 2 << 30}, "ended with status 1: MemoryError"),
        ({"do": "large", "size": 2 << 20}, "too large"),
        (b"x" * (65 << 20), "ended with status 1: ValueError: the request is too large"),
    ],
)
def test_how_one_ended_is_told(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(workers, "LARGEST", 1 << 20)
    with pytest.raises(WorkerEnded, match=message):
        worker.ask(asked, LONG)
    assert not runs(worker.pid)


def test_one_that_is_killed_is_told(worker: Worker) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerEnded, match="killed by signal 9"):
        worker.ask({"do": "print"}, LONG)


def test_one_that_cannot_start_says_why() -> None:
    with pytest.raises(WorkerUnavailable, match="no such wheel"):
        Worker(MODULE, {"FAIL": "yes"})
    with pytest.raises(WorkerUnavailable, match="No module named"):
        Worker("tests.core.no_such_module")
