"""Tells others how tasks end, and what they ask: each once for each channel (a signed callback, mail), at least once
delivered.

`note_new` makes a row of each new outcome on the event log, and `send_due` sends what is due, with growing pauses and
a dead letter at the end. An outcome waits until its publication has been tried. Only the default team has channels,
since they are settings.
"""

import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row
from psycopg.types.json import Jsonb

from assets.results.publish import LONGEST_PAUSE, MAX_TRIES, pause_after
from core.database import Database
from core.dead_letters import UNREADABLE
from core.eventlog.postgres import PARTITION, PostgresLog
from core.events import Event
from core.states import PublicationState, TaskState
from core.tasks import CLOSED, WAITS
from core.teams import DEFAULT_TEAM

BEFORE = "5 minutes"
"""A new channel begins with the outcomes of this time, so that those of the start are not missed."""
KEPT = timedelta(days=30)
TRY_SECONDS = 120.0
"""For this time no other process tries the same notice; it is longer than a try."""
_TOLD = (CLOSED, WAITS, UNREADABLE)
UNSETTLED = (PublicationState.HELD, PublicationState.DEAD_LETTERED)
"""States of publications that a person changes later; then another notice follows."""


class Unsent(RuntimeError):
    """It could not be sent: try again later, after `pause` seconds if the receiver says how long."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True)
class Notice:
    """`event` is the data of the outcome (or of the dead letter, without a task), `publication` what became of its
    patch or report: `target`, `state`, `location`, `last_error`, `patch_sha256`; None without one."""

    id: str
    at: datetime
    task_id: uuid.UUID | None
    attempt: int | None
    event: Mapping[str, Any]
    ticket: Mapping[str, Any] | None
    publication: Mapping[str, Any] | None
    later: bool
    """Another notice of the same outcome was sent before."""


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> tuple[str, ...]:
        """Those of the event log that it is told of."""

    def body(self, notice: Notice) -> dict[str, Any] | None:
        """What is told of it, the same in every try, with the publication's target as `data.publication.target`; None
        if nothing is."""

    def send(self, identity: str, body: Mapping[str, Any], tries: int) -> None:
        """Raises `Unsent`."""


@dataclass(frozen=True)
class Told:
    """A notice after a try: `error` says why it is not sent yet."""

    channel: str
    id: str
    state: str
    error: str | None


def note_new(database: Database, log: PostgresLog, channel: Channel) -> None:
    """Makes a row of each event that the channel has not read yet, and of each publication that has changed since."""
    for topic in channel.topics:
        position = _position(database, log, channel, topic)
        while True:
            batch = log.read(topic, {PARTITION: position})
            after = batch.next_offsets[PARTITION]
            with database.system() as connection:
                for record in batch.records:
                    if record.event.teamid == DEFAULT_TEAM and record.event.type in _TOLD:
                        _add(connection, channel, record.event)
                connection.execute(
                    "UPDATE notice_positions SET position = greatest(position, %s) "
                    "WHERE (team_id, channel, topic) = (%s, %s, %s)",
                    (after, DEFAULT_TEAM, channel.name, topic),
                )
            if after == position:
                break
            position = after
    with database.system() as connection:
        connection.execute(_CHANGED, {"team": DEFAULT_TEAM, "channel": channel.name})
        connection.execute(
            "DELETE FROM notices WHERE state IN ('sent', 'skipped') AND told IS NULL AND updated_at < now() - %s",
            (KEPT,),
        )


def send_due(database: Database, channel: Channel, *, limit: int = 50) -> list[Told]:
    """Sends what is due, at most `limit`, until the receiver fails once: the rest waits for the next time."""
    done: list[Told] = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                _TAKE, {"team": DEFAULT_TEAM, "channel": channel.name, "seconds": TRY_SECONDS}
            ).fetchone()
        if row is None:
            break
        done.append(_try(database, channel, row))
        if done[-1].error is not None:
            break
    return done


def _try(database: Database, channel: Channel, row: dict[str, Any]) -> Told:
    state, error, pause = "sent", None, 0.0
    try:
        body = row["body"] or _composed(database, channel, row)
        if body is None:
            state = "skipped"
        else:
            channel.send(row["id"], body, row["tries"])
    except (Unsent, OSError) as trouble:
        error = str(trouble)[:1000]
        asked = getattr(trouble, "pause", None) or 0.0
        pause = max(asked, pause_after(row["tries"]) * random.uniform(0.75, 1.25))  # noqa: S311  spreads tries
        pause = min(pause, LONGEST_PAUSE)
        state = "dead-lettered" if row["tries"] >= MAX_TRIES else "pending"
    with database.system() as connection:
        connection.execute(
            "UPDATE notices SET state = %(state)s, last_error = %(error)s, updated_at = now(), "
            "next_try_at = now() + %(pause)s * interval '1 second' "
            "WHERE (team_id, channel, id) = (%(team)s, %(channel)s, %(id)s) AND state = 'pending'",
            {**row, "state": state, "error": error, "pause": pause, "team": row["team_id"]},
        )
    return Told(channel.name, row["id"], state, error)


def _composed(database: Database, channel: Channel, row: dict[str, Any]) -> dict[str, Any] | None:
    """What is told, stored before the first try."""
    publication = row["publication"]
    asks = row["event"].get("state") == TaskState.WAITING
    made = (
        None
        if asks and not row["waits"]
        else channel.body(
            Notice(
                *(row["id"], row["at"], row["task_id"], row["attempt"], row["event"], row["ticket"], publication),
                later=row["event"].get("later", False),
            )
        )
    )
    state = publication["state"] if publication else None
    with database.system() as connection:
        connection.execute(
            "UPDATE notices SET body = %s, told = %s WHERE (team_id, channel, id) = (%s, %s, %s)",
            (
                None if made is None else Jsonb(made),
                state if state in UNSETTLED else None,
                *(row["team_id"], row["channel"], row["id"]),
            ),
        )
    return made


def _position(database: Database, log: PostgresLog, channel: Channel, topic: str) -> int:
    end = log.end_offsets(topic)[PARTITION]
    with database.system() as connection:
        row = connection.execute(
            _BEGIN.encode(), {"team": DEFAULT_TEAM, "channel": channel.name, "topic": topic, "end": end}
        ).fetchone()
    return int(row[0]) if row else end


def _add(connection: Connection[TupleRow], channel: Channel, event: Event) -> None:
    task = event.data.get("task")
    connection.execute(
        "INSERT INTO notices (team_id, channel, id, task_id, attempt, event, at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (
            *(DEFAULT_TEAM, channel.name, event.id, task, event.data.get("attempt") if task else None),
            *(Jsonb(dict(event.data)), event.time),
        ),
    )


def count_due(connection: Connection[TupleRow], channels: Iterable[Channel]) -> int:
    """The number of notices that are due, and of channels that have something to read."""
    total = 0
    for channel in channels:
        row = connection.execute(
            _DUE, {"team": DEFAULT_TEAM, "channel": channel.name, "topics": list(channel.topics)}
        ).fetchone()
        total += int(row[0]) if row else 0
    return total


@dataclass(frozen=True)
class ChannelState:
    """How many notices of a channel wait after a failed try, how many are dead letters, and the last error."""

    waiting: int
    dead: int
    error: str | None


def channel_state(connection: Connection[TupleRow], channel: str) -> ChannelState:
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE state = 'pending' AND last_error IS NOT NULL), "
        "count(*) FILTER (WHERE state = 'dead-lettered'), "
        "(array_agg(last_error ORDER BY updated_at DESC) FILTER (WHERE last_error IS NOT NULL))[1] "
        "FROM notices WHERE channel = %s AND state IN ('pending', 'dead-lettered')",
        (channel,),
    ).fetchone()
    return ChannelState(*row) if row else ChannelState(0, 0, None)


# The publication of an attempt: the one that waits for a person, else the one with a patch.
_PUBLICATION = """
    SELECT to_jsonb(p) - 'body' FROM publications p WHERE (p.task_id, p.attempt) = (n.task_id, n.attempt)
    ORDER BY p.state = 'held' DESC, p.patch_sha256 IS NULL, p.target LIMIT 1
