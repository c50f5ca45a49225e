"""Moves a source's tickets when the repository that they come from was renamed.

The gateway or `penstock index rename` records the new name (`core.repository_names`). Before changes are applied, the
tickets under the former name get the new one; changes that still use the former name, because they arrived or were read
before, are applied to the new one.
"""

import uuid

from psycopg import Connection
from psycopg.rows import TupleRow

from core.tickets import TRACKERS, TicketChange

_WAITING = """
SELECT former, project FROM renamed_projects WHERE team_id = %s AND source = %s AND moved_at IS NULL
ORDER BY renamed_at, former FOR UPDATE
"""

# A row that has the new name already is newer, so it stays, and the one with the former name goes.
_PARTS = """
UPDATE ticket_parts p SET project = %(project)s
WHERE p.team_id = %(team)s AND p.source = %(source)s AND p.project = %(former)s
  AND p.service NOT IN ('jira', 'linear', 'slack')
  AND NOT EXISTS (SELECT FROM ticket_parts n
    WHERE (n.team_id, n.source, n.service, n.project, n.key, n.part)
        = (p.team_id, p.source, p.service, %(project)s, p.key, p.part))
"""
_TICKETS = """
UPDATE tickets t SET project = %(project)s
WHERE t.team_id = %(team)s AND t.source = %(source)s AND t.project = %(former)s
  AND t.service NOT IN ('jira', 'linear', 'slack')
  AND NOT EXISTS (SELECT FROM tickets n
    WHERE (n.team_id, n.source, n.service, n.project, n.key) = (t.team_id, t.source, t.service, %(project)s, t.key))
"""
_LEFT = """
DELETE FROM {} WHERE team_id = %(team)s AND source = %(source)s AND project = %(former)s
  AND service NOT IN ('jira', 'linear', 'slack')
"""
_MOVED = """
UPDATE renamed_projects SET moved_at = now()
WHERE team_id = %(team)s AND source = %(source)s AND former = %(former)s
"""


def move_renamed(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> int:
    """Moves the tickets of projects that were renamed, in the caller's transaction. Returns how many projects were."""
    waiting = connection.execute(_WAITING.encode(), (team_id, source)).fetchall()
    for former, project in waiting:
        names = {"team": team_id, "source": source, "former": former, "project": project}
        for statement in (_PARTS, _LEFT.format("ticket_parts"), _TICKETS, _LEFT.format("tickets"), _MOVED):
            connection.execute(statement.encode(), names)
    return len(waiting)


def under_new_name(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, change: TicketChange
) -> TicketChange:
    """The change, with its project's present name."""
    if change.service in TRACKERS:
        return change
    # A project that was linked since under the former name is another one.
    found = connection.execute(
        "SELECT project FROM renamed_projects r WHERE team_id = %s AND source = %s AND former = %s AND NOT EXISTS "
        "(SELECT FROM ticket_projects p WHERE (p.team_id, p.service, p.project) = (r.team_id, %s, r.former))",
        (team_id, source, change.project, change.service),
    ).fetchone()
    return change.model_copy(update={"project": found[0]}) if found else change
