"""One object among nodes that are killed at every edge of a step, stopped, thawed and replaced: a Hypothesis state
machine.

The state is the list of the calls that were applied. What is checked after each step: the state equals the fold of the
calls that the database says were answered, each id counts at most once, each event and each alarm has its effect once,
nothing commits under an old epoch, and what is terminated stays dead.
"""

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.database import Database
from core.events import DEFAULT_TEAM
from objects import lifecycle
from objects.handlers import Chosen
from objects.model import Address, Call, Message, Method, Reply, Step, TypeSpec
from objects.steps import Steps
from objects.store import NodeStore

EDGES = ("claimed", "migrated", "handled", "committed")
ROUNDS = int(os.environ.get("PENSTOCK_TEST_ROUNDS", "0"))
METHODS = {"add": Method(), "wake": Method(internal=True), "set": Method(), "read": Method(reading=True)}


class Killed(BaseException):
    """The process died here."""


class Ledger:
    """Applies calls by noting their ids. A newer version notes its number in the state when it takes it over."""

    def __init__(self, version: int) -> None:
        initial = {"applied": [], "version": version}
        self.spec = TypeSpec("ledger", version, METHODS, initial=initial)

    def ready(self) -> None: ...

    def handle(self, state: Any, message: Message) -> Step:
        if message.method == "read":
            return Step(state["applied"])
        applied = {**state, "applied": [*state["applied"], message.id]}
        effects: list[dict[str, Any]] = [{"kind": "emit", "type": "applied", "data": {"id": message.id}}]
        if message.method == "set":
            effects.append({"kind": "alarm", "name": message.argument, "after": 0, "method": "wake"})
        return Step(len(applied["applied"]), applied, effects)

    def plan(self, state: Any, message: Message) -> None: ...

    def migrate(self, state: Any, version: int) -> Any:
        return {**state, "version": self.spec.version}

    def downgrade(self, state: Any, version: int) -> Any:
        return {**state, "version": version}


class Types:
    """`objects.handlers.Handlers` whose version a test chooses."""

    def __init__(self) -> None:
        self.version = 1

    def choose(self, address: Address) -> Chosen:
        return Chosen(self.version, canary=False)

    def of(self, address: Address, version: int) -> Ledger:
        return Ledger(version)


