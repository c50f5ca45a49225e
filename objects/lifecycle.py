"""What people see of objects and do to them: lists, states as shown, history, going back, terminating, trying again.

Each function works in the caller's transaction of a team. Whatever changes an object raises its epoch, so that a step
that runs meanwhile commits nothing.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from core.access.errors import Conflict, NotFound
from objects.catalogue import builtin

IDLE_SECONDS = 10.0

# What is shown is derived from what is stored, so that nothing stays in a state of passage when a process dies.
_SHOWN = """
CASE WHEN o.intent = 'terminate' THEN 'Terminating'
    WHEN o.status = 'Created' AND n.id IS NOT NULL THEN 'Initializing'
    WHEN o.status = 'Active' AND n.id IS NULL THEN 'Hibernating'
    WHEN o.status = 'Active' AND w.wanted IS DISTINCT FROM o.code_version AND w.wanted IS NOT NULL THEN 'Updating'
    WHEN o.status = 'Active' AND o.last_call_at < clock_timestamp() - make_interval(secs => %(idle)s) THEN 'Idle'
    ELSE o.status END
"""
_OBJECTS = f"""
SELECT o.type, o.key, o.incarnation, o.status, {_SHOWN} AS shown, o.code_version, o.state_version, o.epoch,
    n.id AS node, n.address AS node_address, o.reason, o.last_call_at, o.created_at,
    coalesce(octet_length(o.state), 0) AS state_bytes
FROM objects o
LEFT JOIN (SELECT id, address FROM object_nodes WHERE lease_until > clock_timestamp()) n ON n.id = o.node
LEFT JOIN LATERAL (SELECT CASE WHEN t.canary_version IS NULL THEN t.active_version END AS wanted
    FROM object_types t WHERE t.type = o.type) w ON true
"""  # noqa: S608  no text from outside


@dataclass(frozen=True)
class ObjectRow:
    """`status` is stored, `shown` is derived: also Initializing, Idle, Updating and Terminating."""

    type: str
    key: str
    incarnation: int
    status: str
    shown: str
    code_version: int
    state_version: int
    epoch: int
    node: uuid.UUID | None
    node_address: str | None
    reason: str | None
    last_call_at: datetime | None
    created_at: datetime
    state_bytes: int


def list_objects(
    connection: Connection[Any],
    kind: str | None = None,
    *,
    status: str | None = None,
    limit: int = 100,
    after: tuple[str, str] = ("", ""),
) -> list[ObjectRow]:
    """A team's objects by type and key; `after` is type and key of the last one of the page before."""
    with connection.cursor(row_factory=class_row(ObjectRow)) as cursor:
        return cursor.execute(
            _OBJECTS.encode()
            + b" WHERE (%(kind)s::text IS NULL OR o.type = %(kind)s) AND (%(status)s::text IS NULL OR o.status = "
            b"%(status)s) AND (o.type, o.key) > (%(type)s, %(key)s) ORDER BY o.type, o.key LIMIT %(limit)s",
            {
                "idle": IDLE_SECONDS,
                "kind": kind,
                "status": status,
                "type": after[0],
                "key": after[1],
                "limit": limit,
            },
        ).fetchall()


def get_object(connection: Connection[Any], kind: str, key: str) -> ObjectRow:
    """Raises `NotFound`."""
    with connection.cursor(row_factory=class_row(ObjectRow)) as cursor:
        row = cursor.execute(
            _OBJECTS.encode() + b" WHERE o.type = %(kind)s AND o.key = %(key)s",
            {"idle": IDLE_SECONDS, "kind": kind, "key": key},
        ).fetchone()
    if row is None:
        raise NotFound(f"there is no object {kind}/{key}")
    return row


def hidden(kind: str) -> bool:
    """Whether states of a type are shown to nobody."""
    native = builtin(kind)
    return native is not None and native.spec.hidden


def state_of(connection: Connection[Any], kind: str, key: str) -> str | None:
    """The state as JSON; None if there is none, or it is shown to nobody."""
    if hidden(kind):
        return None
    row = connection.execute("SELECT state FROM objects WHERE (type, key) = (%s, %s)", (kind, key)).fetchone()
    return row[0] if row else None


def calls_of(connection: Connection[Any], kind: str, key: str, limit: int = 20) -> list[dict[str, Any]]:
    """The last answers of this incarnation, newest first."""
    return _rows(
        connection,
        "SELECT c.at, c.call_id, c.method, c.outcome, left(c.answer, 2000) AS answer, c.state_version, "
        "c.code_version, c.seconds, c.caller FROM object_calls c "
        "JOIN objects o USING (team_id, type, key, incarnation) WHERE (c.type, c.key) = (%s, %s) "
        "ORDER BY c.at DESC, c.state_version DESC LIMIT %s",
        (kind, key, limit),
    )


def faults_of(connection: Connection[Any], kind: str, key: str, limit: int = 20) -> list[dict[str, Any]]:
    """The last steps of this incarnation that failed, newest first. `revive` sets `created_at`."""
    return _rows(
        connection,
        "SELECT f.at, f.code_version, f.what, f.reason FROM object_faults f JOIN objects o USING (team_id, type, key) "
        "WHERE (f.type, f.key) = (%s, %s) AND (o.incarnation = 1 OR f.at >= o.created_at) ORDER BY f.id DESC LIMIT %s",
        (kind, key, limit),
    )


