"""Finds the delivery that has reported the same thing about an issue before, or started a task that is still open."""

import uuid
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from core.states import OPEN_TASK_STATES

if TYPE_CHECKING:
    from core.intake import Happening

SAME_SECONDS = 30
"""Two reports of the same thing about an issue are about one event if their times differ by no more: a webhook and the
service's API give it differently, with or without fractions, or as the time of the issue's last change."""

_EARLIER = """
SELECT id, task_id, same FROM (
    SELECT d.id, d.task_id, t.state, d.happening = %(happening)s OR CASE
        WHEN starts_with(d.happening, %(before_time)s)
            AND substr(d.happening, length(%(before_time)s) + 1) ~ '^\\d{4}-\\d\\d-\\d\\dT[0-9:.]+\\+00:00$'
        THEN coalesce(abs(extract(epoch FROM substr(d.happening, length(%(before_time)s) + 1)::timestamptz
            - %(at)s::timestamptz)) <= %(near)s, false)
        ELSE false END AS same
    FROM deliveries d LEFT JOIN tasks t ON t.id = d.task_id
    WHERE d.team_id = %(team)s AND d.ticket = %(ticket)s AND d.id IS DISTINCT FROM %(id)s::text
) AS found WHERE same OR state = ANY(%(open)s) ORDER BY same DESC LIMIT 1
"""


def earlier(
    connection: Connection[Any], team_id: uuid.UUID, ticket: str, happening: "Happening", event_id: str | None
) -> Any:
    """Another delivery than `event_id` that reported the same happening, or else one whose task for the same issue is
    open: its id, its task, and whether the happening is the same."""
    return connection.execute(
        _EARLIER.encode(),
        {
            "team": team_id,
            "ticket": ticket,
            "happening": str(happening),
            "before_time": f"{happening.what[:300]} at ",
            "at": happening.at,
            "near": SAME_SECONDS,
            "id": event_id,
            "open": sorted(OPEN_TASK_STATES),
        },
    ).fetchone()
