"""Random courses of events on the real client, service and database: what must hold does after each step.

Hypothesis chooses the events and shortens a course that fails. `PENSTOCK_TEST_ROUNDS` is how many courses there are.
"""

import os
import random

import hypothesis
import pytest
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
from core.database.embedded import EmbeddedServer
from tests.threads.world import FATES, NAMES, World, random_step

ROUNDS = int(os.environ.get("PENSTOCK_TEST_ROUNDS", "8"))
STEPS = 40
LONG_STEPS = 250

devices = st.integers(0, len(NAMES) - 1)
picks = st.floats(0, 0.999)
fates = st.sampled_from(FATES)


def machine(database: Database, owner_url: str) -> type[RuleBasedStateMachine]:
    class Course(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.world = World(database, owner_url)

        @property
        def threads(self) -> list[str]:
            return self.world.threads

        def thread(self, pick: float) -> str:
            return self.threads[int(pick * len(self.threads))]

        @initialize(device=devices)
        def begin(self, device: int) -> None:
            self.world.create(self.world.devices[device % 3], "team")

        @rule(device=devices, visibility=st.sampled_from(("private", "team")))
        def create(self, device: int, visibility: str) -> None:
            self.world.create(self.world.devices[device], visibility)

        @rule(device=devices, pick=picks)
        def say(self, device: int, pick: float) -> None:
            self.world.say(self.world.devices[device], self.thread(pick))

        @rule(
            device=devices,
            kind=st.sampled_from(("edit", "edit", "edit", "delete", "truncate", "rename")),
            thread=picks,
            pick=picks,
        )
        def change(self, device: int, kind: str, thread: float, pick: float) -> None:
            self.world.change(self.world.devices[device], kind, self.thread(thread), pick)

        @rule(device=devices, fate=fates)
        def push(self, device: int, fate: str) -> None:
            self.world.devices[device].steps("push", fate)

        @rule(device=devices, fate=fates)
        def pull(self, device: int, fate: str) -> None:
            self.world.devices[device].steps("pull", fate)

        @rule(device=devices, pick=picks, fate=fates, late=st.booleans())
        def open(self, device: int, pick: float, fate: str, late: bool) -> None:
            thread = self.world.late_place if late else self.thread(pick)
            self.world.devices[device].steps(thread, fate)

        @rule(device=devices)
        def crash(self, device: int) -> None:
            self.world.devices[device].crash()

        @rule(device=devices, pick=picks)
        def repeat(self, device: int, pick: float) -> None:
            self.world.repeat(self.world.devices[device], pick)

        @rule(
            pick=picks,
            visibility=st.sampled_from(("private", "team", "listed")),
            names=st.frozensets(st.sampled_from(("ann", "bob", "eve"))),
        )
        def share(self, pick: float, visibility: str, names: frozenset[str]) -> None:
            self.world.share(self.thread(pick), visibility, names)

        @rule(
            device=devices,
            pick=picks,
            action=st.sampled_from(("claim", "claim", "release", "lose", "tool_use", "tool_use", "tool_result")),
        )
        def turn(self, device: int, pick: float, action: str) -> None:
            self.world.turn(self.world.devices[device], self.thread(pick), action)

        @rule()
        def begin_late(self) -> None:
            self.world.begin_late()

        @precondition(lambda self: self.world.late is not None)
        @rule()
        def finish_late(self) -> None:
            self.world.finish_late()

        @rule(seconds=st.sampled_from((1.0, 86_400.0, -300.0)))
        def pass_time(self, seconds: float) -> None:
            self.world.now += seconds

        @invariant()
        def holds(self) -> None:
            self.world.check()

        def teardown(self) -> None:
            try:
                self.world.settle()
            finally:
                self.world.close()

    return Course


@pytest.fixture
def owner_url(postgres_server: EmbeddedServer, database_name: str) -> str:
    return postgres_server.url(database_name, owner=True)


def test_whatever_happens_nothing_is_lost_repeated_or_shown_to_others(database: Database, owner_url: str) -> None:
    bounded = hypothesis.settings(
        max_examples=ROUNDS,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(machine(database, owner_url), settings=bounded)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("seed", range(max(2, ROUNDS // 4)))
def test_a_long_course_ends_well(database: Database, owner_url: str, seed: int) -> None:
    world, chance = World(database, owner_url), random.Random(seed)  # noqa: S311
    try:
        for _ in range(LONG_STEPS):
            random_step(world, chance)
            world.check()
        world.settle()
    finally:
        world.close()
