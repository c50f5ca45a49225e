"""The event log in Postgres: the embedded default, and the place where every event first becomes durable.

An append joins the caller's transaction and takes no lock on the topic. Offsets are assigned after the
commit, by the next reader, one batch at a time under a lock on the topic: a transaction that commits
late gets later offsets, so no reader skips an event. Each topic has one partition, 0.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import ValidationError

from core.database import Database
from core.eventlog.protocol import (
    MAX_BATCH_BYTES,
    Batch,
    EventLogUnavailable,
    Guarantees,
    Record,
    UnknownTopic,
    Unreadable,
    encode,
)
from core.eventlog.session import CHANNEL, Session, Sessions
from core.events import TOPICS, Event
from core.tracing import span

PARTITION = 0

POLL_SECONDS = 1.0
"""Longest delay of an event whose notification is lost, in seconds."""

_SEQUENCED_AT_ONCE = 5_000
_INSERTED_AT_ONCE = 8 << 20
_PRUNED_AT_ONCE = 5_000

# Rows are inserted in the order of their keys, so that two appends of the same events cannot deadlock; `position`
# records the order of the append.
_APPEND = f"""
WITH known AS (
    SELECT topic FROM log_topics WHERE topic = %(topic)s
), added AS (
    INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body)
    SELECT known.topic, e.team_id, e.event_id, b.batch, e.position, e.size, e.body::json
    FROM known, (SELECT nextval('log_batches')) AS b(batch),
        unnest(%(teams)b::uuid[], %(ids)b::text[], %(positions)b::int4[], %(sizes)b::int4[], %(bodies)b::text[])
            AS e(team_id, event_id, position, size, body)
    ON CONFLICT (topic, team_id, event_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM known), count(*), CASE WHEN count(*) > 0 THEN pg_notify('{CHANNEL}', %(topic)s) END
FROM added
"""  # noqa: S608

_READ = """
SELECT log_offset, body::text FROM (
    SELECT log_offset, body, sum(size) OVER (ORDER BY log_offset ROWS UNBOUNDED PRECEDING) - size AS before_it
    FROM (
        SELECT log_offset, size, body FROM event_log
        WHERE topic = %(topic)s AND log_offset >= %(start)s ORDER BY log_offset LIMIT %(limit)s
    ) AS next_rows
) AS sized WHERE before_it < %(bytes)s ORDER BY log_offset
"""

# The first offset that must stay. What has no offset yet is newer than all others.
_BOUND = """
SELECT least(%(end)s, %(most)s,
    (SELECT next_offset FROM relay_positions WHERE topic = %(topic)s),
    CASE WHEN %(group)s::text IS NOT NULL THEN coalesce((SELECT next_offset FROM log_groups
        WHERE consumer_group = %(group)s AND topic = %(topic)s), %(first)s) END,
    (SELECT log_offset FROM event_log WHERE topic = %(topic)s AND log_offset >= %(first)s
        AND appended_at >= %(before)s ORDER BY log_offset LIMIT 1))
