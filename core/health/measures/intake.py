"""What came in, what became of it, and how far the consumers of the event log have read."""

from collections.abc import Iterator
from datetime import timedelta

from core.health.fate_rates import read_fates
from core.health.ledger import read_ledger
from core.health.measures.families import Family, Group, Sample, Source

_ENDS = """
SELECT t.topic, t.next_offset + (SELECT count(*) FROM event_log e WHERE e.topic = t.topic AND e.log_offset IS NULL)
FROM log_topics t ORDER BY t.topic
"""
# Events that have no offset yet are unread by everybody.
_LAG = """
SELECT g.name, g.topic,
    greatest(0, t.next_offset - greatest(g.next_offset, t.first_offset)) + waiting.count,
    coalesce(greatest(0, extract(epoch FROM clock_timestamp() - least(waiting.since, (
        SELECT e.appended_at FROM event_log e WHERE e.topic = g.topic AND e.log_offset >= g.next_offset
        ORDER BY e.log_offset LIMIT 1)))), 0)::float8
FROM (
    SELECT consumer_group AS name, topic, next_offset FROM log_groups
    UNION ALL SELECT 'relay', topic, next_offset FROM relay_positions
) g JOIN log_topics t USING (topic)
CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(appended_at) AS since FROM event_log e
    WHERE e.topic = g.topic AND e.log_offset IS NULL
) waiting ORDER BY g.name, g.topic
"""


def _ledger(source: Source) -> Iterator[Sample]:
    assert source.connection is not None  # noqa: S101
    found = read_ledger(source.connection, timedelta(days=1))
    for (origin, outcome), count in found.entries.items():
        yield Sample("penstock_ledger", (origin, outcome), count)
    yield Sample("penstock_ledger_unaccounted", (), found.lost + found.without_outcome)
    for one in read_fates(source.connection):
        yield Sample("penstock_published_patches", (one.source, one.engine, one.verdict, one.fate), one.patches)


def _log(source: Source) -> Iterator[Sample]:
    for topic, end in source.rows(_ENDS):
        yield Sample("penstock_log_end_offset", (topic,), end)
    kafka = source.settings.event_log == "kafka"
    for name, topic, events, seconds in source.rows(_LAG):
        if not kafka or name == "relay":  # consumers of Kafka have their positions there
            yield Sample("penstock_log_lag_events", (name, topic), events)
            yield Sample("penstock_log_lag_seconds", (name, topic), seconds)


LEDGER = Group(
    "ledger",
    (
        Family(
            "penstock_ledger",
            "Deliveries accepted during the last day, by sender and by what became of them.",
            ("origin", "outcome"),
        ),
        Family(
            "penstock_ledger_unaccounted",
            "Deliveries of the last day that are lost, and attempts that ended without an outcome event; must be 0.",
        ),
        Family(
            "penstock_published_patches",
            "Published patches by what became of them: open, closed, merged unchanged, merged changed, reverted.",
            ("source", "engine", "verdict", "fate"),
        ),
    ),
    _ledger,
)
LOG = Group(
    "log",
    (
        Family("penstock_log_end_offset", "Offset after the last event of each topic.", ("topic",)),
        Family(
            "penstock_log_lag_events",
            "Events that a consumer of the event log in PostgreSQL, or the relay to Kafka, has still to read.",
            ("consumer", "topic"),
        ),
        Family(
            "penstock_log_lag_seconds",
            "Age of the oldest event that the consumer has still to read; 0 without one.",
            ("consumer", "topic"),
        ),
    ),
    _log,
)
