"""Everything that one proxy process holds, put together from its configuration, which may change while it runs."""

import asyncio
from pathlib import Path

import structlog

from core.database import Database
from core.models.access import Access
from core.models.accounts import Accounts
from core.models.budgets import Budgets
from core.models.config import ProxyConfig, ProxyConfigError, read_config
from core.models.metrics import ProxyMetrics
from core.models.pool import Pool
from core.models.probes import Probes
from core.models.relay import Relay
from core.models.shadows import Shadows
from core.models.upstream import Upstream
from core.models.wake import Wakes

RELOAD_SECONDS = 2.0
_logger = structlog.get_logger("model-proxy")


class Proxy:
    """`file` is read again whenever it changes; a configuration that is wrong changes nothing, and is logged."""

    def __init__(self, config: ProxyConfig, database: Database | None, file: Path | None = None) -> None:
        self.config = config
        self.metrics = ProxyMetrics()
        self.pools: dict[str, Pool] = {}
        self.upstream = Upstream()
        self.probes = Probes(self.upstream)
        self.wakes = Wakes(self.probes.hurry)
        self.budgets = Budgets()
        self.access = Access(database if config.access.mode == "token" else None)
        self.accounts = Accounts(database, self.budgets, self.metrics.accounted.inc, self.metrics.lost.inc)
        self.shadows = Shadows(self.upstream, self.metrics, config.most_answer_bytes)
        self.wakes.counted = lambda backend, outcome: self.metrics.wakes.labels(backend, outcome).inc()
        self.relay = Relay(
            config, self.pools, self.upstream, self.budgets, self.accounts, self.metrics, self.wakes, self.shadows
        )
        self._file = file
        self._written = _stamp(file)
        self._reloads: asyncio.Task[None] | None = None
        self._apply(config)

    def start(self) -> None:
        """In the event loop that serves."""
        self.accounts.start()
        self.probes.watch(self.pools.values())
        if self._file is not None:
            self._reloads = asyncio.get_running_loop().create_task(self._reload_always())

    async def close(self) -> None:
        if self._reloads is not None:
            self._reloads.cancel()
        self.probes.close()
        self.wakes.close()
        self.shadows.close()
        await self.accounts.close()
        self.access.close()
        await self.upstream.close()

    def models_up(self) -> int:
        """How many models have a server that is up or may be tried."""
        return sum(pool.awake() for pool in self.pools.values())

    def rendered(self) -> bytes:
        self.metrics.buffered.set(self.accounts.waiting)
        self.metrics.show(self.pools.values())
        return self.metrics.render()

    def reload(self) -> bool:
        """Reads the file again if it has changed. Returns whether a new configuration is in force."""
        stamp = _stamp(self._file)
        if self._file is None or stamp == self._written:
            return False
        self._written = stamp
        try:
            config = read_config(self._file)
            if config.access != self.config.access:
                raise ProxyConfigError(f"{self._file}: access: cannot change while the proxy runs: start it again")
        except ProxyConfigError as error:
            self.metrics.config_errors.inc()
            _logger.error("the changed configuration is wrong; the one before stays in force", problem=str(error))
            return False
        self._apply(config)
        self.probes.watch(self.pools.values())
        _logger.info("the configuration changed", backends=len(config.backends))
        return True

    def _apply(self, config: ProxyConfig) -> None:
        for name in config.names:
            backends = [one for one in config.backends if one.model == name]
            pool = self.pools.get(name)
            if pool is None:
                pool = self.pools[name] = Pool(config.model(name), on_ejected=self._ejected)
            pool.configure(config.model(name), backends)
        for name in [name for name in self.pools if name not in config.names]:
            del self.pools[name]  # what waits there is answered when its time is over
        self.config = self.relay.config = config
        self.shadows.times = config.times

    def _ejected(self, backend: str) -> None:
        self.metrics.ejections.labels(backend).inc()
        _logger.warning("a model server gets no requests for a while", backend=backend)

    async def _reload_always(self) -> None:
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            self.reload()


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
