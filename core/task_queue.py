"""The tasks that wait for a run, and whose turn it is.

Teams take turns, and within a team its sources do: of two that wait, the one with fewer runs under way goes first, then
the one that waited longer since its last run. So one noisy repository delays the others by at most one task of its own.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from core.database import Database

_DUE = """
UPDATE tasks t SET due_attempt = read.attempt
FROM unnest(%s::uuid[], %s::integer[]) AS read (id, attempt)
WHERE t.id = read.id AND t.attempt = read.attempt AND t.state = 'queued' AND t.due_attempt < read.attempt
"""
_WAITING = "t.state = 'queued' AND t.due_attempt = t.attempt AND t.launched_attempt < t.attempt"
# Only as many tasks of each source are looked at as there are free slots. Ties are broken by age, then by id.
_TAKE = f"""
WITH sources AS (SELECT DISTINCT team_id, source FROM tasks t WHERE {_WAITING}),
busy AS (
    SELECT team_id, source, count(*) AS runs FROM tasks t
    WHERE t.state = 'running' OR t.state = 'queued' AND t.launched_attempt = t.attempt GROUP BY team_id, source
),
of_team AS (SELECT team_id, sum(runs) AS runs FROM busy GROUP BY team_id),
served AS (SELECT team_id, max(launched_at) AS last FROM task_turns GROUP BY team_id),
first AS (
    SELECT s.team_id, s.source, t.id, t.created_at, coalesce(b.runs, 0) + t.place AS turn,
        coalesce(last.launched_at, '-infinity') AS last
    FROM sources s
    LEFT JOIN busy b USING (team_id, source)
    LEFT JOIN task_turns last USING (team_id, source)
    CROSS JOIN LATERAL (
        SELECT id, created_at, row_number() OVER (ORDER BY created_at, id) AS place FROM tasks t
        WHERE t.team_id = s.team_id AND t.source = s.source AND {_WAITING}
        ORDER BY created_at, id LIMIT %(free)s
    ) t
),
ranked AS (
    SELECT f.*, coalesce(o.runs, 0) + row_number() OVER (
        PARTITION BY f.team_id ORDER BY f.turn, f.last, f.created_at, f.id) AS team_turn,
        coalesce(served.last, '-infinity') AS team_last
    FROM first f LEFT JOIN of_team o USING (team_id) LEFT JOIN served USING (team_id)
),
chosen AS (
    SELECT id, row_number() OVER (ORDER BY team_turn, team_last, turn, last, created_at, id) AS place FROM ranked
    ORDER BY place LIMIT %(free)s
),
taken AS (
    UPDATE tasks t SET launched_attempt = t.attempt, updated_at = clock_timestamp() FROM chosen
    WHERE t.id = chosen.id AND {_WAITING}
    RETURNING t.team_id, t.id, t.attempt, t.source, t.traceparent, t.tracestate, t.options ->> 'kind' AS kind,
        chosen.place
),
noted AS (
    INSERT INTO task_turns (team_id, source, launched_at)
    SELECT team_id, source, clock_timestamp() FROM taken GROUP BY team_id, source
    ON CONFLICT (team_id, source) DO UPDATE SET launched_at = excluded.launched_at
)
SELECT team_id, id, attempt, source, traceparent, tracestate, kind FROM taken ORDER BY place
"""  # noqa: S608  constants


@dataclass(frozen=True)
class Turn:
    """An attempt that gets a run now."""

    team_id: uuid.UUID
    task_id: uuid.UUID
    attempt: int
    source: str
    traceparent: str | None = None
    tracestate: str | None = None
    kind: str | None = None
    """`research` or `service`; None for a change."""


def mark_due(database: Database, requested: Sequence[tuple[uuid.UUID, int]]) -> int:
    """Lets attempts, given by task and number, wait for their turn; repeats, and tasks that are not queued for that
    attempt any more, change nothing. Returns how many wait now that did not before."""
    if not requested:
        return 0
    ids, attempts = zip(*sorted(set(requested)), strict=True)
    with database.system() as connection:
        return connection.execute(_DUE, (list(ids), list(attempts))).rowcount


def take_turns(database: Database, free: int) -> list[Turn]:
    """The attempts that get the `free` slots, in their order; each is returned once. One whose run is not requested
    after that is found by the reconciler as a task that no run has claimed."""
    if free <= 0:
        return []
    with database.system() as connection:
        return [Turn(*row) for row in connection.execute(_TAKE.encode(), {"free": free}).fetchall()]