"""


class PostgresLog:
    """The log of one database. Cheap to make; nothing connects before the first use."""

    guarantees = Guarantees(atomic=True, deduplicates=True)

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = Sessions(database.url)

    def ensure_topics(self, topics: Sequence[str] = TOPICS) -> None:
        with self._system() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO log_topics (topic) VALUES (%s) ON CONFLICT DO NOTHING", [(t,) for t in sorted(topics)]
            )

    def append(self, events: Sequence[tuple[str, Event]]) -> None:
        topics: dict[str, list[Event]] = {}
        for topic, event in events:
            topics.setdefault(topic, []).append(event)
        with self._system() as connection:
            for topic in sorted(topics):
                self.append_in(connection, topic, topics[topic])

    def append_in(self, connection: Connection[TupleRow], topic: str, events: Iterable[Event]) -> int:
        """Appends in the caller's transaction: the events are in the log if and when it commits. Returns how
        many were new; an event id that the team already has in this topic is skipped.

        A team's transaction can append its own team's events only (`psycopg.errors.InsufficientPrivilege`).
        Raises `UnknownTopic`, `EventRefused`, and psycopg's own errors, since the transaction is the caller's.
        """
        with span(f"{topic} publish", {"messaging.system": "penstock"}, kind="producer") as current:
            context = current.context
            carried = events if context is None else (event.traced(context) for event in events)
            return self._append_in(connection, topic, carried)

    def _append_in(self, connection: Connection[TupleRow], topic: str, events: Iterable[Event]) -> int:
        added = 0
        for rows in _chunks(topic, events):
            columns = list(zip(*sorted(rows), strict=True))
            known, new, _ = connection.execute(
                _APPEND,
                {
                    "topic": topic,
                    "teams": list(columns[0]),
                    "ids": list(columns[1]),
                    "positions": list(columns[2]),
                    "sizes": list(columns[3]),
                    "bodies": list(columns[4]),
                },
            ).fetchone() or (0, 0, None)
            if not known:
                raise _unknown(topic)
            added += new
        return added

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        if limit < 1:
            raise ValueError(f"limit {limit}: a read takes at least one event")
        deadline = time.monotonic() + wait
        with self._sessions.session() as session:
            while True:
                batch = self._read(session, topic, offsets, limit)
                left = deadline - time.monotonic()
                if batch.records or batch.unreadable or batch.resets or left <= 0:
                    return batch
                if not session.listening:
                    session.listen()  # then read again: earlier appends were not announced to it
                else:
                    _wait_for(session, topic, min(left, POLL_SECONDS))

    def _read(self, session: Session, topic: str, offsets: Mapping[int, int], limit: int) -> Batch:
        first, end = _sequence(session, topic)
        wanted = offsets.get(PARTITION, first)
        lost = not first <= wanted <= end
        start = first if lost else wanted
        resets = {PARTITION: first} if lost else {}
        if start == end:
            return Batch((), {PARTITION: start}, resets)
        rows = session.connection.execute(
            _READ, {"topic": topic, "start": start, "limit": limit, "bytes": MAX_BATCH_BYTES}, prepare=True
        ).fetchall()
        records, unreadable = [], []
        for offset, body in rows:
            try:
                records.append(Record(topic, PARTITION, offset, Event.from_json(body)))
            except ValidationError as error:
                unreadable.append(Unreadable(topic, PARTITION, offset, str(error)[:500]))
        next_offset = rows[-1][0] + 1 if rows else start
        return Batch(tuple(records), {PARTITION: next_offset}, resets, tuple(unreadable))

    def end_offsets(self, topic: str) -> dict[int, int]:
        with self._sessions.session() as session:
            return {PARTITION: _sequence_all(session, topic)[1]}

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        with self._sessions.session() as session:
            for next_offset in offsets.values():
                try:
                    session.connection.execute(
                        "INSERT INTO log_groups (consumer_group, topic, next_offset) VALUES (%s, %s, %s) "
                        "ON CONFLICT (consumer_group, topic) "
                        "DO UPDATE SET next_offset = excluded.next_offset, updated_at = now()",
                        (group, topic, next_offset),
                    )
                except psycopg.errors.ForeignKeyViolation:
                    raise _unknown(topic) from None

    def lag(self, group: str, topic: str) -> dict[int, int]:
        with self._sessions.session() as session:
            first, end = _sequence_all(session, topic)
            row = session.connection.execute(
                "SELECT next_offset FROM log_groups WHERE consumer_group = %s AND topic = %s", (group, topic)
            ).fetchone()
        return {PARTITION: max(0, end - max(first, row[0] if row else first))}

    def prune(self, topic: str, before: datetime, *, unread_by: str | None = None) -> int:
        """Deletes the events at the front of a topic that were appended before `before`, and returns how many.

        Keeps what the consumer group `unread_by` has not read and what a relay of the topic has not moved yet.
        Repeats of deleted events are not recognised, so keep events while senders may repeat them (GitHub: 3 days).
        """
        deleted = 0
        while True:
            with self._system() as connection:
                row = connection.execute(
                    "SELECT first_offset, next_offset FROM log_topics WHERE topic = %s FOR NO KEY UPDATE", (topic,)
                ).fetchone()
                if row is None:
                    raise _unknown(topic)
                first, end = row
                bound = connection.execute(
                    _BOUND,
                    {
                        "end": end,
                        "most": first + _PRUNED_AT_ONCE,
                        "topic": topic,
                        "first": first,
                        "before": before,
                        "group": unread_by,
                    },
                ).fetchone()
                keep_from = max(first, bound[0] if bound else first)
                if keep_from == first:
                    return deleted
                deleted += connection.execute(
                    "DELETE FROM event_log WHERE topic = %s AND log_offset < %s", (topic, keep_from)
                ).rowcount
                connection.execute("UPDATE log_topics SET first_offset = %s WHERE topic = %s", (keep_from, topic))

    def prunable(self, topic: str, before: datetime, *, unread_by: str | None = None) -> tuple[int, datetime | None]:
        """How many events `prune` would delete, and when the oldest was appended. Events that have no offset yet are
        not among them."""
        with self._system() as connection:
            row = connection.execute(
                "SELECT first_offset, next_offset FROM log_topics WHERE topic = %s", (topic,)
            ).fetchone()
            if row is None:
                raise _unknown(topic)
            first, end = row
            given = {"end": end, "most": end, "topic": topic, "first": first, "before": before, "group": unread_by}
            bound = connection.execute(_BOUND, given).fetchone()
            found = connection.execute(
                "SELECT count(*), min(appended_at) FROM event_log WHERE topic = %s AND log_offset < %s",
                (topic, max(first, bound[0] if bound else first)),
            ).fetchone()
        return (int(found[0]), found[1]) if found else (0, None)

    def close(self) -> None:
        """Closes idle reading connections, but not the database's pool, which its owner closes."""
        self._sessions.close()

    @contextmanager
    def _system(self) -> Iterator[Connection[TupleRow]]:
        try:
            with self._database.system() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise EventLogUnavailable(f"the event log's database does not answer: {error}") from error


