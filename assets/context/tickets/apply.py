"""Applies changes of tickets to the store. A change that is older than the stored state has no effect.

Changes are ordered by the service's time (`updated_at`), but at most the time of arrival, so that a wrong clock
cannot block later changes. Of two changes with the same time, the later to arrive wins. What was deleted at the
service stays deleted, whatever arrives later.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.context.tickets.renames import under_new_name
from core.tickets import Comment, Snapshot, State, TicketChange

BODY = "body"
"""The part that holds the ticket's own text; a comment's part is named by the comment's id."""


class ApplyOutcome(StrEnum):
    APPLIED = "applied"
    STALE = "stale"
    """The stored state is newer."""
    GONE = "gone"
    """The ticket was deleted or moved earlier."""


@dataclass(frozen=True)
class Applied:
    """`before` and `after` are the ticket's state and status, or None if the change did not alter them."""

    outcome: ApplyOutcome
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class _At:
    """A change with its ticket's location and the transaction that applies it."""

    connection: Connection[TupleRow]
    team_id: uuid.UUID
    source: str
    change: TicketChange
    received: datetime

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.team_id, self.source, self.change.service, self.change.project, self.change.key)

    def when(self, updated_at: datetime | None) -> datetime:
        return min(updated_at or self.received, self.received)


_HERE = "(team_id, source, service, project, key) = (%s, %s, %s, %s, %s)"
_THERE = "team_id = %s AND service = %s AND project = %s AND key = %s"


def apply(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, change: TicketChange, received: datetime
) -> Applied:
    """Applies one change in the caller's transaction. Idempotent."""
    change = under_new_name(connection, team_id, source, change)
    at = _At(connection, team_id, source, change, received)
    if change.moved_from:
        _move(at, change.moved_from)
    known = _ticket(at)
    if known and known["deleted_at"]:
        return Applied(ApplyOutcome.GONE)
    if change.deleted:
        _delete(at)
        return Applied(ApplyOutcome.APPLIED, _shown(known), "gone")
    after = known
    fresh = change.ticket is not None and (
        known is None or not known["has_title"] or at.when(change.ticket.updated_at) >= known["updated_at"]
    )
    if change.ticket is not None and fresh:
        after = _write_ticket(at, change.ticket, known)
    elif known is None:
        after = _stub(at)
    took = change.comment is not None and _write_comment(at, change.comment)
    changed = fresh and known is not None and _shown(known) != _shown(after)
    return Applied(
        ApplyOutcome.APPLIED if fresh or took else ApplyOutcome.STALE,
        _shown(known) if changed else None,
        _shown(after) if changed else None,
    )


def _ticket(at: _At) -> dict[str, Any] | None:
    with at.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            f"SELECT *, title <> '' AS has_title FROM tickets WHERE {_HERE} FOR UPDATE".encode(),  # noqa: S608
            at.key,
        ).fetchone()


def _shown(row: dict[str, Any] | None) -> str | None:
    """A ticket's state, with the service's own status if that adds something."""
    if row is None:
        return None
    state, status = row["state"], row["status"]
    return f"{state} ({status})" if status and status.lower() not in (state, f"{state}ed") else str(state)


_WRITE = """
INSERT INTO tickets (team_id, source, service, project, key, kind, title, state, status, labels, assignees, author,
                     author_id, url, hidden, commit, closes, created_at, updated_at, closed_at)
VALUES (%(team_id)s, %(source)s, %(service)s, %(project)s, %(key)s, %(kind)s, %(title)s, %(state)s, %(status)s,
        %(labels)s, %(assignees)s, %(author)s, %(author_id)s, %(url)s, %(hidden)s, %(commit)s, %(closes)s,
        %(created_at)s, %(updated_at)s, %(closed_at)s)
ON CONFLICT (team_id, source, service, project, key) DO UPDATE SET
    (kind, title, state, status, labels, assignees, author, author_id, url, hidden, commit, closes, created_at,
     updated_at, closed_at)
    = (excluded.kind, excluded.title, excluded.state, excluded.status, excluded.labels, excluded.assignees,
       excluded.author, excluded.author_id, excluded.url, excluded.hidden, excluded.commit, excluded.closes,
       excluded.created_at, excluded.updated_at, excluded.closed_at)
"""


def _write_ticket(at: _At, new: Snapshot, known: dict[str, Any] | None) -> dict[str, Any]:
    """Overwrites known fields by those in `new`. A merged pull request stays merged: some events call it closed."""
    before: dict[str, Any] = known or {
        "title": "",
        "state": State.OPEN,
        "labels": [],
        "assignees": [],
        "hidden": False,
        "closes": [],
    }
    row: dict[str, Any] = {name: before.get(name) for name in Snapshot.model_fields if name != "body"}
    row.update(new.model_dump(exclude_none=True, exclude={"body", "updated_at"}))
    if before["state"] == State.MERGED:
        row["state"] = State.MERGED
    if row["state"] == State.OPEN:
        row["closed_at"] = None
    row |= {name: list(row[name]) for name in ("labels", "assignees", "closes")}
    row["updated_at"] = at.when(new.updated_at)
    team_id, source, service, project, key = at.key
    row |= {"team_id": team_id, "source": source, "service": service, "project": project, "key": key}
    row["kind"] = at.change.kind
    at.connection.execute(_WRITE, row)
    if new.body is not None or new.title is not None:
        _write_body(at, row, new.body)
    return row


