"""Dead letters and their replay: records that could not be read, publications and notices that failed for good.

Replay one after fixing what its reason names. That is safe to repeat: a record is appended at most once more, and a
publication that succeeds is published once; the receiver of a notice knows a repeat by its id.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import EventLog
from core.events import DEAD_LETTERS, Event
from core.states import PublicationState

UNREADABLE = "penstock.event.unreadable"
"""Type of the events that report an unreadable record. Their data: topic, partition, offset, reason."""

REPLAYED = "penstock.event.replayed"


class LetterKind(StrEnum):
    RECORD = "record"
    PUBLICATION = "publication"
    NOTICE = "notice"


class NotReplayed(RuntimeError):
    """The dead letter cannot be replayed now; the message says why and what to do."""


@dataclass(frozen=True)
class DeadLetter:
    """`about` says where it belongs: topic, partition and offset; task, attempt and target; or the channel and what was
    to be told there."""

    id: str
    kind: LetterKind
    at: datetime
    about: str
    reason: str
    data: dict[str, Any]


_RECORDS = """
SELECT l.event_id, l.appended_at, l.body -> 'data' FROM event_log l
WHERE l.topic = %(topic)s AND l.team_id = %(team)s AND l.body ->> 'type' = %(unreadable)s
  AND (%(id)s::text IS NULL OR l.event_id = %(id)s)
  AND NOT EXISTS (SELECT FROM event_log r WHERE r.topic = l.topic AND r.team_id = l.team_id
                  AND r.event_id = l.event_id || ':replayed')
ORDER BY l.appended_at DESC, l.event_id LIMIT %(limit)s
"""
_PUBLICATIONS = """
SELECT 'publication:' || task_id || ':' || attempt || ':' || target, updated_at, task_id, attempt, target, tries,
       last_error, body ->> 'source'
FROM publications WHERE state = 'dead-lettered' AND team_id = %(team)s
  AND (%(id)s::text IS NULL OR 'publication:' || task_id || ':' || attempt || ':' || target = %(id)s)
ORDER BY updated_at DESC, task_id, target LIMIT %(limit)s
"""
_NOTICES = """
SELECT 'notice:' || channel || ':' || id, updated_at, channel, id, tries, last_error
FROM notices WHERE state = 'dead-lettered' AND team_id = %(team)s
  AND (%(id)s::text IS NULL OR 'notice:' || channel || ':' || id = %(id)s)
ORDER BY updated_at DESC, channel, id LIMIT %(limit)s
"""


def list_dead_letters(
    database: Database, team_id: uuid.UUID, *, limit: int = 100, only: str | None = None
) -> list[DeadLetter]:
    """The team's newest dead letters that were not replayed; with `only`, at most the one with that id."""
    given = {"topic": DEAD_LETTERS, "team": team_id, "unreadable": UNREADABLE, "id": only, "limit": limit}
    with database.team(team_id) as connection:
        records = connection.execute(_RECORDS, given).fetchall()
        publications = connection.execute(_PUBLICATIONS, given).fetchall()
        notices = connection.execute(_NOTICES, given).fetchall()
    letters = []
    for event_id, at, data in records:
        about = f"{data['topic']} {data['partition']}:{data['offset']}"
        letters.append(DeadLetter(event_id, LetterKind.RECORD, at, about, data["reason"], data))
    for identity, at, task_id, attempt, target, tries, error, source in publications:
        about = f"task {task_id}, attempt {attempt}, to {target}"
        details = {"task": str(task_id), "attempt": attempt, "target": target, "tries": tries, "source": source}
        letters.append(DeadLetter(identity, LetterKind.PUBLICATION, at, about, error or "not published", details))
    for identity, at, channel, told, tries, error in notices:
        details = {"channel": channel, "id": told, "tries": tries}
        letters.append(DeadLetter(identity, LetterKind.NOTICE, at, f"{told}, by {channel}", error or "", details))
    return sorted(letters, key=lambda letter: (letter.at, letter.id), reverse=True)[:limit]


def find_dead_letter(database: Database, team_id: uuid.UUID, identity: str) -> DeadLetter | None:
    return next(iter(list_dead_letters(database, team_id, only=identity)), None)


def replay(database: Database, log: EventLog, letter: DeadLetter, team_id: uuid.UUID) -> None:
    """Replays a dead letter: appends the record to its topic again, or makes the publication or notice due. `log` is
    the one that consumers read. Raises `NotReplayed`, and the log's errors."""
    if letter.kind is LetterKind.PUBLICATION:
        _publish_again(database, letter, team_id)
    elif letter.kind is LetterKind.NOTICE:
        _tell_again(database, letter, team_id)
    else:
        _append_again(database, log, letter, team_id)


def _publish_again(database: Database, letter: DeadLetter, team_id: uuid.UUID) -> None:
    with database.team(team_id) as connection:
        moved = connection.execute(
            "UPDATE publications SET state = %s, tries = 0, next_try_at = now(), updated_at = now() "
            "WHERE team_id = %s AND task_id = %s AND attempt = %s AND target = %s AND state = %s",
            (
                PublicationState.PENDING,
                team_id,
                letter.data["task"],
                letter.data["attempt"],
                letter.data["target"],
                PublicationState.DEAD_LETTERED,
            ),
        ).rowcount
    if not moved:
        raise NotReplayed(f"{letter.about} is not dead-lettered any more; see `penstock task show`")


def _tell_again(database: Database, letter: DeadLetter, team_id: uuid.UUID) -> None:
    with database.team(team_id) as connection:
        moved = connection.execute(
            "UPDATE notices SET state = 'pending', tries = 0, next_try_at = now(), updated_at = now() "
            "WHERE (team_id, channel, id) = (%s, %s, %s) AND state = 'dead-lettered'",
            (team_id, letter.data["channel"], letter.data["id"]),
        ).rowcount
    if not moved:
        raise NotReplayed(f"{letter.about} is not dead-lettered any more")


def _append_again(database: Database, log: EventLog, letter: DeadLetter, team_id: uuid.UUID) -> None:
    topic, partition, offset = letter.data["topic"], int(letter.data["partition"]), int(letter.data["offset"])
    batch = log.read(topic, {partition: offset}, limit=1)
    for unread in batch.unreadable:
        if (unread.partition, unread.offset) == (partition, offset):
            raise NotReplayed(f"{letter.about} still cannot be read: {unread.reason[:300]}")
    found = next((r.event for r in batch.records if (r.partition, r.offset) == (partition, offset)), None)
    if found is None:
        raise NotReplayed(f"{letter.about} is no longer in the log: it was deleted because of its age")
    again = found.model_copy(update={"id": f"{found.id[:490]}:replayed"})
    note = Event(
        id=f"{letter.id}:replayed",
        source="/penstock/dead-letters",
        type=REPLAYED,
        subject=topic,
        teamid=team_id,
        data={"id": again.id},
    )
    postgres = PostgresLog(database)
    try:
        postgres.append([(topic, again), (DEAD_LETTERS, note)])
    finally:
        postgres.close()
