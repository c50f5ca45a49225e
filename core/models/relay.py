"""The way of one request: a slot at a server, the server's answer, another server if that fails, and the account."""

import random
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from core.models.access import Caller
from core.models.accounts import Account, Accounts
from core.models.budgets import Budgets
from core.models.config import Backend, Model, ProxyConfig, Times
from core.models.delivery import BrokenOff, Delivery, Send
from core.models.dialects import Ask
from core.models.metrics import ProxyMetrics
from core.models.pool import BackendState, Lease, Pool, Refusal
from core.models.routing import Away, Wish, versions_in_order
from core.models.shadows import Shadows
from core.models.streams import Used
from core.models.translate import NotTranslatable, Outgoing, outgoing
from core.models.upstream import Failed, Upstream
from core.models.wake import Wakes

_AMBIGUOUS = frozenset({"status", "missing"})
"""Failures that may be the request's fault: they count against a server only if another one answers the request."""
MOST_UNREACHED = 20
"""Tries of one request that no server worked on, beside those of the configuration: each takes a server out, so that
they are made as servers come back."""
_logger = structlog.get_logger("model-proxy")


class Aborted(Exception):
    """The answer has begun and cannot be ended properly: the connection must be closed."""


@dataclass(eq=False)
class _Tried:
    """What a request has met so far."""

    count: int = 0
    unreached: int = 0
    """Of these, tries on which no server can have worked."""
    queue_seconds: float = 0.0
    excluded: set[str] = field(default_factory=set)
    avoided: set[str] = field(default_factory=set)
    doubtful: list[BackendState] = field(default_factory=list)
    state: BackendState | None = None
    last: Failed | None = None


@dataclass(eq=False)
class Relay:
    config: ProxyConfig
    pools: dict[str, Pool]
    upstream: Upstream
    budgets: Budgets
    accounts: Accounts
    metrics: ProxyMetrics
    wakes: Wakes
    shadows: Shadows

    async def answer(
        self, ask: Ask, raw: bytes, caller: Caller, task: str | None, trace: dict[str, str], send: Send
    ) -> None:
        """Answers a request. Raises `Refusal` if nothing was sent, `Aborted` if something was."""
        pool, config, began = self.pools[ask.model], self.config, time.monotonic()
        times = pool.model.times or config.times
        bodies = _bodies(ask, raw, pool)
        limits = config.limits(caller.team)
        team = str(caller.team_id)
        reservation = self.budgets.reserve(
            team, limits, ask.prompt_tokens + ask.answer_tokens,
            _money(pool.model, Used(ask.prompt_tokens, ask.answer_tokens)),
        )  # fmt: skip
        tried, used, outcome = _Tried(), Used(0, 0), "gone"
        headers = [(b"x-penstock-model", ask.model.encode())]
        delivery = Delivery(ask, send, headers, began + times.total)
        try:
            used, outcome = await self._tries(pool, bodies, delivery, tried, times, caller, task, trace, began)
        except Refusal as refusal:
            outcome = "failed" if refusal.status >= 500 else "refused"
            raise
        except BrokenOff as broken:
            used, outcome = broken.used, "gone" if broken.by_caller else "broken"
            raise Aborted(str(broken)) from None
        finally:
            if outcome == "gone":
                used = delivery.used
            money = _money(pool.model, used)
            self.budgets.settle(reservation, limits, used.prompt + used.completion, money)
            self._account(ask, caller, task, pool, delivery, tried, used, money, outcome, began)

    async def _tries(
        self,
        pool: Pool,
        bodies: dict[str, Outgoing],
        delivery: Delivery,
        tried: _Tried,
        times: Times,
        caller: Caller,
        task: str | None,
        trace: dict[str, str],
        began: float,
    ) -> tuple[Used, str]:
        draw = random.random()  # noqa: S311  shares traffic
        while True:
            wish = Wish(
                task, delivery.ask.version, delivery.ask.endpoint.one_version,
                frozenset(tried.excluded), frozenset(tried.avoided), draw,
            )  # fmt: skip
            try:
                lease = await self._slot(pool, wish, bodies, times, str(caller.team_id), tried, began)
            except Refusal as refusal:
                if tried.last is not None and refusal.code == "backends_failed":
                    raise _final(tried) from None
                raise
            tried.count += 1
            tried.state = lease.state
            sent = time.monotonic()
            seconds = None
            try:
                found = await self._try(pool, lease, bodies[lease.state.name], delivery, times, trace)
                seconds = time.monotonic() - sent
                for state in tried.doubtful:
                    pool.failed(state)
                self.shadows.copy(pool, delivery.ask, bodies, lease.state.backend.version)
                return found
            except Failed as failure:
                self._judge(pool, lease.state, failure, tried, streams=delivery.ask.stream)
                tried.unreached += not failure.worked
                worked = tried.count - tried.unreached
                if worked >= self.config.tries or tried.unreached >= MOST_UNREACHED:
                    raise _final(tried) from None
                if failure.worked and not pool.may_retry():
                    raise _final(tried) from None
                if time.monotonic() - began >= times.total:
                    raise _final(tried) from None
                self.metrics.retries.labels(pool.model.name).inc()
            except BrokenOff as broken:
                if not broken.by_caller:
                    self.metrics.failures.labels(lease.state.name, broken.failure.kind).inc()
                    pool.failed(lease.state)
                raise
            finally:
                pool.release(lease, seconds)

    async def _slot(
        self,
        pool: Pool,
        wish: Wish,
        bodies: dict[str, Outgoing],
        times: Times,
        team: str,
        tried: _Tried,
        began: float,
    ) -> Lease:
        before = time.monotonic()
        seconds, most = times.queue, pool.model.queue
        if (sleeping := _sleeping(pool, wish)) is not None:
            self.wakes.begin(pool, sleeping)
            if sleeping.wake is not None and isinstance(pool.decide(wish, frozenset(bodies)), Away):
                seconds, most = sleeping.wake.seconds, sleeping.wake.held
        left = times.total - (before - began)
        try:
            return await pool.acquire(wish, bodies, team, min(seconds, left), most)
        finally:
            tried.queue_seconds += time.monotonic() - before

    async def _try(
        self, pool: Pool, lease: Lease, out: Outgoing, delivery: Delivery, times: Times, trace: dict[str, str]
    ) -> tuple[Used, str]:
        backend, ask = lease.state.backend, delivery.ask
        first = times.first_byte if ask.stream else times.total
        async with self.upstream.post(backend, out.path, out.body, times, first, trace) as answer:
            if answer.status >= 400:
                await delivery.refuse(answer)
                return Used(0, 0), "refused"
            if ask.stream:
                used = await delivery.stream(answer, out, times, lambda: pool.succeeded(lease.state))
            else:
                used = await delivery.whole(answer, out, self.config.most_answer_bytes)
                pool.succeeded(lease.state)
            return used, "ok"

    def _judge(self, pool: Pool, state: BackendState, failure: Failed, tried: _Tried, *, streams: bool) -> None:
        """Takes note of a failure before the first token. A whole answer that takes too long may just be long."""
        tried.last = failure
        self.metrics.failures.labels(state.name, failure.kind).inc()
        _logger.warning("a model server failed", backend=state.name, kind=failure.kind, problem=str(failure)[:300])
        if failure.kind in _AMBIGUOUS or (failure.kind == "timeout" and not streams):
            tried.excluded.add(state.name)
            tried.doubtful.append(state)
            return
        if failure.kind in ("unreachable", "broken"):
            tried.avoided.add(state.name)
        else:
            tried.excluded.add(state.name)
        pool.failed(state, at_once=failure.kind in ("unreachable", "key"))

    def _account(
        self, ask: Ask, caller: Caller, task: str | None, pool: Pool, delivery: Delivery, tried: _Tried, used: Used,
        money: float, outcome: str, began: float,
    ) -> None:  # fmt: skip
        seconds = time.monotonic() - began
        version = tried.state.backend.version if tried.state else ""
        labels = (pool.model.name, version)
        self.metrics.requests.labels(*labels, outcome).inc()
        self.metrics.seconds.labels(*labels).observe(seconds)
        self.metrics.queue_seconds.labels(*labels).observe(tried.queue_seconds)
        first = delivery.first_byte - began if delivery.first_byte is not None else None
        if first is not None and ask.stream:
            self.metrics.first_byte.labels(*labels).observe(first)
        self.metrics.tokens.labels(*labels, "prompt").inc(used.prompt)
        self.metrics.tokens.labels(*labels, "completion").inc(used.completion)
        self.metrics.money.labels(*labels).inc(money)
        self.accounts.add(
            Account(
                caller.team_id,
                uuid.uuid4(),
                datetime.now(UTC),
                task,
                pool.model.name,
                version,
                tried.state.name if tried.state else "",
                ask.endpoint.operation,
                outcome,
                tried.count,
                used.prompt,
                used.completion,
                used.estimated,
                money,
                tried.queue_seconds,
                first,
                seconds,
            )
        )