class Machine(RuleBasedStateMachine):
    database: Database
    store: NodeStore

    def __init__(self) -> None:
        super().__init__()
        self.types = Types()
        self.key = uuid.uuid4().hex
        self.address = Address(DEFAULT_TEAM, "ledger", self.key)
        self.nodes: list[Steps] = []
        self.edge: tuple[Steps | None, str] = (None, "")
        self.answered: dict[str, tuple[str, int]] = {}
        """What callers were told, by the call's id: the answer, and in which incarnation."""
        self.asked: list[tuple[str, str]] = []
        self.incarnation = 1
        self.dead = False
        self.set_names: list[str] = []

    @initialize()
    def begin(self) -> None:
        for _ in range(3):
            self._add_node()

    def _add_node(self) -> None:
        node = uuid.uuid4()
        self.store.renew(node, f"127.0.0.1:{len(self.nodes) + 1}", "x", 600)
        made: list[Steps] = []

        def edge(name: str) -> None:
            if self.edge == (made[0], name):
                self.edge = (None, "")
                raise Killed

        made.append(Steps(self.store, self.types, node, edge=edge))  # type: ignore[arg-type]
        self.nodes.append(made[0])

    def _call(self, steps: Steps, call: Call, kill: str | None) -> Reply | None:
        self.edge = (steps, kill or "")
        try:
            return steps.run(call)
        except Killed:
            self._end(steps)
            return None
        finally:
            self.edge = (None, "")

    def _end(self, steps: Steps) -> None:
        """A killed process is gone; its lease ends."""
        self.nodes.remove(steps)
        self._lapse(steps)
        self._add_node()

    def _lapse(self, steps: Steps) -> None:
        with self.database.system() as connection:
            connection.execute("UPDATE object_nodes SET lease_until = '-infinity' WHERE id = %s", (steps.node,))

    def _a_call(self, method: str, argument: Any, identity: str, cause: Any = None) -> Call:
        text = json.dumps(argument)
        return Call(self.address, method, text, identity, "test", time.time() + 60, cause=cause)

    def _told(self, identity: str, reply: Reply | None) -> None:
        if reply is None or not reply.ok:
            assert reply is None or reply.code in ("moved", "retry", "terminated", "gone"), reply
            if reply is not None and reply.code == "terminated":
                assert self.dead, "it is said to be dead, and was not terminated"
            return
        assert not self.dead, "a terminated object has answered"
        before = self.answered.get(identity)
        if before is not None and before[1] == self.incarnation:
            assert reply.body == before[0], "a repeat got another answer"
        self.answered[identity] = (reply.body, self.incarnation)

    # what happens

    @rule(node=st.integers(0, 2), kill=st.sampled_from((None, None, *EDGES)), name=st.none() | st.sampled_from("ab"))
    def call(self, node: int, kill: str | None, name: str | None) -> None:
        identity, method = f"c{len(self.asked)}", "add" if name is None else "set"
        self.asked.append((identity, json.dumps([method, name])))
        reply = self._call(self.nodes[node], self._a_call(method, name, identity), kill)
        self._told(identity, reply)

    @precondition(lambda self: self.asked)
    @rule(node=st.integers(0, 2), which=st.integers(0, 1000), kill=st.sampled_from((None, None, *EDGES)))
    def repeat(self, node: int, which: int, kill: str | None) -> None:
        identity, what = self.asked[which % len(self.asked)]
        method, name = json.loads(what)
        self._told(identity, self._call(self.nodes[node], self._a_call(method, name, identity), kill))

    @rule(node=st.integers(0, 2))
    def read(self, node: int) -> None:
        reply = self._call(self.nodes[node], self._a_call("read", None, uuid.uuid4().hex), None)
        if reply is not None and reply.ok:
            assert json.loads(reply.body) == self._applied(), "a read saw an old state"

    @rule(node=st.integers(0, 2), kill=st.sampled_from((None, None, *EDGES)))
    def alarms(self, node: int, kill: str | None) -> None:
        """Tells what is due. Of a claim that somebody died with, the time is up at once."""
        with self.database.system() as connection:
            connection.execute("UPDATE object_alarms SET claimed_until = NULL WHERE key = %s", (self.key,))
        for due in self.store.due(100):
            if due.address != self.address:
                continue
            identity = f"alarm/{due.name}/{due.due_at.isoformat()}"
            cause = {"taken": {"name": due.name, "due": due.due_at.isoformat()}}
            self._call(self.nodes[node], self._a_call(due.method, None, identity, cause), kill)
            kill = None

    @rule(node=st.integers(0, 2))
    def freeze(self, node: int) -> None:
        """The node stops, its lease ends, and later it goes on, believing that it holds what it held."""
        self._lapse(self.nodes[node])

    @rule(node=st.integers(0, 2), other=st.integers(1, 2), kill=st.sampled_from((None, *EDGES)))
    def takeover(self, node: int, other: int, kill: str | None) -> None:
        """A node holds the object and freezes, another takes it over, and the first goes on in the middle of
        nothing."""
        first, second = self.nodes[node], self.nodes[(node + other) % 3]
        self.thaw((node + other) % 3)
        for steps in (first, second, first):
            identity = f"c{len(self.asked)}"
            self.asked.append((identity, json.dumps(["add", None])))
            reply = self._call(steps, self._a_call("add", None, identity), kill if steps is second else None)
            self._told(identity, reply)
            if steps is first:
                self._lapse(first)

    @rule(node=st.integers(0, 2))
    def thaw(self, node: int) -> None:
        self.store.renew(self.nodes[node].node, "127.0.0.1:1", "x", 600)

    @rule(node=st.integers(0, 2))
    def hibernate(self, node: int) -> None:
        held = self.nodes[node].holding.drop(self.address)
        if held is not None:
            self.store.release(self.nodes[node].node, [(held.address, held.epoch)], hibernate=True)

    @rule(version=st.integers(1, 3))
    def update(self, version: int) -> None:
        self.types.version = version

    @rule(chance=st.integers(0, 5))
    def terminate(self, chance: int) -> None:
        if chance:  # seldom, since a dead object does nothing
            return
        with self.database.team(DEFAULT_TEAM) as connection:
            try:
                lifecycle.terminate(connection, DEFAULT_TEAM, "ledger", self.key, "test", drain=False)
            except LookupError:
                return
            except ValueError:  # there is no such object yet
                return
        self.dead = True

    @precondition(lambda self: self.dead)
    @rule()
    def revive(self) -> None:
        with self.database.team(DEFAULT_TEAM) as connection:
            self.incarnation = lifecycle.revive(connection, DEFAULT_TEAM, "ledger", self.key)
        self.dead = False

    # what holds

    def _applied(self) -> list[str]:
        with self.database.system() as connection:
            row = connection.execute("SELECT state FROM objects WHERE key = %s", (self.key,)).fetchone()
        return list(json.loads(row[0])["applied"]) if row and row[0] else []

    @invariant()
    def state_is_the_fold(self) -> None:
        with self.database.system() as connection:
            row = connection.execute(
                "SELECT state, incarnation, status, state_version FROM objects WHERE key = %s", (self.key,)
            ).fetchone()
            if row is None:
                return
            state, incarnation, status, version = row
            calls = connection.execute(
                "SELECT call_id, state_version FROM object_calls WHERE key = %s AND incarnation = %s "
                "ORDER BY state_version",
                (self.key, incarnation),
            ).fetchall()
            events = connection.execute(
                "SELECT body -> 'data' ->> 'id', count(*) FROM event_log WHERE body ->> 'subject' = %s GROUP BY 1",
                (self.key,),
            ).fetchall()
            alarms = connection.execute("SELECT count(*) FROM object_alarms WHERE key = %s", (self.key,)).fetchone()
        if status == "Terminated":
            assert self.dead and state is None and alarms == (0,)
            return
        applied = json.loads(state)["applied"] if state else []
        assert applied == [identity for identity, _ in calls], "the state is not the fold of the calls"
        assert len(applied) == len(set(applied)), "a call counted twice"
        assert len({v for _, v in calls}) == len(calls) and all(v <= version for _, v in calls)
        told = [i for i, (_, when) in self.answered.items() if when == self.incarnation]
        assert set(told) <= set(applied), "an answered call is lost"
        # An id may count again in another incarnation, as another call; so may its event.
        most = self.incarnation
        assert all(count <= most for _, count in events)
        assert set(applied) <= {identity for identity, _ in events}

    @invariant()
    def no_alarm_is_lost_or_doubled(self) -> None:
        """Each alarm that was set is waiting, or was replaced by a later one of its name, or was told once."""
        if self.dead:
            return
        with self.database.system() as connection:
            waiting = {
                name for (name,) in connection.execute("SELECT name FROM object_alarms WHERE key = %s", (self.key,))
            }
        applied = self._applied()
        for name in ("a", "b"):
            sets = [
                i for i, identity in enumerate(applied) if dict(self.asked).get(identity) == json.dumps(["set", name])
            ]
            wakes = [i for i, identity in enumerate(applied) if identity.startswith(f"alarm/{name}/")]
            if sets:
                assert (name in waiting) != any(w > sets[-1] for w in wakes), "an alarm is lost or doubled"
            assert len(wakes) <= len(sets)


@pytest.fixture
def machine(database: Database, database_url: str) -> Iterator[type[Machine]]:
    store = NodeStore(database_url)
    yield type("Machine", (Machine,), {"database": database, "store": store})
    store.close()


def test_an_object_keeps_its_promises_under_kills_at_every_edge(machine: type[Machine]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=max(25, ROUNDS),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
