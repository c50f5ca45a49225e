"""Copies of requests to a version that is tried out: their answers are counted and thrown away.

A copy is made after the request was answered, only if a server of that version is free at once, and only so many at a
time; it never delays or changes what a caller gets, and is not charged to a team.
"""

import asyncio
import random
import time

from core.models.config import Times
from core.models.delivery import Delivery
from core.models.dialects import Ask
from core.models.metrics import ProxyMetrics
from core.models.pool import Lease, Pool
from core.models.routing import Wish
from core.models.translate import Outgoing
from core.models.upstream import Failed, Upstream

_NOBODY = "shadow"


class Shadows:
    def __init__(self, upstream: Upstream, metrics: ProxyMetrics, most_bytes: int) -> None:
        self._upstream = upstream
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._running: dict[str, set[asyncio.Task[None]]] = {}
        self.times = Times()

    def copy(self, pool: Pool, ask: Ask, bodies: dict[str, Outgoing], answered_by: str) -> None:
        """Copies a request that the version `answered_by` has answered, if the model's shadow wants it."""
        shadow = pool.model.shadow
        if shadow is None or shadow.version == answered_by or ask.version is not None:
            return
        if random.random() >= shadow.share:  # noqa: S311
            return
        running = self._running.setdefault(pool.model.name, set())
        lease = None
        if len(running) < shadow.at_once:
            lease = pool.try_acquire(Wish(version=shadow.version, draw=random.random()), bodies, _NOBODY)  # noqa: S311
        if lease is None:
            self._metrics.shadows.labels(pool.model.name, shadow.version, "left_out").inc()
            return
        task = asyncio.get_running_loop().create_task(self._run(pool, ask, lease, bodies[lease.state.name]))
        running.add(task)
        task.add_done_callback(running.discard)

    def close(self) -> None:
        for running in self._running.values():
            for task in running:
                task.cancel()

    async def _run(self, pool: Pool, ask: Ask, lease: Lease, out: Outgoing) -> None:
        backend, began = lease.state.backend, time.monotonic()
        times = pool.model.times or self.times
        delivery = Delivery(ask, _nowhere, [], began + times.total)
        outcome = "failed"
        try:
            async with self._upstream.post(backend, out.path, out.body, times, times.total, {}) as answer:
                if answer.status < 400:
                    if ask.stream:
                        used = await delivery.stream(answer, out, times, lambda: None)
                    else:
                        used = await delivery.whole(answer, out, self._most_bytes)
                    outcome = "ok"
                    pool.succeeded(lease.state)
                    self._metrics.tokens.labels(pool.model.name, backend.version, "prompt").inc(used.prompt)
                    self._metrics.tokens.labels(pool.model.name, backend.version, "completion").inc(used.completion)
        except Exception as error:
            if isinstance(error, Failed):
                self._metrics.failures.labels(backend.name, error.kind).inc()
            pool.failed(lease.state)
        finally:
            pool.release(lease)
            self._metrics.shadows.labels(pool.model.name, backend.version, outcome).inc()
            self._metrics.shadow_seconds.labels(pool.model.name, backend.version).observe(time.monotonic() - began)


async def _nowhere(_: object) -> None:
    """Takes an answer that nobody sees."""
