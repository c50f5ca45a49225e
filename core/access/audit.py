"""The audit log: who did what, when, and how it ended. It holds names and ids, never a secret.

An entry is written in the transaction of what it reports, so that neither is stored without the other. A team's
entries can be read and added, not changed or deleted: PostgreSQL refuses that.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from core.access.errors import AccessError
from core.database import Database
from core.tasks import IllegalMove, TaskNotFound

MOST_ENTRIES = 1000


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """The role does not allow it."""
    FAILED = "failed"
    """It could not be done; `detail` says why."""


@dataclass(frozen=True)
class Actor:
    """Who did it: an API token, a user of the OIDC issuer, a user of the command line, or a login at a forge. `person`
    is whose token it is."""

    kind: Literal["token", "user", "cli", "forge"]
    name: str
    id: str | None = None
    person: str | None = None

    def __str__(self) -> str:
        """As it is shown to people, for example as who approved something."""
        return self.person or (f"token {self.name}" if self.kind == "token" else self.name)


@dataclass(frozen=True)
class Entry:
    id: int
    at: datetime
    actor_kind: str
    actor: str
    actor_id: str | None
    person: str | None
    action: str
    subject: str
    outcome: str
    detail: str | None
    request_id: str | None


def record(
    connection: Connection[Any],
    team: uuid.UUID,
    actor: Actor,
    action: str,
    subject: object,
    outcome: Outcome = Outcome.DONE,
    detail: str | None = None,
    request_id: str | None = None,
) -> None:
    """Adds an entry, in the caller's transaction. `action` is for example `task.cancel`, and `subject` its object."""
    connection.execute(
        "INSERT INTO audit_log (team_id, actor_kind, actor, actor_id, person, action, subject, outcome, detail, "
        "request_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            team,
            actor.kind,
            _cut(actor.name, 200),
            _cut(actor.id, 200),
            _cut(actor.person, 200),
            _cut(action, 60),
            _cut(str(subject), 300),
            outcome,
            _cut(detail, 500),
            _cut(request_id, 64),
        ),
    )


@contextmanager
def audited(
    database: Database, team: uuid.UUID, actor: Actor, action: str, subject: object, request_id: str | None = None
) -> Iterator[Connection[Any]]:
    """A transaction of the team whose success is recorded in it, or whose failure is recorded after it. Errors that
    are nobody's fault, as a database that cannot be reached, are not recorded."""
    try:
        with database.team(team) as connection:
            yield connection
            record(connection, team, actor, action, subject, request_id=request_id)
    except (AccessError, TaskNotFound, IllegalMove) as error:
        with database.team(team) as connection:
            record(connection, team, actor, action, subject, Outcome.FAILED, str(error), request_id)
        raise


def list_entries(
    connection: Connection[Any], *, since: datetime | None = None, before: int | None = None, limit: int = 100
) -> list[Entry]:
    """The team's entries, newest first. `before` is the id of the last one of the previous page."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        cursor.execute(
            "SELECT id, at, actor_kind, actor, actor_id, person, action, subject, outcome, detail, request_id "
            "FROM audit_log WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s) "
            "AND (%(before)s::bigint IS NULL OR (at, id) < (SELECT at, id FROM audit_log WHERE id = %(before)s)) "
            "ORDER BY at DESC, id DESC LIMIT %(limit)s",
            {"since": since, "before": before, "limit": min(limit, MOST_ENTRIES)},
        )
        return cursor.fetchall()


def _cut(text: str | None, most: int) -> str | None:
    """Text of any origin, as it can be stored and shown on one line."""
    if text is None:
        return None
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
