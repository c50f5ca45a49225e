"""How a node finds the code of an object: the types that come with Penstock, and those of a team, with their
versions."""

import hashlib
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from core.database import Database
from objects.catalogue import CodeRow, TypeRow, builtin, read_code, read_type, spec_of
from objects.model import Address, Message, Step, TypeSpec

FRESH_SECONDS = 1.0
"""How long a node goes by what it read of a type: a moved version is in force everywhere after so long."""
MOST_TYPES = 2000


class Handler(Protocol):
    """A version of a type that can run steps. Methods raise `Refused`, `Fault` and `Unavailable`; none keeps anything
    of an object. Called from several threads."""

    @property
    def spec(self) -> TypeSpec: ...

    def ready(self) -> None:
        """Loads the code. Raises `Fault` if it cannot be loaded."""

    def handle(self, state: Any, message: Message) -> Step: ...

    def plan(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        """For a method with `outside`: what the platform shall do before the step; None for nothing."""

    def migrate(self, state: Any, version: int) -> Any:
        """The state that the code of `version` has left, for this version."""

    def downgrade(self, state: Any, version: int) -> Any:
        """This version's state, for the older `version`. Raises `LookupError` if the code cannot say."""


class CustomHandlers(Protocol):
    """Makes handlers of teams' code, which runs in the sandbox (`objects.custom.pool`)."""

    def handler(self, team: uuid.UUID, code: CodeRow, spec: TypeSpec) -> Handler:
        """Raises `Unavailable`."""

    def check_next(self, database: Database) -> tuple[uuid.UUID, str] | None:
        """Checks a submitted version, and returns its team and type; None if there is none. Raises `Unavailable`."""

    def tidy(self) -> None: ...

    def close(self) -> None: ...


class NoSuchType(LookupError):
    """The team has no such type, or none of its versions was accepted."""


@dataclass(frozen=True)
class Chosen:
    """The version that an object should have."""

    version: int
    canary: bool


def chosen_version(row: TypeRow, key: str) -> Chosen | None:
    """The canary's version for its share of the keys, else the active one; None if there is none."""
    if row.canary_version is not None and share(row.type, row.canary_version, key) < row.canary_percent:
        return Chosen(row.canary_version, canary=True)
    return Chosen(row.active_version, canary=False) if row.active_version is not None else None


def share(kind: str, version: int, key: str) -> float:
    """A number from 0 to 100 that is a key's own, another for each version."""
    digest = hashlib.sha256(f"{kind}\0{version}\0{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * 100


class Handlers:
    """What a node knows of types. `custom` is None where no sandbox is."""

    def __init__(self, database: Database, custom: CustomHandlers | None) -> None:
        self._database = database
        self._custom = custom
        self._rows: dict[tuple[uuid.UUID, str], tuple[float, TypeRow | None]] = {}
        self._code: dict[tuple[uuid.UUID, str, int], Handler] = {}
        self._lock = threading.Lock()

    def choose(self, address: Address) -> Chosen:
        """Raises `NoSuchType`."""
        if builtin(address.type) is not None:
            return Chosen(1, canary=False)
        row = self._row(address)
        found = chosen_version(row, address.key) if row else None
        if found is None:
            raise NoSuchType(
                f"there is no type {address.type!r}"
                if row is None
                else f"no version of the type {address.type!r} was accepted"
            )
        return found

    def of(self, address: Address, version: int) -> Handler:
        """The handler of a version. Raises `NoSuchType`."""
        native = builtin(address.type)
        if native is not None:
            return native
        name = (address.team, address.type, version)
        with self._lock:
            if (found := self._code.get(name)) is not None:
                return found
        with self._database.team(address.team) as connection:
            code = read_code(connection, address.type, version)
        if code is None:
            raise NoSuchType(f"the type {address.type!r} has no version {version}")
        if self._custom is None:
            raise NoSuchType("this node runs no code of teams: it has no sandbox")
        made = self._custom.handler(address.team, code, spec_of(code))
        with self._lock:
            while len(self._code) >= MOST_TYPES:
                self._code.pop(next(iter(self._code)))
            return self._code.setdefault(name, made)

    def forget(self, team: uuid.UUID, kind: str) -> None:
        """Reads the type anew at the next call."""
        with self._lock:
            self._rows.pop((team, kind), None)

    def _row(self, address: Address) -> TypeRow | None:
        name, now = (address.team, address.type), time.monotonic()
        with self._lock:
            held = self._rows.get(name)
        if held is not None and now - held[0] < FRESH_SECONDS:
            return held[1]
        with self._database.team(address.team) as connection:
            row = read_type(connection, address.type)
        with self._lock:
            if len(self._rows) >= MOST_TYPES:
                self._rows.clear()
            self._rows[name] = (now, row)
        return row
