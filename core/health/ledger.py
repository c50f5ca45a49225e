"""The ledger: where each accepted delivery has ended, so that none can be lost unnoticed."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from psycopg import Connection
from psycopg.rows import TupleRow

from core.states import DeliveryState

LOST = "lost"
"""The outcome of a delivery that should have a task, or a resolved task that should have a publication."""

# A delivery's outcome is its task's; a resolved task's is its publication's.
_ENTRIES = """
SELECT origin, outcome, count(*)::integer, coalesce(sum(duplicates), 0)::integer FROM (
    SELECT split_part(d.id, ':', 1) AS origin, d.duplicates, CASE
        WHEN d.state = 'change' THEN 'changes'
        WHEN d.state <> 'task' THEN d.state
        WHEN t.id IS NULL THEN 'lost'
        WHEN t.state IN ('queued', 'running', 'waiting') THEN 'in progress'
        WHEN t.state <> 'resolved' THEN t.state
        WHEN p.state IN ('pending', 'held') THEN 'in progress'
        ELSE coalesce(p.state, 'lost')
    END AS outcome
    FROM deliveries d
    LEFT JOIN tasks t ON t.id = d.task_id
    LEFT JOIN follow_ups u ON (u.task_id, u.attempt) = (t.id, t.attempt)  -- whose pull request stands in any case
    LEFT JOIN LATERAL (
        SELECT state FROM publications WHERE task_id = t.id AND (attempt = t.attempt OR u.attempt IS NOT NULL)
        ORDER BY u.attempt IS NOT NULL AND state = 'published' DESC, state = 'published', updated_at DESC LIMIT 1
    ) p ON true
    WHERE %(seconds)s::float8 IS NULL OR d.received_at > now() - %(seconds)s::float8 * interval '1 second'
) AS entries
GROUP BY origin, outcome ORDER BY origin, outcome
"""
# Events are kept for at least four days.
_WITHOUT_OUTCOME = """
SELECT count(*)::integer FROM attempts a
WHERE a.ended_at BETWEEN now() - interval '1 day' AND now() AND NOT EXISTS (
    SELECT FROM event_log e WHERE e.topic = 'penstock.outcomes' AND e.team_id = a.team_id
        AND e.event_id = 'penstock:outcome:' || a.task_id || ':' || a.attempt)
"""


@dataclass(frozen=True)
class Ledger:
    """`entries` counts accepted deliveries by sender and outcome: published, refused, unresolved, failed, cancelled,
    ignored, changes (of an index or ticket), dead-lettered, in progress, or lost. `duplicates` are repeats of them,
    by the same webhook or another.
    `without_outcome` are attempts that ended during the last day without an event that says how."""

    entries: dict[tuple[str, str], int]
    duplicates: int
    without_outcome: int

    @property
    def accepted(self) -> int:
        return sum(self.entries.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of deliveries with each outcome, of all senders."""
        counts: Counter[str] = Counter()
        for (_, outcome), count in self.entries.items():
            counts[outcome] += count
        return dict(sorted(counts.items()))

    @property
    def lost(self) -> int:
        return self.outcomes.get(LOST, 0)

    @property
    def balanced(self) -> bool:
        return self.lost == 0 and self.without_outcome == 0


def read_ledger(connection: Connection[TupleRow], within: timedelta | None = None) -> Ledger:
    """The ledger of the connection's team, or of every team; of deliveries accepted `within` this time, or of all."""
    rows = connection.execute(
        _ENTRIES.encode(), {"seconds": within.total_seconds() if within is not None else None}
    ).fetchall()
    missing = connection.execute(_WITHOUT_OUTCOME).fetchone()
    entries = {(str(origin), str(outcome)): count for origin, outcome, count, _ in rows}
    repeats = sum(duplicates for *_, duplicates in rows)
    for key in [key for key in entries if key[1] == DeliveryState.DUPLICATE]:  # the same event by another webhook
        repeats += entries.pop(key)
    return Ledger(
        entries,
        repeats,
        int(missing[0]) if missing else 0,
    )
