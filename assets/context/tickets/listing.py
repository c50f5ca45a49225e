"""Lists the tickets of a source, the most recently changed first."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from core.tickets import Kind, State


@dataclass(frozen=True)
class Ticket:
    """A ticket without its texts; `comments` is the number of visible comments."""

    service: str
    project: str
    key: str
    kind: str
    title: str
    state: str
    status: str | None
    labels: list[str]
    assignees: list[str]
    author: str | None
    url: str | None
    comments: int
    created_at: datetime | None
    updated_at: datetime
    closed_at: datetime | None


_LIST = """
SELECT t.service, t.project, t.key, t.kind, t.title, t.state, t.status, t.labels, t.assignees, t.author, t.url,
       t.created_at, t.updated_at, t.closed_at,
       (SELECT count(*) FROM ticket_parts p
        WHERE (p.team_id, p.source, p.service, p.project, p.key) = (t.team_id, t.source, t.service, t.project, t.key)
          AND p.part <> 'body' AND p.deleted_at IS NULL AND NOT p.hidden) AS comments
FROM tickets t
WHERE t.team_id = %(team)s AND t.source = %(source)s AND t.deleted_at IS NULL AND NOT t.hidden AND t.title <> ''
  AND (%(state)s::text IS NULL OR t.state = %(state)s) AND (%(kind)s::text IS NULL OR t.kind = %(kind)s)
ORDER BY t.updated_at DESC, t.service, t.project, t.key LIMIT %(limit)s
"""


def list_tickets(
    connection: Connection[TupleRow],
    team_id: uuid.UUID,
    source: str,
    *,
    state: State | None = None,
    kind: Kind | None = None,
    limit: int = 50,
) -> list[Ticket]:
    """At most `limit` tickets, and at most 1,000."""
    wanted = {"team": team_id, "source": source, "state": state, "kind": kind, "limit": min(limit, 1000)}
    with connection.cursor(row_factory=class_row(Ticket)) as cursor:
        return cursor.execute(_LIST.encode(), wanted).fetchall()