def _bodies(ask: Ask, raw: bytes, pool: Pool) -> dict[str, Outgoing]:
    """What each backend that can answer the request would be sent. Raises `Refusal` if none can."""
    found: dict[str, Outgoing] = {}
    made: dict[tuple[str, str, bool], Outgoing] = {}
    problem = ""
    for name, state in pool.backends.items():
        backend: Backend = state.backend
        kind = (backend.kind, backend.served_as, backend.stream_usage)
        try:
            if kind not in made:
                made[kind] = outgoing(ask, raw, backend)
            found[name] = made[kind]
        except NotTranslatable as error:
            problem = str(error)
    if not found:
        raise Refusal(400, "not_translated", problem or f"model {ask.model} has no server")
    return found


def _sleeping(pool: Pool, wish: Wish) -> Backend | None:
    """A server to wake: one of the version that the request should have, if none of that version is up."""
    for version in versions_in_order(pool.shares, pool.model.draining, wish)[:1]:
        if not pool.awake(version):
            for state in pool.backends.values():
                if state.backend.version == version and state.backend.wake is not None:
                    return state.backend
    return None


def _money(model: Model, used: Used) -> float:
    return (used.prompt * model.prompt_price + used.completion * model.completion_price) / 1e6


def _final(tried: _Tried) -> Refusal:
    """What a caller is told after the last failure."""
    failure, state = tried.last, tried.state
    assert failure is not None and state is not None  # noqa: S101  it is called after a failure
    status = {"timeout": 504, "overloaded": 503}.get(failure.kind, 502)
    times = "" if tried.count == 1 else f", the last of {tried.count} that were tried,"
    return Refusal(
        status, "backend_failed", f"model server {state.name}{times} {failure}", 5.0 if status == 503 else None
    )