def _sequence(session: Session, topic: str) -> tuple[int, int]:
    """Assigns offsets to committed events, and returns the oldest stored offset and the next one."""
    row = session.connection.execute(
        "SELECT first_kept, next_free FROM log_sequence(%s, %s)", (topic, _SEQUENCED_AT_ONCE), prepare=True
    ).fetchone()
    if row is None or row[0] is None:
        raise _unknown(topic)
    return row[0], row[1]


def _sequence_all(session: Session, topic: str) -> tuple[int, int]:
    before, found = (-1, -1), _sequence(session, topic)
    while found != before:
        before, found = found, _sequence(session, topic)
    return found


def _wait_for(session: Session, topic: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if topic in session.wait(left):
            return


_Row = tuple[uuid.UUID, str, int, int, str]


def _chunks(topic: str, events: Iterable[Event]) -> Iterator[list[_Row]]:
    """Rows to insert, in chunks of bounded size. Checks every event before it returns the first chunk."""
    chunks: list[list[_Row]] = [[]]
    held = 0
    for position, event in enumerate(events):
        body = encode(topic, event)
        if chunks[-1] and held + len(body) > _INSERTED_AT_ONCE:
            chunks.append([])
            held = 0
        chunks[-1].append((event.teamid, event.id, position, len(body), body.decode()))
        held += len(body)
    return iter(chunk for chunk in chunks if chunk)


def _unknown(topic: str) -> UnknownTopic:
    return UnknownTopic(f"the event log has no topic {topic!r}; `ensure_topics` creates it")
