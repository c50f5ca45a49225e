"""The sandbox of a node, opened when the first code of a team is to run, so that a node without any costs nothing
more."""

import logging
import threading
import uuid

from core.database import Database
from objects.catalogue import CodeRow
from objects.custom.checking import check_next
from objects.custom.pool import Pool, SandboxHandler
from objects.model import TypeSpec, Unavailable
from sandbox import open_sandbox
from sandbox.protocol import Sandbox, SandboxUnavailable

_logger = logging.getLogger("objects")


class TeamCode:
    """`backend` as in the setting `sandbox`."""

    def __init__(self, backend: str = "auto") -> None:
        self._backend = backend
        self._sandbox: Sandbox | None = None
        self._pool: Pool | None = None
        self._lock = threading.Lock()

    def handler(self, team: uuid.UUID, code: CodeRow, spec: TypeSpec) -> SandboxHandler:
        return self.pool().handler(team, code, spec)

    def pool(self) -> Pool:
        """Raises `Unavailable`."""
        sandbox = self.sandbox()
        with self._lock:
            if self._pool is None:
                self._pool = Pool(sandbox)
            return self._pool

    def sandbox(self) -> Sandbox:
        """Raises `Unavailable`."""
        with self._lock:
            if self._sandbox is None:
                try:
                    self._sandbox = open_sandbox(self._backend)
                except SandboxUnavailable as error:
                    raise Unavailable(f"no sandbox works on the node: {error}"[:500]) from error
            return self._sandbox

    def check_next(self, database: Database) -> tuple[uuid.UUID, str] | None:
        """Checks a submitted version if there is one. Raises `Unavailable`."""
        with database.system() as connection:
            waiting = connection.execute("SELECT FROM object_code WHERE state = 'submitted' LIMIT 1").fetchone()
        return check_next(database, self.sandbox()) if waiting is not None else None

    def tidy(self) -> None:
        if self._pool is not None:
            self._pool.tidy()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
