"""Calls to objects on a real database: answers, repeats, alarms, messages, hibernation and takeover."""

import json
import socket
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from core.access.teams import add_team
from core.database import Database
from core.events import DEFAULT_TEAM
from objects.lifecycle import history, restore, revive, terminate
from objects.model import Address, Call, Fault, Message, Method, Reply, Step, TypeSpec
from objects.node import ThreadedNode
from objects.types import NATIVE
from objects.types.native import Native

CallIt = Callable[..., Reply]


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def test_a_call_changes_the_state_and_a_repeat_gets_the_same_answer(node: ThreadedNode, call: CallIt) -> None:
    assert body(call(node, "register/a", "add", '{"amount": 5}', id="one")) == {"count": 5}
    again = call(node, "register/a", "add", '{"amount": 5}', id="one")
    assert (again.repeated, body(again)) == (True, {"count": 5})
    assert call(node, "register/a", "add", '{"amount": 6}', id="one").code == "call-id"
    assert body(call(node, "register/a", "read")) == {"value": None, "count": 5}
    assert body(call(node, "register/b", "read")) == {"value": None, "count": 0}


def test_what_an_object_refuses_is_an_answer_that_a_repeat_gets_too(node: ThreadedNode, call: CallIt) -> None:
    assert call(node, "register/a", "lock", '{"owner": "x"}').ok
    refused = call(node, "register/a", "lock", '{"owner": "y"}', id="try")
    assert (refused.code, body(refused)["code"]) == ("refused", "locked")
    assert call(node, "register/a", "unlock", '{"owner": "x"}').ok
    assert call(node, "register/a", "lock", '{"owner": "y"}', id="try").code == "refused"
    assert body(call(node, "register/a", "lock", '{"owner": "y"}', id="next"))["fence"] == 2


def test_wrong_calls_are_refused_by_name_and_change_nothing(node: ThreadedNode, call: CallIt) -> None:
    assert call(node, "nonsense/a", "read").code == "no-such-type"
    assert call(node, "register/a", "burn").code == "no-such-method"
    assert call(node, "register/a", "expire", "1").code == "no-such-method"  # for alarms only
    assert "argument.amount" in body(call(node, "register/a", "add", '{"amount": "1"}'))["error"]
    assert call(node, "register/a", "add", seconds=-1).code == "deadline"
    assert body(call(node, "register/a", "read"))["count"] == 0


def test_an_alarm_ends_a_lock_once(node: ThreadedNode, call: CallIt, database: Database) -> None:
    call(node, "register/a", "lock", '{"owner": "x", "seconds": 1}')
    until(lambda: call(node, "register/a", "lock", '{"owner": "y"}').ok)
    with database.system() as connection:
        told = connection.execute("SELECT method FROM object_calls WHERE call_id LIKE 'alarm/lock/%'").fetchall()
    assert told == [("expire",)]


def test_an_object_hibernates_and_wakes_with_its_state(
    make_node: Callable[..., ThreadedNode], call: CallIt, database: Database
) -> None:
    node = make_node(hibernate=0.5)
    call(node, "register/a", "add", '{"amount": 3}')
    until(lambda: _status(database) == ("Hibernating", None))
    assert len(node.node.steps.holding) == 0
    assert body(call(node, "register/a", "read"))["count"] == 3
    assert _status(database)[0] == "Active"


def test_a_dead_nodes_objects_are_taken_over_after_its_lease(
    make_node: Callable[..., ThreadedNode], call: CallIt, database: Database
) -> None:
    first, second = make_node(), make_node(lease=1.0)
    call(second, "register/a", "add")
    with database.system() as connection:  # as if the node that holds it had died a moment ago
        connection.execute(
            "UPDATE objects SET node = %s",
            (dead := uuid.uuid4(),),
        )
        connection.execute(
            "INSERT INTO object_nodes (id, address, secret, lease_until) "
            "VALUES (%s, '127.0.0.1:9', 'x', clock_timestamp() + interval '1.5 seconds')",
            (dead,),
        )
    began = time.monotonic()
    assert body(call(first, "register/a", "add"))["count"] == 2
    assert 1.0 < time.monotonic() - began < 4.0


def test_a_node_that_lost_an_object_commits_nothing_more(
    make_node: Callable[..., ThreadedNode], call: CallIt, database: Database
) -> None:
    stopped: list[Any] = []

    def edge(name: str) -> None:
        if name == "handled" and not stopped:  # between the step and its commit, another node takes over
            stopped.append(name)
            with database.system() as connection:
                connection.execute("UPDATE objects SET epoch = epoch + 1, node = %s", (other.node.id,))

    other = make_node()
    slow = make_node(edge=edge)
    reply = slow.do(slow.node.take(_a_call("register/a", "add")))
    assert stopped and reply.code == "moved"
    assert body(call(other, "register/a", "read"))["count"] == 0


