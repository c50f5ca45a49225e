"""The replicas of one model as they are now, and the requests that wait for one of them. For one event loop.

A request that cannot be sent now waits in a bounded queue, in turn between teams: that team is next which has the
fewest requests at the servers. Whoever waits is served when a slot becomes free, a server comes back or a pause ends.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from core.models import standing as standings
from core.models.config import Backend, Model
from core.models.routing import Away, Decision, Exhausted, NoVersion, Replica, Send, Wish, choose
from core.models.standing import Standing

RETRY_SHARE = 0.2
"""Retries that a pool allows for each request, for long: more would be a storm against servers that are overloaded."""


class Refusal(Exception):
    """A request cannot be sent. `seconds` is when it may be repeated."""

    def __init__(self, status: int, code: str, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.seconds = seconds


@dataclass(eq=False)
class BackendState:
    """What is known about one backend."""

    backend: Backend
    in_flight: int = 0
    trials: int = 0
    """Requests in flight that are trials of an ejected backend."""
    standing: Standing = field(default_factory=Standing)
    down: str = ""
    """Why probes find it down; empty if they do not."""
    loaded: bool | None = None
    digest: str = ""
    server_version: str = ""
    answered_at: float = float("-inf")
    removed: bool = False
    """No longer in the configuration; its open requests end as usual."""

    @property
    def name(self) -> str:
        return self.backend.name

    def seen(self, now: float) -> Replica:
        one = self.backend
        trial = self.standing.on_trial(now)
        return Replica(
            one.name,
            one.version,
            one.weight,
            one.concurrency,
            self.trials if trial else self.in_flight,
            not self.down and (trial or self.standing.closed()),
            trial,
            self.loaded,
            self.standing.rate(now),
        )

    def state(self, now: float) -> str:
        if self.down:
            return "down"
        if not self.standing.closed():
            return "trial" if self.standing.on_trial(now) else "ejected"
        return "up"


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """A slot at a backend."""

    state: BackendState
    team: str
    trial: bool


@dataclass(eq=False)
class _Waiting:
    team: str
    wish: Wish
    only: frozenset[str]
    number: int
    future: "asyncio.Future[Lease]"


class Pool:
    """`on_ejected` is called with the name of a backend whose circuit opens."""

    def __init__(
        self,
        model: Model,
        clock: Callable[[], float] = time.monotonic,
        on_ejected: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.model = model
        self.backends: dict[str, BackendState] = {}
        self.shares: dict[str, float] = {}
        self.teams: Counter[str] = Counter()
        self.seconds = 1.0
        """A moving average of the time that a request takes at a server."""
        self.last_request: dict[str, float] = {}
        """By version, in seconds since 1970."""
        self._clock = clock
        self._on_ejected = on_ejected
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._retries = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, model: Model, backends: Sequence[Backend]) -> None:
        """Takes over a configuration. What is known about a backend stays unless its server or model changes."""
        before, self.backends, self.model = self.backends, {}, model
        for backend in backends:
            old = before.pop(backend.name, None)
            if old is not None and _place(old.backend) == _place(backend):
                old.backend = backend
                self.backends[backend.name] = old
            else:
                if old is not None:
                    old.removed = True
                self.backends[backend.name] = BackendState(backend)
        for old in before.values():
            old.removed = True
        offered = dict.fromkeys(backend.version for backend in backends)
        self.shares = {one: model.versions.get(one, 0.0 if model.versions else 1.0) for one in offered}
        self._retries = self._most_retries
        self.serve()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        return sum(one.in_flight for one in self.backends.values())

    @property
    def _most_retries(self) -> float:
        return max(10.0, 2.0 * sum(one.backend.concurrency for one in self.backends.values()))

    def version_in_flight(self, version: str) -> int:
        return sum(one.in_flight for one in self.backends.values() if one.backend.version == version)

    def decide(self, wish: Wish, only: frozenset[str]) -> Decision:
        now = self._clock()
        seen = [one.seen(now) for one in self.backends.values() if one.name in only]
        return choose(seen, self.shares, self.model.draining, wish)

    async def acquire(self, wish: Wish, only: Iterable[str], team: str, seconds: float, most: int) -> Lease:
        """A slot at a backend, which must be `release`d. Waits for at most `seconds` behind at most `most` others.
        Raises `Refusal`."""
        allowed = frozenset(only)
        decision = self.decide(wish, allowed)
        if isinstance(decision, Send):  # those who wait had their turn when this slot became free
            return self._take(self.backends[decision.replica], team)
        if isinstance(decision, NoVersion):
            raise self._no_version(wish)
        if isinstance(decision, Exhausted):
            raise Refusal(502, "backends_failed", "each model server that is up answered this request with an error")
        if len(self._waiting) >= most:
            raise self._full(decision)
        return await self._wait(wish, allowed, team, seconds)

    def try_acquire(self, wish: Wish, only: Iterable[str], team: str) -> Lease | None:
        """A slot if one is free now and nobody waits for it."""
        decision = self.decide(wish, frozenset(only))
        if isinstance(decision, Send) and not self._waiting:
            return self._take(self.backends[decision.replica], team)
        return None

    def release(self, lease: Lease, seconds: float | None = None) -> None:
        """Gives a slot back. `seconds` is how long a request took that was answered."""
        lease.state.in_flight -= 1
        lease.state.trials -= lease.trial
        self.teams[lease.team] -= 1
        if self.teams[lease.team] <= 0:
            del self.teams[lease.team]
        if seconds is not None:
            self.seconds += 0.1 * (seconds - self.seconds)
            self._retries = min(self._most_retries, self._retries + RETRY_SHARE)
        self.serve()

    def may_retry(self) -> bool:
        """Whether another retry is within the pool's share of retries; counts it."""
        if self._retries < 1:
            return False
        self._retries -= 1
        return True

    def succeeded(self, state: BackendState) -> None:
        state.answered_at = self._clock()
        was_open = not state.standing.closed()
        state.standing = standings.succeeded(state.standing, self._clock())
        if was_open:
            self.serve()

    def failed(self, state: BackendState, *, at_once: bool = False) -> None:
        before = state.standing.until
        state.standing = standings.failed(state.standing, self._clock(), at_once=at_once)
        if state.standing.until is not None and state.standing.until != before:
            self._on_ejected(state.name)
            self.serve()

    def probed(self, state: BackendState, down: str) -> None:
        """Takes over what a probe found: why a backend is down, or nothing."""
        was_down, state.down = state.down, down
        if was_down and not down:
            state.standing = standings.reached_again(state.standing, self._clock())
        if bool(was_down) != bool(down):
            self.serve()

    def serve(self) -> None:
        """Sends those who wait, as far as slots are free."""
        for one in sorted(self._waiting.values(), key=lambda one: (self.teams[one.team], one.number)):
            if one.future.done():
                continue
            decision = self.decide(one.wish, one.only)
            if isinstance(decision, Send):
                one.future.set_result(self._take(self.backends[decision.replica], one.team))
            elif isinstance(decision, NoVersion):
                one.future.set_exception(self._no_version(one.wish))
            elif isinstance(decision, Exhausted):
                one.future.set_exception(Refusal(502, "backends_failed", "each model server answered with an error"))
        self._again_later()

    def awake(self, version: str | None = None) -> bool:
        """Whether any server of the model (or of one version) is up or may be tried."""
        now = self._clock()
        return any(
            one.seen(now).usable for one in self.backends.values() if version is None or one.backend.version == version
        )

    def retry_after(self) -> float:
        """Seconds until a slot is probably free for one who comes now."""
        slots = sum(one.backend.concurrency for one in self.backends.values() if not one.down) or 1
        return min(60.0, max(1.0, self.seconds * (len(self._waiting) + 1) / slots))

    async def _wait(self, wish: Wish, only: frozenset[str], team: str, seconds: float) -> Lease:
        self._number += 1
        number = self._number
        future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._waiting[number] = _Waiting(team, wish, only, number, future)
        self._again_later()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            self._give_back(future)
            raise self._full(self.decide(wish, only), waited=seconds) from None
        except asyncio.CancelledError:
            self._give_back(future)
            raise
        finally:
            del self._waiting[number]

    def _give_back(self, future: "asyncio.Future[Lease]") -> None:
        """A slot that was given in the instant in which its receiver stopped waiting."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self.release(future.result())
        else:
            with suppress(asyncio.InvalidStateError):
                future.cancel()

    def _take(self, state: BackendState, team: str) -> Lease:
        lease = Lease(state, team, state.standing.on_trial(self._clock()))
        self.last_request[state.backend.version] = time.time()
        state.in_flight += 1
        state.trials += lease.trial
        self.teams[team] += 1
        return lease

    def _again_later(self) -> None:
        """Serves again when the next pause of an ejected backend ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        ends = [
            one.standing.until
            for one in self.backends.values()
            if one.standing.until is not None and one.standing.until > now
        ]
        if ends and any(not one.future.done() for one in self._waiting.values()):
            self._timer = asyncio.get_running_loop().call_later(min(ends) - now + 0.001, self.serve)

    def _full(self, decision: Decision, waited: float | None = None) -> Refusal:
        name, seconds = self.model.name, self.retry_after()
        if isinstance(decision, Away):
            reasons = sorted({one.down for one in self.backends.values() if one.down})
            why = f" ({reasons[0]})" if reasons else ""
            return Refusal(503, "no_backend", f"no server of model {name} is up{why}: try again", max(seconds, 5.0))
        many = f"{len(self._waiting)} requests wait already" if waited is None else f"none was free for {waited:g} s"
        return Refusal(429, "queue_full", f"all servers of model {name} are busy, and {many}: try again", seconds)

    def _no_version(self, wish: Wish) -> Refusal:
        if wish.version is None:
            return Refusal(503, "no_backend", f"every version of model {self.model.name} is draining", 30.0)
        why = "is being drained" if wish.version in self.model.draining else "does not exist"
        return Refusal(404, "no_version", f"version {wish.version} of model {self.model.name} {why}")


def _place(backend: Backend) -> tuple[str, ...]:
    """What makes a backend the same one after a change of the configuration."""
    return backend.base, backend.kind, backend.served_as, backend.version, backend.key_variable or ""