"""
_TAKE = f"""
WITH due AS (
    SELECT n.team_id, n.channel, n.id FROM notices n
    WHERE n.state = 'pending' AND n.next_try_at <= now() AND (n.team_id, n.channel) = (%(team)s, %(channel)s)
        AND NOT EXISTS (SELECT FROM publications p
                        WHERE (p.task_id, p.attempt) = (n.task_id, n.attempt) AND p.state = 'pending')
    ORDER BY n.next_try_at, n.at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE notices n SET tries = n.tries + 1, next_try_at = now() + %(seconds)s * interval '1 second'
FROM due WHERE (n.team_id, n.channel, n.id) = (due.team_id, due.channel, due.id)
RETURNING n.*, ({_PUBLICATION}) AS publication,
    (SELECT jsonb_build_object('service', t.ticket_service, 'project', t.ticket_project, 'key', t.ticket_key,
                               'url', t.url)
     FROM tasks t WHERE t.id = n.task_id AND t.ticket_key IS NOT NULL) AS ticket,
    coalesce((SELECT t.state = 'waiting' AND t.attempt = n.attempt FROM tasks t WHERE t.id = n.task_id), false) AS waits
""".encode()  # noqa: S608
# A publication that was told as held or dead-lettered, and has another state now, is told again.
_CHANGED = """
WITH changed AS (
    UPDATE notices n SET told = NULL FROM publications p
    WHERE (n.team_id, n.channel) = (%(team)s, %(channel)s) AND n.told IS NOT NULL
        AND (p.task_id, p.attempt) = (n.task_id, n.attempt)
        AND p.target = n.body -> 'data' -> 'publication' ->> 'target' AND p.state NOT IN ('pending', n.told)
        AND n.state = 'sent'
    RETURNING n.*, p.state AS now_state, p.updated_at AS changed_at
)
INSERT INTO notices (team_id, channel, id, task_id, attempt, event, at)
SELECT team_id, channel, id || ':' || now_state, task_id, attempt, event || '{"later": true}', changed_at FROM changed
ON CONFLICT DO NOTHING
"""
_BEGIN = f"""
INSERT INTO notice_positions AS held (team_id, channel, topic, position)
SELECT %(team)s, %(channel)s, %(topic)s, coalesce(min(e.log_offset), %(end)s) FROM event_log e
WHERE e.topic = %(topic)s AND e.log_offset IS NOT NULL AND e.appended_at > now() - interval '{BEFORE}'
ON CONFLICT (team_id, channel, topic) DO UPDATE SET position = held.position RETURNING position
"""  # noqa: S608
_DUE = """
SELECT (SELECT count(*) FROM notices n WHERE n.state = 'pending' AND n.next_try_at < now()
        AND (n.team_id, n.channel) = (%(team)s, %(channel)s)
        AND NOT EXISTS (SELECT FROM publications p
                        WHERE (p.task_id, p.attempt) = (n.task_id, n.attempt) AND p.state = 'pending'))
    + (SELECT count(*) FROM notices n JOIN publications p ON (p.task_id, p.attempt) = (n.task_id, n.attempt)
       WHERE (n.team_id, n.channel) = (%(team)s, %(channel)s) AND n.told IS NOT NULL AND n.state = 'sent'
       AND p.target = n.body -> 'data' -> 'publication' ->> 'target' AND p.state NOT IN ('pending', n.told))
    + (SELECT count(*) FROM log_topics t
       LEFT JOIN notice_positions h ON (h.team_id, h.channel, h.topic) = (%(team)s, %(channel)s, t.topic)
       WHERE t.topic = ANY(%(topics)s) AND (h.position IS NULL OR h.position < t.next_offset
           OR EXISTS (SELECT FROM event_log e WHERE e.topic = t.topic AND e.log_offset IS NULL)))
"""
