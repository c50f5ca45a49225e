"""The queue of tasks, leases of attempts, and what waits to be published."""

from collections.abc import Iterator

from core.health.measures.families import Family, Group, Sample, Source
from core.states import OPEN_TASK_STATES, PublicationState, TaskState

_OLDEST = """
SELECT state, greatest(0, extract(epoch FROM clock_timestamp() - min(
    CASE state WHEN 'queued' THEN updated_at ELSE coalesce(a.started_at, updated_at) END)))::float8
FROM tasks t LEFT JOIN attempts a ON (a.task_id, a.attempt) = (t.id, t.attempt)
WHERE state IN ('queued', 'running', 'waiting') GROUP BY state
"""
_LEASES = """
SELECT count(*) FILTER (WHERE lease_until > clock_timestamp()), count(*) FILTER (WHERE lease_until <= clock_timestamp())
FROM attempts WHERE ended_at IS NULL AND lease_until IS NOT NULL
"""
_PUBLICATIONS = "SELECT state, count(*) FROM publications GROUP BY state"
_DUE = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(a.ended_at)), 0)::float8
FROM publications p JOIN attempts a USING (task_id, attempt) WHERE p.state = 'pending'
"""
_DEAD = """
SELECT (SELECT count(*) FROM event_log l WHERE l.topic = 'penstock.dead-letters'
        AND l.body ->> 'type' = 'penstock.event.unreadable'
        AND NOT EXISTS (SELECT FROM event_log r WHERE r.topic = l.topic AND r.team_id = l.team_id
                        AND r.event_id = l.event_id || ':replayed')),
       (SELECT count(*) FROM publications WHERE state = 'dead-lettered'),
       (SELECT count(*) FROM notices WHERE state = 'dead-lettered')
"""


def _queue(source: Source) -> Iterator[Sample]:
    counted = dict(source.rows("SELECT state, count(*) FROM tasks GROUP BY state"))
    for state in TaskState:
        yield Sample("penstock_tasks", (state,), counted.get(state, 0))
    oldest = dict(source.rows(_OLDEST))
    for state in sorted(OPEN_TASK_STATES):
        yield Sample("penstock_tasks_oldest_seconds", (state,), oldest.get(state, 0.0))
    live, lapsed = source.rows(_LEASES)[0]
    yield Sample("penstock_leases", ("live",), live)
    yield Sample("penstock_leases", ("lapsed",), lapsed)
    yield Sample("penstock_task_slots", (), source.settings.slots)


def _publications(source: Source) -> Iterator[Sample]:
    counted = dict(source.rows(_PUBLICATIONS))
    for state in PublicationState:
        yield Sample("penstock_publications", (state,), counted.get(state, 0))
    yield Sample("penstock_publications_oldest_pending_seconds", (), source.rows(_DUE)[0][0])
    for kind, count in zip(("record", "publication", "notice"), source.rows(_DEAD)[0], strict=True):
        yield Sample("penstock_dead_letters", (kind,), count)


QUEUE = Group(
    "queue",
    (
        Family("penstock_tasks", "Tasks by state.", ("state",)),
        Family(
            "penstock_tasks_oldest_seconds",
            "How long the oldest open task has been in its state; 0 without one.",
            ("state",),
        ),
        Family("penstock_leases", "Leases of attempts that have not ended: live, or lapsed.", ("state",)),
        Family("penstock_task_slots", "Tasks that may run at once."),
    ),
    _queue,
)
PUBLICATIONS = Group(
    "publications",
    (
        Family("penstock_publications", "Publications by state.", ("state",)),
        Family(
            "penstock_publications_oldest_pending_seconds",
            "Time since the end of the attempt whose publication has been pending for longest; 0 without one.",
        ),
        Family("penstock_dead_letters", "What could not be processed and was not replayed, by kind.", ("kind",)),
    ),
    _publications,
)
