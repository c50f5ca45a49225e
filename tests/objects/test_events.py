"""Messages between objects, subscriptions to the event log, alarms with periods and failures, and tasks that objects
ask for."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, OUTCOMES, Event
from objects import lifecycle
from objects.model import Message, Method, Reply, Step, TypeSpec
from objects.node import ThreadedNode
from objects.types import NATIVE
from objects.types.native import Native

CallIt = Callable[..., Reply]


class Probe(Native):
    """Does what its argument says."""

    spec = TypeSpec(
        name="probe",
        version=1,
        initial={"heard": [], "tries": 0},
        methods={
            "do": Method(),
            "heard": Method(reading=True),
            "hear": Method(internal=True),
            "fail": Method(internal=True),
            "block": Method(internal=True),
        },
    )

    def __init__(self) -> None:
        self.blocked = threading.Event()

    def on_do(self, state: Any, message: Message) -> Step:
        return Step(None, state, message.argument)

    def on_heard(self, state: Any, message: Message) -> Step:
        return Step(state["heard"])

    def on_hear(self, state: Any, message: Message) -> Step:
        heard = [*state["heard"], message.argument]
        forward = message.argument.get("then", []) if isinstance(message.argument, dict) else []
        return Step(None, {**state, "heard": heard}, forward)

    def on_block(self, state: Any, message: Message) -> Step:
        self.blocked.wait(25)
        return Step(None)

    def on_fail(self, state: Any, message: Message) -> Step:
        from objects.model import Fault

        raise Fault("on purpose")


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    made = Probe()
    monkeypatch.setitem(NATIVE, "probe", made)
    return made


@pytest.fixture
def do(node: ThreadedNode, call: CallIt) -> Callable[..., Any]:
    def make(key: str, *effects: Any, **more: Any) -> Reply:
        return call(node, f"probe/{key}", "do", json.dumps(list(effects)), **more)

    return make


@pytest.fixture
def heard(node: ThreadedNode, call: CallIt) -> Callable[[str], list[Any]]:
    def read(key: str) -> list[Any]:
        return list(json.loads(call(node, f"probe/{key}", "heard").body))

    return read


def send(key: str, argument: Any, method: str = "hear", kind: str = "probe") -> dict[str, Any]:
    return {"kind": "send", "type": kind, "key": key, "method": method, "argument": argument}


def test_a_message_is_told_once_also_when_its_step_is_repeated(
    do: Callable[..., Reply], heard: Callable[[str], list[Any]]
) -> None:
    for _ in range(3):
        assert do("a", send("b", 1), send("b", 2), id="one").ok
    _until(lambda: sorted(heard("b")) == [1, 2])
    time.sleep(0.3)
    assert sorted(heard("b")) == [1, 2]


def test_a_message_that_leads_back_is_refused_and_nothing_of_its_step_happens(
    do: Callable[..., Reply], heard: Callable[[str], list[Any]], database: Database
) -> None:
    refused = do("a", send("b", 1), send("a", 1))
    assert (refused.code, json.loads(refused.body)["code"]) == ("refused", "cycle")
    do("a", send("b", {"then": [send("c", {"then": [send("a", "back")]})]}))
    _until(lambda: _answers(database, "c"))
    assert _answers(database, "c") == [("refused", "cycle")]
    assert (len(heard("b")), heard("a")) == (1, [])


def test_messages_lead_through_sixteen_objects_and_no_further(do: Callable[..., Reply], database: Database) -> None:
    told: Any = "end"
    for number in range(20, 0, -1):
        told = {"then": [send(f"o{number}", told)]}
    do("o0", *told["then"])
    _until(lambda: _answers(database, "o14"))
    assert _answers(database, "o14") == [("ok", None)]
    _until(lambda: _answers(database, "o15"))
    assert _answers(database, "o15") == [("refused", "depth")]


def test_an_alarm_with_a_period_comes_again_and_missed_periods_become_one(
    do: Callable[..., Reply], heard: Callable[[str], list[Any]], database: Database
) -> None:
    do("a", {"kind": "alarm", "name": "tick", "every": 1, "method": "hear", "argument": "tick"})
    with database.system() as connection:  # as if no node had run for a minute
        connection.execute(
            "UPDATE object_alarms SET due_at = due_at - interval '1 minute', "
            "next_try_at = next_try_at - interval '1 minute'"
        )
    _until(lambda: len(heard("a")) >= 2)
    assert len(heard("a")) <= 3
    do("a", {"kind": "cancel", "name": "tick"})
    known = len(heard("a"))
    time.sleep(1.3)
    assert len(heard("a")) == known


def test_an_alarm_that_fails_six_times_is_a_dead_letter_until_it_is_tried_again(
    do: Callable[..., Reply], database: Database, node: ThreadedNode
) -> None:
    do("a", {"kind": "alarm", "name": "x", "after": 0, "method": "fail"})
    for tries in range(1, 7):
        _until(lambda tries=tries: _alarm(database)[0] == tries)  # type: ignore[misc]
        state, wait, error = _alarm(database)[1:]
        assert error == "fault: on purpose"
        if tries < 6:
            assert state == "waiting" and 2 ** (tries - 1) - 4 < wait <= 2**tries  # it may be looked at late
        with database.system() as connection:
            connection.execute("UPDATE object_alarms SET next_try_at = clock_timestamp()")
    assert _alarm(database)[1] == "dead"
    with database.team(DEFAULT_TEAM) as connection:
        assert lifecycle.try_again(connection, DEFAULT_TEAM, "probe", "a") == 1
    _until(lambda: _alarm(database)[0] == 1)


def test_a_message_to_what_is_terminated_or_never_was_is_not_told_for_ever(
    do: Callable[..., Reply], database: Database
) -> None:
    do("dead")
    with database.team(DEFAULT_TEAM) as connection:
        lifecycle.terminate(connection, DEFAULT_TEAM, "probe", "dead", "test")
    do("a", send("dead", 1), send("x", 1, kind="nonsense"))
    _until(lambda: _alarm(database)[0] == 1)
    assert "no-such-type" in _alarm(database)[3]


@pytest.mark.parametrize("where", ["there", "never-called"])
def test_what_is_told_to_a_method_that_only_reads_is_told_once(
    do: Callable[..., Reply], database: Database, where: str
) -> None:
    do("there")
    do("a", send(where, {}, "heard"))
    _until(lambda: _alarm(database)[1] == "none")
    with database.system() as connection:
        assert connection.execute("SELECT count(*) FROM objects WHERE key = 'never-called'").fetchone() == (0,)


def test_what_is_told_to_a_type_without_state_is_told_once(
    do: Callable[..., Reply], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    class Echo(Native):
        spec = TypeSpec(name="echo", version=1, methods={"hear": Method()}, stateless=True)

        def on_hear(self, state: Any, message: Message) -> Step:
            told.append(message.argument)
            return Step(message.argument)

    monkeypatch.setitem(NATIVE, "echo", Echo())
    do("a", send("any", 1, kind="echo"))
    _until(lambda: told and _alarm(database)[1] == "none")
    assert told == [1]


@pytest.mark.parametrize("what", ["alarms", "events"])
def test_an_object_that_takes_long_holds_up_no_other(
    do: Callable[..., Reply], heard: Callable[[str], list[Any]], probe: Probe, what: str
) -> None:
    for key, method in (("slow", "block"), ("quick", "hear")):
        if what == "alarms":
            do(key, {"kind": "alarm", "name": "x", "after": 0, "method": method})
        else:
            topic = {"topic": "penstock.objects", "event_type": f"object.probe.{key}"}
            do(key, {"kind": "subscribe", "method": method, **topic})
    if what == "events":
        do("other", *({"kind": "emit", "type": key} for key in ("slow", "quick")))
    try:
        _until(lambda: heard("quick"))
    finally:
        probe.blocked.set()


def test_a_subscriber_hears_each_event_of_its_type_once(
    do: Callable[..., Reply], heard: Callable[[str], list[Any]], database: Database
) -> None:
    log = PostgresLog(database)
    before = [_event(f"old-{n}", "penstock.task.closed") for n in range(3)]
    log.append([(OUTCOMES, event) for event in before])
    log.end_offsets(OUTCOMES)
    do("a", {"kind": "subscribe", "topic": OUTCOMES, "event_type": "penstock.task.", "method": "hear"})
    events = [_event(f"e{n}", "penstock.task.closed" if n % 2 else "penstock.other") for n in range(20)]
    log.append([(OUTCOMES, event) for event in events])
    _until(lambda: len(heard("a")) == 10)
    time.sleep(0.5)
    assert [one["id"] for one in heard("a")] == [f"x:e{n}" for n in range(1, 20, 2)]
    do("a", {"kind": "unsubscribe", "topic": OUTCOMES})
    log.append([(OUTCOMES, _event("late", "penstock.task.closed"))])
    time.sleep(1.5)
    assert len(heard("a")) == 10
    log.close()


def test_an_object_hears_what_another_emits(do: Callable[..., Reply], heard: Callable[[str], list[Any]]) -> None:
    do("a", {"kind": "subscribe", "topic": "penstock.objects", "event_type": "object.probe.", "method": "hear"})
    do("b", {"kind": "emit", "type": "paid", "data": {"amount": 5}})
    _until(lambda: heard("a"))
    [event] = heard("a")
    assert (event["type"], event["subject"], event["data"]["amount"]) == ("object.probe.paid", "b", 5)


def test_a_task_that_an_object_asks_for_is_started_once(
    do: Callable[..., Reply], database: Database, tmp_path: Path
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', %s)", (DEFAULT_TEAM, str(tmp_path))
        )
    for source in ("shop", "nowhere"):
        for _ in range(2):
            do("a", {"kind": "task", "source": source, "title": "Fix it", "body": "soon"}, id=f"ask-{source}")

    def rows(query: str) -> Any:
        with database.system() as connection:
            return connection.execute(query.encode()).fetchall()

    _until(lambda: len(rows("SELECT 1 FROM deliveries")) == 2)
    assert rows("SELECT title, author FROM tasks") == [("Fix it", "object probe/a")]
    assert rows("SELECT state FROM deliveries ORDER BY 1") == [("ignored",), ("task",)]


def _event(name: str, kind: str) -> Event:
    return Event(id=f"x:{name}", source="/test", type=kind, subject="s", data={"n": name})


def _answers(database: Database, key: str) -> list[Any]:
    with database.system() as connection:
        return connection.execute(
            "SELECT outcome, answer::json ->> 'code' FROM object_calls WHERE key = %s AND method = 'hear'", (key,)
        ).fetchall()


def _alarm(database: Database) -> Any:
    with database.system() as connection:
        row = connection.execute(
            "SELECT tries, state, extract(epoch FROM next_try_at - clock_timestamp())::float, last_error "
            "FROM object_alarms"
        ).fetchone()
    return row or (0, "none", 0.0, "")


def _until(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