def alarms_of(connection: Connection[Any], kind: str, key: str, limit: int = 100) -> list[dict[str, Any]]:
    """Alarms, and messages that the object has not been told; those that are given up are `dead`."""
    return _rows(
        connection,
        "SELECT name, kind, due_at, every_seconds, method, state, tries, next_try_at, last_error FROM object_alarms "
        "WHERE (type, key) = (%s, %s) ORDER BY due_at LIMIT %s",
        (kind, key, limit),
    )


def history(connection: Connection[Any], kind: str, key: str) -> list[tuple[int, int, datetime, str | None]]:
    """The last states: version, version of the code, when, and the state itself, newest first."""
    return connection.execute(
        "SELECT state_version, code_version, at, CASE WHEN NOT %s THEN state END FROM object_history "
        "WHERE (type, key) = (%s, %s) ORDER BY state_version DESC LIMIT 10",
        (hidden(kind), kind, key),
    ).fetchall()


def restore(connection: Connection[Any], team: uuid.UUID, kind: str, key: str, version: int) -> int:
    """Gives an object a state of its history again, and returns the new version. Calls that were answered since keep
    their answers. Raises `NotFound` and `Conflict`."""
    _living(connection, kind, key)
    row = connection.execute(
        "SELECT state, code_version FROM object_history WHERE (team_id, type, key, state_version) = (%s, %s, %s, %s)",
        (team, kind, key, version),
    ).fetchone()
    if row is None:
        raise NotFound(f"the history of {kind}/{key} has no version {version}: see `penstock object history`")
    state, code = row
    made = connection.execute(
        "UPDATE objects SET state = %s, code_version = %s, state_version = state_version + 1, epoch = epoch + 1, "
        "node = NULL WHERE (team_id, type, key) = (%s, %s, %s) RETURNING state_version",
        (state, code, team, kind, key),
    ).fetchone()
    assert made is not None  # noqa: S101
    connection.execute(
        "INSERT INTO object_history (team_id, type, key, state_version, code_version, state) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (team, kind, key, made[0], code, state),
    )
    return int(made[0])


def terminate(
    connection: Connection[Any], team: uuid.UUID, kind: str, key: str, reason: str, *, drain: bool = False
) -> bool:
    """Ends an object for good: state, history, alarms, subscriptions and blobs are deleted, the row stays as a
    tombstone. With `drain` a step that runs ends first. False if it was ended before. Raises `NotFound`."""
    row = connection.execute(
        "SELECT status FROM objects WHERE (type, key) = (%s, %s) FOR NO KEY UPDATE", (kind, key)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no object {kind}/{key}")
    if row[0] == "Terminated":
        return False
    if drain:
        connection.execute(
            "UPDATE objects SET intent = 'terminate', reason = %s WHERE (team_id, type, key) = (%s, %s, %s)",
            (reason[:1000], team, kind, key),
        )
    else:
        connection.execute("SELECT object_end(%s, %s, %s, %s)", (team, kind, key, reason[:1000]))
    return True


def revive(connection: Connection[Any], team: uuid.UUID, kind: str, key: str) -> int:
    """Begins a new incarnation of a terminated object, without anything of the one before. Returns its number. Raises
    `NotFound` and `Conflict`."""
    row = connection.execute(
        "SELECT status FROM objects WHERE (type, key) = (%s, %s) FOR NO KEY UPDATE", (kind, key)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no object {kind}/{key}")
    if row[0] != "Terminated":
        raise Conflict(f"{kind}/{key} lives: it is {row[0]}")
    version = connection.execute("SELECT active_version FROM object_types WHERE type = %s", (kind,)).fetchone()
    made = connection.execute(
        "UPDATE objects SET status = 'Created', incarnation = incarnation + 1, epoch = epoch + 1, state_version = 0, "
        "state = NULL, node = NULL, failures = 0, retry_at = NULL, reason = NULL, last_call_at = NULL, "
        "code_version = coalesce(%s, 1), created_at = clock_timestamp() "
        "WHERE (team_id, type, key) = (%s, %s, %s) RETURNING incarnation",
        (version[0] if version else None, team, kind, key),
    ).fetchone()
    assert made is not None  # noqa: S101
    return int(made[0])


def try_again(connection: Connection[Any], team: uuid.UUID, kind: str, key: str) -> int:
    """Lets a Failed object be made ready at its next call, and tells it again of what was given up (dead letters).
    Returns how many of those there were. Raises `NotFound` and `Conflict`."""
    _living(connection, kind, key)
    connection.execute(
        "UPDATE objects SET status = CASE WHEN status = 'Failed' THEN CASE WHEN state IS NULL THEN 'Created' "
        "ELSE 'Hibernating' END ELSE status END, failures = 0, retry_at = NULL "
        "WHERE (team_id, type, key) = (%s, %s, %s)",
        (team, kind, key),
    )
    return connection.execute(
        "UPDATE object_alarms SET state = 'waiting', tries = 0, next_try_at = clock_timestamp(), claimed_until = NULL "
        "WHERE (team_id, type, key) = (%s, %s, %s) AND state = 'dead'",
        (team, kind, key),
    ).rowcount


def _living(connection: Connection[Any], kind: str, key: str) -> None:
    row = connection.execute(
        "SELECT status FROM objects WHERE (type, key) = (%s, %s) FOR NO KEY UPDATE", (kind, key)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no object {kind}/{key}")
    if row[0] == "Terminated":
        raise Conflict(f"{kind}/{key} was terminated")


def _rows(connection: Connection[Any], query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()
