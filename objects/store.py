"""What nodes ask of the database: one statement for each round trip, on one connection for each thread.

Statements commit by themselves. Functions of the schema assume the role and team of the object that they are about.
"""

import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from core.database.pool import SEARCH_PATH
from objects.model import Address, Call, Unavailable

CONNECT_SECONDS = 3
STATEMENT_MILLISECONDS = 10_000


LIVING_NODES = (
    "SELECT id, address, secret, draining FROM object_nodes WHERE lease_until > clock_timestamp() ORDER BY id "
    "LIMIT 1000"
)


@dataclass(frozen=True)
class Claim:
    """What a node knows of an object after it asked for it; `outcome` as in the schema's `object_claim`."""

    outcome: str
    epoch: int
    incarnation: int
    status: str
    state: str | None
    state_version: int
    code_version: int
    address: str
    seconds: float
    reason: str | None


@dataclass(frozen=True)
class Committed:
    """`outcome` as in the schema's `object_commit`; `said` and `answer` are those of a repeated call."""

    outcome: str
    said: str | None
    answer: str | None
    version: int


@dataclass(frozen=True)
class Due:
    """An alarm, or a message of another object, that is due."""

    address: Address
    name: str
    kind: str
    due_at: datetime
    method: str
    argument: str
    sender: Mapping[str, Any]
    tries: int