def _stub(at: _At) -> dict[str, Any]:
    """Stores the key of a ticket of which only a comment has arrived. It is searchable once the ticket arrives."""
    team_id, source, service, project, key = at.key
    at.connection.execute(
        "INSERT INTO tickets (team_id, source, service, project, key, kind, updated_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (team_id, source, service, project, key, at.change.kind, at.received),
    )
    return {"state": State.OPEN, "status": None}


_PART = """
INSERT INTO ticket_parts (team_id, source, service, project, key, part, text, author, author_id, association, url,
                          hidden, created_at, updated_at, deleted_at, blob)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (team_id, source, service, project, key, part) DO UPDATE SET
    (text, author, author_id, association, url, hidden, created_at, updated_at, deleted_at, blob)
    = (excluded.text, coalesce(excluded.author, ticket_parts.author),
       coalesce(excluded.author_id, ticket_parts.author_id),
       coalesce(excluded.association, ticket_parts.association), coalesce(excluded.url, ticket_parts.url),
       excluded.hidden, coalesce(excluded.created_at, ticket_parts.created_at), excluded.updated_at,
       excluded.deleted_at, excluded.blob)
"""


def _write_body(at: _At, row: dict[str, Any], text: str | None) -> None:
    if text is None:
        held = at.connection.execute(
            f"SELECT text FROM ticket_parts WHERE {_HERE} AND part = %s".encode(),  # noqa: S608
            (*at.key, BODY),
        ).fetchone()
        text = held[0] if held else ""
    values = (text, row["author"], row["author_id"], None, row["url"], False, row["created_at"], row["updated_at"])
    at.connection.execute(_PART, (*at.key, BODY, *values, None, digest(row["title"], text or "")))


def _write_comment(at: _At, comment: Comment) -> bool:
    """Returns False if the stored comment is newer or was deleted."""
    known = at.connection.execute(
        f"SELECT updated_at, deleted_at FROM ticket_parts WHERE {_HERE} AND part = %s".encode(),  # noqa: S608
        (*at.key, comment.id),
    ).fetchone()
    when = at.when(comment.updated_at or comment.created_at)
    if known and (known[1] is not None or (not comment.deleted and known[0] > when)):
        return False
    text = "" if comment.deleted else comment.body or ""
    blob = None if comment.hidden else digest("", text)
    fields = (text, comment.author, comment.author_id, comment.association, comment.url, comment.hidden)
    times = (comment.created_at, when, at.received if comment.deleted else None)
    at.connection.execute(_PART, (*at.key, comment.id, *fields, *times, blob))
    return True


def digest(title: str, text: str) -> bytes | None:
    """The SHA-256 under which a text is stored; None for an empty text."""
    joined = f"{title}\0{text}"
    return hashlib.sha256(joined.encode()).digest() if joined.strip("\0 \t\r\n") else None


def _delete(at: _At) -> None:
    """Deletes everything of the ticket except the fact that it was deleted."""
    _stub(at)
    at.connection.execute(f"DELETE FROM ticket_parts WHERE {_HERE}".encode(), at.key)  # noqa: S608
    at.connection.execute(
        f"UPDATE tickets SET title = '', labels = '{{}}', assignees = '{{}}', closes = '{{}}', author = NULL, "  # noqa: S608
        f"deleted_at = %s WHERE {_HERE}".encode(),
        (at.received, *at.key),
    )


def _move(at: _At, former: str) -> None:
    """Moves a ticket and its texts from its former key, in whatever source that was."""
    project = former.rpartition("-")[0] or at.change.project
    team_id, source, service, new_project, key = at.key
    there = (team_id, service, project, former)
    connection = at.connection
    # The ticket may have moved away from this key earlier. Rows of the new key, if any, are newer than the old ones.
    connection.execute(f"DELETE FROM tickets WHERE {_HERE} AND deleted_at IS NOT NULL".encode(), at.key)  # noqa: S608
    left = connection.execute(
        f"SELECT source, updated_at FROM tickets WHERE {_THERE} AND deleted_at IS NULL FOR UPDATE".encode(),  # noqa: S608
        there,
    ).fetchone()
    if left is None:
        return
    connection.execute(
        f"UPDATE ticket_parts p SET source = %s, project = %s, key = %s WHERE {_THERE} AND NOT EXISTS "  # noqa: S608
        "(SELECT FROM ticket_parts n WHERE (n.team_id, n.source, n.service, n.project, n.key) = (%s, %s, %s, %s, %s) "
        "AND n.part = p.part)".encode(),
        (source, new_project, key, *there, *at.key),
    )
    connection.execute(f"DELETE FROM ticket_parts WHERE {_THERE}".encode(), there)  # noqa: S608
    connection.execute(
        f"UPDATE tickets t SET source = %s, project = %s, key = %s WHERE {_THERE} AND NOT EXISTS "  # noqa: S608
        "(SELECT FROM tickets n WHERE (n.team_id, n.source, n.service, n.project, n.key) = "
        "(%s, %s, %s, %s, %s))".encode(),
        (source, new_project, key, *there, *at.key),
    )
    connection.execute(f"DELETE FROM tickets WHERE {_THERE}".encode(), there)  # noqa: S608
    connection.execute(
        "INSERT INTO tickets (team_id, source, service, project, key, kind, updated_at, deleted_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (team_id, left[0], service, project, former, at.change.kind, left[1], at.received),
    )