def test_a_node_that_lost_an_object_answers_no_old_state(
    make_node: Callable[..., ThreadedNode], call: CallIt, database: Database
) -> None:
    taken: list[Any] = []

    def edge(name: str) -> None:
        if name == "handled" and taken == [""]:  # between reading and answering, another node takes over and changes it
            taken.append(name)
            with database.system() as connection:
                connection.execute("UPDATE objects SET epoch = epoch + 1, node = NULL")
            assert other.do(other.node.take(_a_call("register/a", "add"))).ok

    other = make_node()
    slow = make_node(edge=edge)
    assert slow.do(slow.node.take(_a_call("register/a", "add"))).ok
    taken.append("")
    reply = slow.do(slow.node.take(_a_call("register/a", "read")))
    assert len(taken) == 2 and reply.code == "moved"
    assert body(call(other, "register/a", "read"))["count"] == 2


def test_a_draining_node_hands_its_objects_over_at_once(
    make_node: Callable[..., ThreadedNode], call: CallIt, database: Database
) -> None:
    first = make_node()
    call(first, "register/a", "add")
    second = make_node()
    first.stop()
    began = time.monotonic()
    assert body(call(second, "register/a", "add"))["count"] == 2
    assert time.monotonic() - began < 2.0


def test_calls_of_one_object_run_one_after_the_other(
    make_node: Callable[..., ThreadedNode], call: CallIt, database: Database
) -> None:
    nodes = [make_node(), make_node()]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: call(nodes[n % 2], "register/a", "add"), range(60)))
    assert sorted(body(reply)["count"] for reply in replies) == list(range(1, 61))


def test_a_failed_object_is_tried_again_when_its_time_has_come_without_a_call(
    node: ThreadedNode, call: CallIt, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(Native):
        spec = TypeSpec(name="fragile", version=1, methods={"do": Method()})
        broken = True

        def ready(self) -> None:
            if self.broken:
                raise Fault("not yet")

        def on_do(self, state: Any, message: Message) -> Step:
            return Step("done")

    fragile = Fragile()
    monkeypatch.setitem(NATIVE, "fragile", fragile)
    assert [call(node, "fragile/a", "do").code for _ in range(4)] == ["fault", "fault", "failed", "failed"]

    def stored() -> Any:
        with database.system() as connection:
            return connection.execute("SELECT status, failures, reason FROM objects").fetchone()

    def time_comes() -> None:
        with database.system() as connection:
            connection.execute("UPDATE objects SET retry_at = clock_timestamp()")

    time_comes()
    until(lambda: stored() == ("Failed", 4, "not yet"))
    fragile.broken = False
    time_comes()
    until(lambda: stored() == ("Created", 0, None))
    assert call(node, "fragile/a", "do").ok


def test_what_is_terminated_stays_dead(node: ThreadedNode, call: CallIt, database: Database) -> None:
    call(node, "register/a", "lock", '{"owner": "x", "seconds": 1}')
    with database.team(DEFAULT_TEAM) as connection:
        assert terminate(connection, DEFAULT_TEAM, "register", "a", "test")
    assert call(node, "register/a", "read").code == "terminated"
    assert _status(database)[0] == "Terminated"
    with database.system() as connection:
        assert connection.execute("SELECT count(*) FROM object_alarms").fetchone() == (0,)
    with database.team(DEFAULT_TEAM) as connection:
        revive(connection, DEFAULT_TEAM, "register", "a")
    assert body(call(node, "register/a", "read"))["count"] == 0


def test_a_state_of_before_can_be_restored(node: ThreadedNode, call: CallIt, database: Database) -> None:
    for _ in range(8):
        call(node, "register/a", "add")
    with database.team(DEFAULT_TEAM) as connection:
        kept = [version for version, *_ in history(connection, "register", "a")]
        assert kept == [8, 7, 6, 5, 4]
        restore(connection, DEFAULT_TEAM, "register", "a", 6)
    assert body(call(node, "register/a", "add"))["count"] == 7


def test_a_look_at_what_does_not_exist_makes_no_object(node: ThreadedNode, call: CallIt, database: Database) -> None:
    assert body(call(node, "register/a", "read")) == {"value": None, "count": 0}
    assert call(node, "register/a", "burn").code == "no-such-method"
    with database.system() as connection:
        assert connection.execute("SELECT count(*) FROM objects").fetchone() == (0,)


def test_whoever_does_not_know_a_nodes_secret_gets_no_answer(node: ThreadedNode) -> None:
    host, _, port = node.node.address.rpartition(":")
    for said in (b"x" * 44, b"{}\n" * 100, node.node.secret.encode()[:-1] + b"x\n"):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(said + b'{"number": 1}\n')
            connection.settimeout(5)
            with suppress(ConnectionResetError):
                assert connection.recv(100) == b""


def test_teams_have_objects_of_their_own(node: ThreadedNode, call: CallIt, database: Database) -> None:
    with database.system() as connection:
        acme = add_team(connection, "acme").id
    call(node, "register/a", "add", '{"amount": 9}')
    assert body(call(node, "register/a", "read", team=acme))["count"] == 0


def _status(database: Database) -> Any:
    with database.system() as connection:
        return connection.execute("SELECT status, node FROM objects").fetchone()


def _a_call(where: str, method: str) -> Call:
    kind, _, key = where.partition("/")
    return Call(Address(DEFAULT_TEAM, kind, key), method, "{}", str(uuid.uuid4()), "test", time.time() + 10)


def until(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
