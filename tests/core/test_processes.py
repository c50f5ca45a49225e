"""A process is named so that no other one is taken for it, and what a killed one leaves behind is found and ended."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.database.holders import Holders
from core.processes import ProcessName, await_end, end, started_ticks


@pytest.fixture
def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "600"])


def _named(process: "subprocess.Popen[bytes]") -> ProcessName:
    name = ProcessName.of(process.pid)
    assert name is not None
    return name


def test_a_name_fits_one_process_only_and_a_signal_reaches_no_other(sleeper: "subprocess.Popen[bytes]") -> None:
    name = _named(sleeper)
    others = [replace(name, started=name.started + 1), replace(name, boot="another boot")]
    try:
        assert name.runs()
        assert ProcessName.read(name.stored()) == name
        for other in others:
            assert not other.runs()
            assert not other.send(signal.SIGKILL)
        assert end(others, 0.1) == []
        assert sleeper.poll() is None
        assert name.send(signal.SIGKILL)
    finally:
        sleeper.kill()
    while started_ticks(sleeper.pid) is not None:
        time.sleep(0.01)
    assert not name.runs(), "a zombie does not run"
    sleeper.wait()
    assert ProcessName.of(sleeper.pid) is None
    assert not name.send(signal.SIGTERM)


@pytest.mark.parametrize("stored", [None, 7, [], [1, 2], ["1", 2, "b"], [-5, 2, "b"], [0, 2, "b"], {"pid": 1}])
def test_what_is_no_name_is_read_as_none(stored: object) -> None:
    assert ProcessName.read(stored) is None


def test_a_process_that_does_not_end_when_asked_is_killed() -> None:
    deaf = subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
         "time.sleep(600)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert deaf.stdout is not None
    deaf.stdout.readline()
    assert end([_named(deaf)], 0.2) == []
    assert deaf.wait() == -signal.SIGKILL
    deaf.stdout.close()


PARENT = """
import subprocess, sys, time
from core.processes import ends_with_parent
child = subprocess.Popen(["sleep", "600"], preexec_fn=ends_with_parent())
print(child.pid, flush=True)
time.sleep(600)
"""


DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
BLOCKING = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))\n"


@pytest.mark.parametrize("before", ["", DEAF, BLOCKING], ids=["plain", "ignored", "blocked"])
def test_the_kernel_ends_a_child_whose_parent_is_killed(before: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", before + PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = ProcessName.of(int(parent.stdout.readline()))
    assert child is not None
    assert child.runs()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    left = await_end([child], 30)
    end([child], 0)
    assert left == []


def test_holders_that_have_ended_hold_nothing(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    file = tmp_path / "holders.json"
    holders = Holders(file)
    try:
        assert holders.get_and_add(os.getpid()) == []
        assert holders.get_and_add(sleeper.pid) == [os.getpid()]
        assert holders.get_and_add(sleeper.pid) == [os.getpid(), sleeper.pid]
        assert Holders(file).get_and_remove(sleeper.pid) == [os.getpid(), sleeper.pid]
        assert holders.get_and_add(sleeper.pid) == [os.getpid()]
    finally:
        sleeper.kill()
        sleeper.wait()
    assert holders.get_and_remove(os.getpid()) == [os.getpid()]
    assert holders.get_and_remove(os.getpid()) == []
    for broken in ("", "{", "7", '[["x"], [1, 2], 3]'):
        file.write_text(broken)
        assert holders.get_and_remove(os.getpid()) == []
