"""The processes of a platform that the test of random kills kills, each with the evidence that it is alive and, where
it has something to do, busy."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from core.eventlog.relay import _LOCK
from core.processes import started_ticks
from core.settings import Settings
from dagster_project.warm.listening import listening

from .conftest import RunningPlatform
from .forge_process import ForgeProcess

ALWAYS = ("gateway", "database", "daemon", "launcher", "code server", "run", "sandbox", "forge")
WITH_KAFKA = (*ALWAYS, "relay", "broker")
SANDBOXES = ("bwrap", "runsc", "runsc-sandbox", "runsc-gofer")
"""Programs; the other processes of a sandbox run the repository's code, which may be killed from inside too."""

_AT_WORK = "SELECT count(*) FROM attempts a JOIN trajectory USING (task_id, attempt) WHERE a.ended_at IS NULL"
_ACTIVE_RELAY = """
SELECT extract(epoch FROM a.backend_start)::float8 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""
_BEAT = "SELECT extract(epoch FROM max(timestamp))::float8 FROM daemon_heartbeats WHERE daemon_type = 'SENSOR'"


class Broker:
    """A Kafka broker on a folder, which goes on there and on its port after a kill. `script` is the module
    `deploy/dev/kafka_broker.py`."""

    def __init__(self, script: Any, folder: Path) -> None:
        self._script, self._folder = script, folder
        self.server = script.start_kafka(folder, die_with_parent=True)

    def restart(self) -> None:
        self.server.stop(grace=0)
        self.server = self._script.start_kafka(self._folder, self.server.port, die_with_parent=True)


class Victims:
    """Finds and kills the processes of a platform, and the forge and the broker beside it, which it starts again."""

    def __init__(
        self,
        platform: RunningPlatform,
        forge: ForgeProcess,
        rng: random.Random,
        broker: Broker | None,
    ) -> None:
        self.platform, self.forge, self.rng, self.broker = platform, forge, rng, broker
        self._run_folder = Settings(home=platform.home).run_folder
        self._search: dict[str, Callable[[], Iterable[int]]] = {
            "gateway": self._gateway,
            "database": self._database,
            "daemon": self._daemon,
            "launcher": self._launcher,
            "code server": self._code_server,
            "run": self._run,
            "sandbox": self._sandbox,
            "forge": self._forge,
            "relay": self._relay,
            "broker": self._broker,
        }

    def find(self, kind: str) -> list[int]:
        """Process ids, of which any may be killed; none while there is no evidence yet."""
        with suppress(psycopg.Error, psutil.Error, httpx.TransportError, OSError, KeyError):
            return list(self._search[kind]())
        return []

    def kill(self, kind: str, pid: int) -> bool:
        """Whether it was there to be killed: a zombie is not."""
        if started_ticks(pid) is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if kind in ("forge", "broker"):
            time.sleep(self.rng.uniform(0.1, 1.0))
        if kind == "forge":
            self.forge.kill()
            self.forge.start()
        if kind == "broker" and self.broker is not None:
            self.broker.restart()
        return True

    def descendants(self) -> list[psutil.Process]:
        """Every process below `penstock up`, which adopts those whose parent was killed."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.platform.process.pid).children(recursive=True)
        return []

    def warm(self) -> list[psutil.Process]:
        """The warm processes: those that hold the socket. The others with their command line are forks of them."""
        return [one for one in self._forks_and_warm() if _holds_socket(one)]

    def workers(self) -> list[psutil.Process]:
        """The processes of runs, whoever is their parent now."""
        return [one for one in self._forks_and_warm() if not _holds_socket(one)]

    def sandboxes(self) -> list[psutil.Process]:
        return [one for one in self.descendants() if _program(one) in SANDBOXES]

    def _forks_and_warm(self) -> list[psutil.Process]:
        """By their command line: of a program of its own, or the title of a fork of the supervisor."""
        names = {"dagster_project.warm.process", "penstock: warm"}
        return [one for one in self.descendants() if names & set(_fact(one.cmdline) or ())]

    def _gateway(self) -> list[int]:
        answers = httpx.get(f"{self.platform.state['gateway']}/healthz", timeout=5).status_code == 200
        return [self._part("gateway")] if answers else []

    def _database(self) -> list[int]:
        self.platform.rows("SELECT 1")
        server = psutil.Process(self._part("database"))
        some = self.rng.choice([[], server.children()])  # the server also ends if one of its processes is killed
        return [one.pid for one in some] or [server.pid]

    def _daemon(self) -> list[int]:
        return self._since_start("daemon", "penstock_dagster", _BEAT)

    def _launcher(self) -> list[int]:
        busy = [one.pid for one in self.warm() if one.children()]
        return busy if listening(self._run_folder / "warm.sock") else []

    def _code_server(self) -> list[int]:
        return [self._part("code-server")] if listening(self._run_folder / "code.sock") else []

    def _run(self) -> list[int]:
        return [one.pid for one in self.workers()] if self.platform.rows(_AT_WORK) > [(0,)] else []

    def _sandbox(self) -> list[int]:
        return [one.pid for one in self.sandboxes()]

    def _forge(self) -> list[int]:
        serves = httpx.get(f"{self.forge.url}/_fake/faults", timeout=5).status_code == 200
        return [self.forge.pid] if serves and self.forge.pid else []

    def _relay(self) -> list[int]:
        return self._since_start("relay", "penstock", _ACTIVE_RELAY, _LOCK)

    def _broker(self) -> list[int]:
        assert self.broker is not None
        socket.create_connection(("127.0.0.1", self.broker.server.port), timeout=5).close()
        return [self.broker.server.pid]

    def _since_start(self, part: str, database: str, query: str, *parameters: object) -> list[int]:
        """The part, if the time that the owner of the database is told is after its start."""
        pid = self._part(part)
        url = str(self.platform.state["database"]).replace("penstock@/penstock?", f"postgres@/{database}?")
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        return [pid] if row and row[0] and row[0] > psutil.Process(pid).create_time() else []

    def _part(self, name: str) -> int:
        pid = self.platform.processes()[name]
        psutil.Process(pid)
        return pid


def _holds_socket(process: psutil.Process) -> bool:
    held = _fact(lambda: process.net_connections("unix")) or []
    return any(str(one.laddr).endswith("/warm.sock") for one in held)


def _program(process: psutil.Process) -> str:
    return ((_fact(process.cmdline) or [""])[0]).rpartition("/")[2]


def _fact(ask: Callable[[], Any]) -> Any:
    """None if the process has ended meanwhile."""
    with suppress(psutil.Error, OSError):
        return ask()
    return None
