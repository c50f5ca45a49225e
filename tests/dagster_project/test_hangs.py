"""What counts as hanging, and what only as slow."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import heartbeats
from core.heartbeats import Rounds, heartbeat
from dagster_project import hearings
from dagster_project.hangs import ASK_SECONDS, BEGIN_SECONDS, Activity, Hearing, Silence, activity, beats
from dagster_project.hearings import Hearings
from dagster_project.parts import Child, PartState
from dagster_project.warm.turns import paced

IDLE, COMPUTES, DISK, STOPPED = "idle", "computes", "disk", "stopped"


def asked_until_it_hangs(kind: str, answers: bool = False) -> int | None:
    """How often in a row a part may be silent; None if it is given a thousand times."""
    hearing, used = Hearing(), 0.0
    for number in range(1, 1001):
        used += 0.06 if kind == COMPUTES else 0.0
        state = {DISK: "D", STOPPED: "T"}.get(kind, "S")
        if hearing.heard(number * ASK_SECONDS, answers, Activity(state, used)):
            return number
    return None


@pytest.mark.parametrize(("kind", "seconds"), [(STOPPED, 30), (IDLE, 90), (COMPUTES, 360), (DISK, 360)])
def test_the_more_a_silent_part_may_be_merely_slow_the_longer_it_is_waited_for(kind: str, seconds: float) -> None:
    number = asked_until_it_hangs(kind)
    assert number is not None
    assert seconds <= number * ASK_SECONDS <= seconds + ASK_SECONDS


def test_a_part_that_answers_never_hangs_whatever_it_does_unless_it_is_stopped() -> None:
    assert [asked_until_it_hangs(kind, answers=True) for kind in (IDLE, COMPUTES, DISK)] == [None] * 3
    assert asked_until_it_hangs(STOPPED, answers=True) == 2, "its socket may still accept"


def test_one_answer_makes_up_for_every_silence_before_it() -> None:
    hearing, quiet = Hearing(), Activity("S", 0.0)
    for number in range(1, 100):
        assert not hearing.heard(number * ASK_SECONDS, number % 6 == 0, quiet)
    assert hearing.detail() == "not answering, asked 3 times"
    assert not hearing.heard(0.0, True, quiet)
    assert hearing.detail() == ""


def test_a_part_is_shown_as_not_answering_from_the_second_silence_on() -> None:
    child = Child("part", [], lambda: True)
    child.restarts.started(0.0)
    child.restarts.answered = True
    states = []
    for _ in range(3):
        child.restarts.hearing.heard(0.0, False, None)
        states.append(child.restarts.state(0.0, ended=False))
    assert states == [PartState.UP, PartState.MUTE, PartState.MUTE]


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)"])
    yield process
    process.kill()
    process.wait()


def stop(process: "subprocess.Popen[bytes]") -> None:
    os.kill(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while not ((found := activity(process.pid)) and found.stopped):
        assert time.monotonic() < deadline


def part_of(process: "subprocess.Popen[bytes]", alive: bool = False) -> Child:
    part = Child("part", [], lambda: True, alive=lambda: alive)
    part.process, part.restarts.answered = process, True
    return part


def hold(held: Hearings, part: Child, rounds: int) -> None:
    for _ in range(rounds):
        held.hold([part], part.restarts.hearing.asked_at + ASK_SECONDS)


def test_parts_are_not_blamed_while_the_database_is_silent_unless_a_signal_has_stopped_them(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    held, part = Hearings("postgresql:///x", said.append), part_of(sleeper)
    monkeypatch.setattr(hearings, "lets_in", lambda url: False)
    hold(held, part, 20)
    assert (said, sleeper.poll()) == ([], None)
    stop(sleeper)
    hold(held, part, 2)
    assert said == ["part hangs (stopped by a signal, asked 2 times): it is ended and started again"]
    assert sleeper.wait(60) == -signal.SIGKILL


def test_a_silent_part_is_ended_while_the_database_answers_and_one_that_answers_is_not(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(hearings, "lets_in", lambda url: True)
    hold(Hearings("postgresql:///x", said.append), part_of(sleeper, alive=True), 50)
    assert (said, sleeper.poll()) == ([], None)
    hold(Hearings("postgresql:///x", said.append), part_of(sleeper), 7)
    assert sleeper.wait(60) == -signal.SIGKILL


def test_a_part_that_never_gets_ready_is_asked_only_after_its_time_to_begin() -> None:
    part = Child("part", [], lambda: False, alive=lambda: False)
    part.restarts.started(100.0)
    assert part.answers(100.0 + BEGIN_SECONDS - 1)
    assert not part.answers(100.0 + BEGIN_SECONDS)


def test_activity_tells_a_stopped_process_from_one_that_computes(sleeper: "subprocess.Popen[bytes]") -> None:
    quiet = activity(sleeper.pid)
    assert quiet is not None
    assert not quiet.stopped
    stop(sleeper)
    before = activity(os.getpid())
    while (now := activity(os.getpid())) and before and now.used - before.used < 0.05:
        pass
    assert activity(2**22 - 1) is None
    assert activity(None) is None


def test_a_beat_is_seen_once_and_comes_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, now = tmp_path / "beat", [100.0]
    monkeypatch.setenv(heartbeats.HEARTBEAT_VARIABLE, str(file))
    monkeypatch.setattr("core.heartbeats.time.monotonic", lambda: now[0])
    asked, beat = beats(file), heartbeat()
    assert not asked()
    beat()
    assert [asked(), asked()] == [True, False]
    os.utime(file, ns=(1, 1))
    assert asked()
    now[0] += 0.9
    beat()
    assert not asked()
    now[0] += 0.2
    beat()
    assert asked()
    monkeypatch.delenv(heartbeats.HEARTBEAT_VARIABLE)
    heartbeat()()


def test_a_process_beats_only_when_each_of_its_loops_has_gone_on() -> None:
    beaten: list[int] = []
    rounds = Rounds({"sensor", "schedule"}, lambda: beaten.append(1))
    for _ in range(5):
        rounds.goes_on("sensor")
    assert not beaten
    rounds.goes_on("schedule")
    rounds.goes_on("schedule")
    assert len(beaten) == 1
    rounds.goes_on("sensor")
    assert len(beaten) == 2


def test_a_daemon_that_waits_for_its_turn_goes_on_and_one_whose_loop_is_stuck_does_not() -> None:
    import threading

    class Daemon:
        def __init__(self, name: str) -> None:
            self._name = name

        def daemon_type(self) -> str:
            return self._name

        def core_loop(self, _context: object, shutdown: threading.Event) -> Iterator[None]:
            yield None
            shutdown.wait(0.2)
            yield None

    beaten: list[int] = []
    first, second = paced([Daemon("a"), Daemon("b")], lambda: beaten.append(1), 0.5)
    loops = [one.core_loop(None, threading.Event()) for one in (first, second)]
    next(loops[0])
    next(loops[0])
    assert not beaten, "the other one is stuck"
    next(loops[1])
    assert len(beaten) == 1
    next(loops[1])
    assert len(beaten) == 1
    with pytest.raises(LookupError, match="no core_loop"):
        paced([type("Other", (), {"daemon_type": lambda self: "c"})()], lambda: None, 0.5)


def test_the_weights_grow_with_what_is_known() -> None:
    assert Silence.STOPPED.weight > Silence.IDLE.weight > Silence.BUSY.weight