class NodeStore:
    """The database as a node sees it. Every method raises `Unavailable` when it cannot be reached; what was asked then
    may or may not have happened, and asking again is safe."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._own = threading.local()
        self._lock = threading.Lock()
        self._opened: set[Connection[TupleRow]] = set()

    @contextmanager
    def connection(self) -> Iterator[Connection[TupleRow]]:
        """This thread's connection, as the platform's role."""
        try:
            found: Connection[TupleRow] | None = getattr(self._own, "connection", None)
            if found is None or found.closed:
                found = self._connect()
            yield found
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._drop()
            raise Unavailable(f"the database does not answer ({type(error).__name__})") from error

    def _connect(self) -> Connection[TupleRow]:
        made = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="penstock-objects",
            options=f"-c search_path={SEARCH_PATH} -c statement_timeout={STATEMENT_MILLISECONDS} "
            "-c tcp_user_timeout=10000",
            prepare_threshold=1,
        )
        made.execute("SET ROLE penstock_system")
        self._own.connection = made
        with self._lock:
            self._opened.add(made)
        return made

    def _drop(self) -> None:
        found = getattr(self._own, "connection", None)
        self._own.connection = None
        if found is not None:
            with self._lock:
                self._opened.discard(found)
            found.close()

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, set()
        for one in opened:
            one.close()

    # nodes

    def renew(self, node: uuid.UUID, address: str, secret: str, lease: float) -> None:
        """Begins or renews a node's lease of `lease` seconds. If it had ended, its objects may be others' now: their
        epochs say so."""
        with self.connection() as connection:
            connection.execute(
                "INSERT INTO object_nodes AS n (id, address, secret, lease_until) "
                "VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s)) "
                "ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
                (node, address, secret, lease),
            )

    def nodes(self) -> list[tuple[uuid.UUID, str, str, bool]]:
        """Id, address, secret and whether it drains, of each node whose lease runs."""
        with self.connection() as connection:
            return list(connection.execute(LIVING_NODES).fetchall())

    def forget_dead_nodes(self) -> None:
        """Removes nodes whose lease ended an hour ago."""
        with self.connection() as connection:
            connection.execute("DELETE FROM object_nodes WHERE lease_until < clock_timestamp() - interval '1 hour'")

    def drain(self, node: uuid.UUID) -> None:
        with self.connection() as connection:
            connection.execute("UPDATE object_nodes SET draining = true WHERE id = %s", (node,))

    def leave(self, node: uuid.UUID) -> None:
        """Gives up all objects of a node that runs no step any more, and the node."""
        with self.connection() as connection, connection.transaction():
            connection.execute("UPDATE objects SET node = NULL WHERE node = %s", (node,))
            connection.execute("DELETE FROM object_nodes WHERE id = %s", (node,))

    # objects

    def claim(self, address: Address, node: uuid.UUID, *, create: bool, code: int) -> Claim:
        with self.connection() as connection:
            row = connection.execute(
                "SELECT outcome, coalesce(epoch, 0), coalesce(incarnation, 0), coalesce(status, ''), state, "
                "coalesce(state_version, 0), coalesce(code_version, 0), coalesce(address, ''), coalesce(seconds, 0), "
                "reason FROM object_claim(%s, %s, %s, %s, %s, %s)",
                (address.team, address.type, address.key, node, create, code),
            ).fetchone()
        assert row is not None  # noqa: S101  a function with OUT parameters returns one row
        return Claim(*row)

    def commit(
        self,
        call: Call,
        node: uuid.UUID,
        epoch: int,
        version: int,
        *,
        outcome: str,
        answer: str,
        state: str | None,
        code: int,
        seconds: float,
        more: Mapping[str, Any] | None,
    ) -> Committed:
        address = call.address
        with self.connection() as connection:
            row = connection.execute(
                "SELECT outcome, said, answer, coalesce(version, 0) FROM object_commit(%s, %s, %s, %s, %s, %s, %s, %s, "
                "%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    *(address.team, address.type, address.key, node, epoch, version, call.id, call.request),
                    *(call.method, outcome, answer, state, code, seconds, call.caller[:200]),
                    json.dumps(more) if more else None,
                ),
            ).fetchone()
        assert row is not None  # noqa: S101
        return Committed(*row)

    def take(self, call: Call) -> None:
        """Takes what caused a call of an object without state, which has no commit that would."""
        address = call.address
        with self.connection() as connection:
            connection.execute(
                "SELECT object_cause(%s, %s, %s, %s)",
                (address.team, address.type, address.key, json.dumps(call.cause)),
            )

    def holds(self, address: Address, node: uuid.UUID, epoch: int) -> bool:
        with self.connection() as connection:
            row = connection.execute(
                "SELECT object_holds(%s, %s, %s, %s, %s)", (address.team, address.type, address.key, node, epoch)
            ).fetchone()
        return row is not None and bool(row[0])

    def answered(self, call: Call) -> tuple[bytes, str, str] | None:
        """The request, outcome and answer that are stored under a call's id."""
        address = call.address
        with self.connection() as connection:
            row = connection.execute(
                "SELECT c.request, c.outcome, c.answer FROM object_calls c JOIN objects o USING (team_id, type, key, "
                "incarnation) WHERE (team_id, type, key, call_id) = (%s, %s, %s, %s) "
                "AND c.at > clock_timestamp() - interval '24 hours'",
                (address.team, address.type, address.key, call.id),
            ).fetchone()
        return (bytes(row[0]), row[1], row[2]) if row else None

    def migrate(self, address: Address, node: uuid.UUID, epoch: int, version: int, code: int, state: str) -> int | None:
        """The state's version after it; None if the node does not run the object any more."""
        with self.connection() as connection:
            row = connection.execute(
                "SELECT object_migrate(%s, %s, %s, %s, %s, %s, %s, %s)",
                (address.team, address.type, address.key, node, epoch, version, code, state),
            ).fetchone()
        return row[0] if row else None

    def last_state(self, address: Address, code: int) -> str | None:
        """The newest state in an object's history that a version of the code has left."""
        with self.connection() as connection:
            row = connection.execute(
                "SELECT state FROM object_history WHERE (team_id, type, key, code_version) = (%s, %s, %s, %s) "
                "ORDER BY state_version DESC LIMIT 1",
                (address.team, address.type, address.key, code),
            ).fetchone()
        return row[0] if row else None

    def unready(self, address: Address, node: uuid.UUID, epoch: int, reason: str) -> str | None:
        with self.connection() as connection:
            row = connection.execute(
                "SELECT object_unready(%s, %s, %s, %s, %s, %s)",
                (address.team, address.type, address.key, node, epoch, reason[:1000]),
            ).fetchone()
        return row[0] if row else None

    def failed(self, limit: int) -> list[Address]:
        """Failed objects that are to be tried again now."""
        with self.connection() as connection:
            rows = connection.execute(
                "SELECT team_id, type, key FROM objects WHERE status = 'Failed' AND retry_at <= clock_timestamp() "
                "ORDER BY retry_at LIMIT %s",
                (limit,),
            ).fetchall()
        return [Address(*row) for row in rows]

    def recovered(self, address: Address, node: uuid.UUID, epoch: int) -> bool:
        """Notes that a Failed object was made ready; False if the node does not run it any more."""
        with self.connection() as connection:
            row = connection.execute(
                "UPDATE objects SET status = CASE WHEN state IS NULL THEN 'Created' ELSE 'Active' END, failures = 0, "
                "retry_at = NULL, reason = NULL WHERE (team_id, type, key, node, epoch, status) = "
                "(%s, %s, %s, %s, %s, 'Failed') RETURNING true",
                (address.team, address.type, address.key, node, epoch),
            ).fetchone()
        return row is not None

    def fault(self, address: Address, code: int, what: str, reason: str) -> None:
        with self.connection() as connection:
            connection.execute(
                "INSERT INTO object_faults (team_id, type, key, code_version, what, reason) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (address.team, address.type, address.key, code, what, _storable(reason)),
            )

    def release(self, node: uuid.UUID, held: Sequence[tuple[Address, int]], *, hibernate: bool) -> None:
        """Gives up objects, with the epochs under which the node ran them."""
        with self.connection() as connection:
            connection.execute(
                "UPDATE objects o SET node = NULL, status = CASE WHEN %s AND o.status = 'Active' THEN 'Hibernating' "
                "ELSE o.status END FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[]) "
                "AS h(team_id, type, key, epoch) WHERE (o.team_id, o.type, o.key) = (h.team_id, h.type, h.key) "
                "AND o.epoch = h.epoch AND o.node = %s",
                (
                    hibernate,
                    [address.team for address, _ in held],
                    [address.type for address, _ in held],
                    [address.key for address, _ in held],
                    [epoch for _, epoch in held],
                    node,
                ),
            )

    # alarms and messages

    def due(self, limit: int, without: Sequence[uuid.UUID] = ()) -> list[Due]:
        """Takes alarms and messages that are due, but none of these teams; they are the caller's for half a minute."""
        with self.connection() as connection:
            rows = connection.execute(
                "UPDATE object_alarms a SET claimed_until = clock_timestamp() + interval '30 seconds' "
                "FROM (SELECT team_id, type, key, name FROM object_alarms "
                "WHERE state = 'waiting' AND next_try_at <= clock_timestamp() "
                "AND (claimed_until IS NULL OR claimed_until < clock_timestamp()) AND team_id <> ALL(%s::uuid[]) "
                "ORDER BY next_try_at LIMIT %s FOR UPDATE SKIP LOCKED) d "
                "WHERE (a.team_id, a.type, a.key, a.name) = (d.team_id, d.type, d.key, d.name) "
                "RETURNING a.team_id, a.type, a.key, a.name, a.kind, a.due_at, a.method, a.argument, a.sender, a.tries",
                (list(without), limit),
            ).fetchall()
        return [Due(Address(*row[:3]), *row[3:]) for row in rows]

    def seconds_to_next(self, without: Sequence[uuid.UUID] = ()) -> float | None:
        """How long until something is due that nobody has taken; None if nothing waits."""
        with self.connection() as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM next_try_at - clock_timestamp())::double precision FROM object_alarms "
                "WHERE state = 'waiting' AND (claimed_until IS NULL OR claimed_until < clock_timestamp()) "
                "AND team_id <> ALL(%s::uuid[]) ORDER BY next_try_at LIMIT 1",
                (list(without),),
            ).fetchone()
        return max(0.0, row[0]) if row else None

    def alarm_failed(self, due: Due, reason: str, *, counts: bool) -> None:
        address = due.address
        with self.connection() as connection:
            connection.execute(
                "SELECT object_alarm_failed(%s, %s, %s, %s, %s, %s, %s)",
                (address.team, address.type, address.key, due.name, due.due_at, counts, _storable(reason)),
            )

    def drop_alarm(self, due: Due) -> None:
        """Removes what is due and can never be told: its object is terminated."""
        address = due.address
        with self.connection() as connection:
            connection.execute(
                "DELETE FROM object_alarms WHERE (team_id, type, key, name, due_at) = (%s, %s, %s, %s, %s)",
                (address.team, address.type, address.key, due.name, due.due_at),
            )


def _storable(text: str) -> str:
    return text.replace("\0", "?").encode("utf-8", "replace").decode()[:1000]
