"""Looking at the model servers: whether each answers, has its model, and has it in memory. One look for each server.

Ollama servers are asked by Ollama's client (`core.ollama`), in threads; OpenAI-compatible ones for their list of
models, or the path that the configuration names.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from core.http import Breaker, Service, ServiceUnavailable
from core.models.config import Backend
from core.models.pool import BackendState, Pool
from core.models.upstream import Failed, Upstream, shortened
from core.ollama import PROBE, OllamaServer, full_name

EVERY = 5.0
EVERY_WHILE_DOWN = 1.0
SECONDS = 3.0
FAILURES = 2
"""Looks in a row that must fail before a server counts as down."""
_MOST = 4 << 20
_logger = structlog.get_logger("model-proxy")

_Server = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a server found. `models` are digests by full name; None if the server does not say."""

    down: str = ""
    models: dict[str, str] | None = None
    loaded: frozenset[str] | None = None
    version: str = ""


@dataclass(eq=False)
class _Watched:
    states: dict[str, tuple[Pool, BackendState]] = field(default_factory=dict)
    failures: int = 0
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Probes:
    """One task for each server; `watch` takes over a changed configuration."""

    def __init__(self, upstream: Upstream, every: float = EVERY, while_down: float = EVERY_WHILE_DOWN) -> None:
        self._upstream = upstream
        self._every = every
        self._while_down = while_down
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="probes")
        self._watched: dict[_Server, _Watched] = {}
        self._services: dict[_Server, Service] = {}

    def watch(self, pools: Iterable[Pool]) -> None:
        wanted: dict[_Server, dict[str, tuple[Pool, BackendState]]] = {}
        for pool in pools:
            for name, state in pool.backends.items():
                wanted.setdefault(_server(state.backend), {})[name] = (pool, state)
        for server in [server for server in self._watched if server not in wanted]:
            self._end(self._watched.pop(server))
            self._services.pop(server, None)
        for server, states in wanted.items():
            watched = self._watched.setdefault(server, _Watched())
            watched.states = states
            if watched.task is None:
                watched.task = asyncio.get_running_loop().create_task(self._always(watched))
            watched.hurry.set()

    def hurry(self, name: str) -> None:
        """Has a backend's server looked at soon."""
        for watched in self._watched.values():
            if name in watched.states:
                watched.hurry.set()

    def close(self) -> None:
        for watched in self._watched.values():
            self._end(watched)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _end(watched: _Watched) -> None:
        if watched.task is not None:
            watched.task.cancel()

    async def _always(self, watched: _Watched) -> None:
        while True:
            watched.hurry.clear()
            began = time.monotonic()
            backend = next(iter(watched.states.values()))[1].backend
            try:
                seen = await self.look(backend)
            except Exception as error:  # a look must never end the looking
                seen = Seen(f"cannot be looked at ({type(error).__name__})")
            self._take_over(watched, seen, began)
            down = any(state.down for _, state in watched.states.values())
            pause = self._while_down if down or watched.failures else self._every
            try:
                async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):  # noqa: S311
                    await watched.hurry.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(0.05)

    async def look(self, backend: Backend) -> Seen:
        """One look at a backend's server."""
        if backend.health:
            parts = urlsplit(backend.base)
            seen = await self._get(backend, f"{parts.scheme}://{parts.netloc}{backend.health}")
            if seen.down or backend.kind == "openai":
                return Seen(seen.down)
        if backend.kind == "ollama":
            return await asyncio.get_running_loop().run_in_executor(self._threads, _ask_ollama, self._service(backend))
        return await self._get(backend, f"{backend.base}/models")

    def _service(self, backend: Backend) -> Service:
        """Kept for each server, since making one takes time."""
        server = _server(backend)
        if server not in self._services:
            breaker = Breaker(failures=1 << 30)  # the looks have pauses of their own
            self._services[server] = Service(backend.base, key_variable=backend.key_variable, breaker=breaker)
        return self._services[server]

    async def _get(self, backend: Backend, url: str) -> Seen:
        try:
            status, raw = await self._upstream.get(backend, url, SECONDS, _MOST)
        except Failed as failure:
            return Seen(str(failure))
        if not 200 <= status < 300:
            return Seen(f"answers {status} to a look at its health: {shortened(raw)[:100]}")
        try:
            listed = json.loads(raw)["data"]
            return Seen(models={str(one["id"]): "" for one in listed})
        except (ValueError, KeyError, TypeError, RecursionError):
            return Seen()

    def _take_over(self, watched: _Watched, seen: Seen, began: float) -> None:
        watched.failures = watched.failures + 1 if seen.down else 0
        for pool, state in watched.states.values():
            down, backend = seen.down, state.backend
            if down and state.answered_at > began - self._every:
                continue  # it answers requests: it is too busy to be looked at
            if down and watched.failures < FAILURES and not state.down:
                continue
            if not down and backend.kind == "ollama":
                named = full_name(backend.served_as)
                state.loaded = None if seen.loaded is None else named in seen.loaded
                state.digest = (seen.models or {}).get(named, "")
                state.server_version = seen.version
                if seen.models is not None and named not in seen.models:
                    down = f"has no model {backend.served_as}: `ollama pull {backend.served_as}` there"
            if bool(down) != bool(state.down):
                _logger.warning("a model server is down" if down else "a model server is up",
                                backend=backend.name, reason=down or None)  # fmt: skip
            pool.probed(state, down)


def _ask_ollama(service: Service) -> Seen:
    server = OllamaServer(service)
    try:
        return Seen(models=server.models(PROBE), loaded=server.loaded(), version=server.version())
    except ServiceUnavailable as error:
        return Seen(" ".join(str(error).split())[:300])
    except Exception as error:
        return Seen(f"does not answer like Ollama ({type(error).__name__})")


def _server(backend: Backend) -> _Server:
    return backend.base, backend.kind, backend.key_variable or "", backend.health
