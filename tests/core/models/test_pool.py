"""The queue and the slots of one model, as a state machine: whatever happens, nobody waits beside a free slot."""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.models.config import Backend, Model
from core.models.pool import Lease, Pool, Refusal
from core.models.routing import Send, Wish

_VERSIONS = {"a": "1", "b": "1", "c": "2"}
_MOST = 3


def _backend(name: str, concurrency: int) -> Backend:
    values = {"name": name, "url": "http://127.0.0.1:1", "kind": "ollama", "model": "m", "version": _VERSIONS[name]}
    return Backend.model_validate({**values, "concurrency": concurrency})


class Slots(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.pool = Pool(Model(name="m", versions={"1": 1.0, "2": 1.0}), clock=lambda: self.now)
        self.limits = {"a": 1, "b": 2, "c": 1}
        self._configure()
        self.asked: list[asyncio.Task[Lease]] = []
        self.wishes: dict[asyncio.Task[Lease], Wish] = {}
        self.held: list[Lease] = []

    def _configure(self) -> None:
        async def change() -> None:
            self.pool.configure(self.pool.model, [_backend(name, limit) for name, limit in self.limits.items()])

        self.loop.run_until_complete(change())

    def _settle(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        for task in [task for task in self.asked if task.done()]:
            self.asked.remove(task)
            if task.cancelled():
                continue
            error = task.exception()
            assert error is None or isinstance(error, Refusal), error
            if error is None:
                self.held.append(task.result())

    def teardown(self) -> None:
        for task in self.asked:
            task.cancel()
        if self.asked:
            self.loop.run_until_complete(asyncio.wait(self.asked))
        self.loop.close()

    @rule(
        team=st.sampled_from("xy"),
        task=st.none() | st.sampled_from("pq"),
        version=st.sampled_from([None, None, "1", "2"]),
        draw=st.sampled_from([0.1, 0.9]),
    )
    def ask(self, team: str, task: str | None, version: str | None, draw: float) -> None:
        wish = Wish(task=task, version=version, draw=draw)
        asked = self.loop.create_task(self.pool.acquire(wish, _VERSIONS, team, 1000.0, _MOST))
        self.asked.append(asked)
        self.wishes[asked] = wish
        self._settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["ok", "failed", "unreached", "nothing"]), at_once=st.booleans())
    def end(self, data: Any, how: str, at_once: bool) -> None:
        """With `at_once`, one who waits goes away in the instant in which a slot is given."""
        lease = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))

        async def end() -> None:
            if how == "ok":
                self.pool.succeeded(lease.state)
            elif how != "nothing":
                self.pool.failed(lease.state, at_once=how == "unreached")
            self.pool.release(lease, 0.5)
            if at_once and self.asked:
                self.asked[0].cancel()

        self.loop.run_until_complete(end())
        self._settle()

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def go_away(self, data: Any) -> None:
        self.asked[data.draw(st.integers(0, len(self.asked) - 1))].cancel()
        self._settle()

    @rule(name=st.sampled_from("abc"), down=st.sampled_from(["", "is away"]))
    def probe(self, name: str, down: str) -> None:
        async def probe() -> None:
            self.pool.probed(self.pool.backends[name], down)

        self.loop.run_until_complete(probe())
        self._settle()

    @rule(name=st.sampled_from("abc"), limit=st.integers(1, 3))
    def change(self, name: str, limit: int) -> None:
        self.limits[name] = limit
        self._configure()
        self._settle()

    @rule(seconds=st.floats(0.1, 70))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

        async def serve() -> None:
            self.pool.serve()  # as the timer does when a pause ends

        self.loop.run_until_complete(serve())
        self._settle()

    @invariant()
    def slots_are_counted(self) -> None:
        for name, state in self.pool.backends.items():
            held = [lease for lease in self.held if lease.state is state]
            assert state.in_flight == len(held), name
            assert state.trials == sum(lease.trial for lease in held) <= 1
        assert sum(self.pool.teams.values()) == len(self.held)

    @invariant()
    def the_queue_is_bounded_and_nobody_waits_beside_a_free_slot(self) -> None:
        assert self.pool.waiting == len(self.asked) <= _MOST
        for asked in self.asked:
            assert not isinstance(self.pool.decide(self.wishes[asked], frozenset(_VERSIONS)), Send)


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
