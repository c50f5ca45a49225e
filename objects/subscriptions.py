"""Events of the log as messages to the objects that subscribe to them.

A subscription's offset moves in the transaction that commits the step which an event caused, so each event has its
effect on the object's state exactly once. What the step then does in the outside world happens at least once, with a
key to dedupe by (`Message.id`). Also turns the tasks that objects ask for into tasks.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.backlog import Overloaded
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import OBJECTS as TOPIC
from core.events import Event
from core.intake import Delivery, Target, TaskIntent, UnknownSource, receive
from objects.effects import TASK_REQUESTED
from objects.model import Address

BATCH = 100
CLAIM_SECONDS = 60
TRIES = 6
GROUP = "penstock-object-tasks"


@dataclass(frozen=True)
class Heard:
    offset: int
    argument: str


@dataclass(frozen=True)
class Batch:
    """The next events of one subscription, and the offset after all that were looked at."""

    address: Address
    topic: str
    method: str
    events: tuple[Heard, ...]
    end: int


class Subscriptions:
    """Methods raise psycopg's errors and `core.eventlog.protocol.EventLogUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = PostgresLog(database)
        self._tasks_from: int | None = None

    def close(self) -> None:
        self._log.close()

    def due(self, limit: int, without: Sequence[uuid.UUID] = ()) -> list[Batch]:
        """Takes subscriptions with unread events for a while, but none of these teams; none is taken by two nodes at
        once."""
        with self._database.system() as connection:
            rows = connection.execute(
                "SELECT topic FROM object_subscriptions UNION SELECT %s WHERE EXISTS (SELECT FROM event_log "
                "WHERE topic = %s AND log_offset IS NULL) "
                "OR %s < (SELECT next_offset FROM log_topics WHERE topic = %s)",
                (TOPIC, TOPIC, self._tasks_from if self._tasks_from is not None else -1, TOPIC),
            ).fetchall()
        topics = [str(row[0]) for row in rows]
        ends = {topic: self._log.end_offsets(topic)[0] for topic in topics}
        if TOPIC in ends:
            self._take_tasks()
        found: list[Batch] = []
        for topic in topics:
            found += self._of_topic(topic, ends[topic], limit - len(found), without)
        return found

    def _of_topic(self, topic: str, end: int, limit: int, without: Sequence[uuid.UUID]) -> list[Batch]:
        with self._database.system() as connection:
            taken = connection.execute(
                "UPDATE object_subscriptions s SET claimed_until = clock_timestamp() + make_interval(secs => %s) "
                "FROM (SELECT ctid FROM object_subscriptions WHERE topic = %s AND next_offset < %s "
                "AND (claimed_until IS NULL OR claimed_until < clock_timestamp()) AND team_id <> ALL(%s::uuid[]) "
                "ORDER BY next_offset LIMIT %s FOR UPDATE SKIP LOCKED) d WHERE s.ctid = d.ctid "
                "RETURNING s.team_id, s.type, s.key, s.event_type, s.method, s.next_offset",
                (CLAIM_SECONDS, topic, end, list(without), limit),
            ).fetchall()
            found = []
            for team, kind, key, prefix, method, start in taken:
                events = connection.execute(
                    "SELECT log_offset, body FROM event_log WHERE topic = %s AND log_offset >= %s AND log_offset < %s "
                    "AND team_id = %s AND starts_with(body ->> 'type', %s) ORDER BY log_offset LIMIT %s",
                    (topic, start, end, team, prefix, BATCH),
                ).fetchall()
                last = events[-1][0] + 1 if len(events) == BATCH else end
                heard = tuple(Heard(offset, json.dumps(_told(body))) for offset, body in events)
                found.append(Batch(Address(team, kind, key), topic, method, heard, last))
        return found

    def advance(self, batch: Batch) -> None:
        """Gives a subscription back, past events that were not for it. All of the batch was told."""
        with self._database.system() as connection:
            connection.execute(
                "UPDATE object_subscriptions SET claimed_until = NULL, next_offset = greatest(next_offset, %s) "
                "WHERE (team_id, type, key, topic) = (%s, %s, %s, %s)",
                (batch.end, batch.address.team, batch.address.type, batch.address.key, batch.topic),
            )

    def give_back(self, batch: Batch) -> None:
        """Gives a subscription back where it is: only some of the batch was told."""
        with self._database.system() as connection:
            connection.execute(
                "UPDATE object_subscriptions SET claimed_until = NULL "
                "WHERE (team_id, type, key, topic) = (%s, %s, %s, %s)",
                (batch.address.team, batch.address.type, batch.address.key, batch.topic),
            )

    def failed(self, batch: Batch, event: Heard, reason: str, counts: bool) -> bool:
        """Notes that an event could not be told. The sixth time it becomes a dead letter of the object's, and True is
        returned: the next event may follow."""
        address = batch.address
        which = (address.team, address.type, address.key, batch.topic)
        with self._database.system() as connection:
            row = connection.execute(
                "UPDATE object_subscriptions SET tries = tries + %s, last_error = %s, "
                "claimed_until = clock_timestamp() + make_interval(secs => CASE WHEN %s THEN 2 ^ (tries + 1) ELSE 1 "
                "END) WHERE (team_id, type, key, topic) = (%s, %s, %s, %s) RETURNING tries",
                (int(counts), reason[:1000], counts, *which),
            ).fetchone()
            if row is None:
                return True
            if row[0] < TRIES:
                return False
            connection.execute(
                "INSERT INTO object_alarms (team_id, type, key, name, kind, due_at, method, argument, state, tries, "
                "next_try_at, last_error) VALUES (%s, %s, %s, %s, 'message', clock_timestamp(), %s, %s, 'dead', %s, "
                "clock_timestamp(), %s) ON CONFLICT DO NOTHING",
                (*which[:3], f"event:{batch.topic}:{event.offset}", batch.method, event.argument, TRIES, reason[:1000]),
            )
            connection.execute(
                "UPDATE object_subscriptions SET next_offset = %s, tries = 0 "
                "WHERE (team_id, type, key, topic) = (%s, %s, %s, %s)",
                (event.offset + 1, *which),
            )
        return True

    # tasks

    def _take_tasks(self) -> None:
        """Starts the tasks that objects ask for. An event that is read again starts nothing: it is the delivery's
        id."""
        if self._tasks_from is None:
            with self._database.system() as connection:
                row = connection.execute(
                    "SELECT next_offset FROM log_groups WHERE consumer_group = %s AND topic = %s", (GROUP, TOPIC)
                ).fetchone()
            self._tasks_from = int(row[0]) if row else 0
        while True:
            batch = self._log.read(TOPIC, {0: self._tasks_from}, limit=BATCH)
            for record in batch.records:
                if record.event.type == TASK_REQUESTED:
                    self._start_task(record.event)
            after = batch.next_offsets[0]
            if after == self._tasks_from:
                return
            self._tasks_from = after
            self._log.commit_group(GROUP, TOPIC, batch.next_offsets)

    def _start_task(self, event: Event) -> None:
        data: Mapping[str, Any] = event.data
        thing = data.get("object", {})
        intent = TaskIntent(
            Target(name=str(data.get("source"))),
            title=str(data.get("title")),
            body=str(data.get("body", "")),
            author=f"object {thing.get('type')}/{thing.get('key')}"[:200],
        )
        delivery = Delivery("object", event.id.removeprefix("object:"), "task", bytes(32))
        with self._database.team(event.teamid) as connection:
            try:
                receive(connection, self._log, event.teamid, delivery, intent)
            except (Overloaded, UnknownSource):  # no backlog is given, and an unknown source is recorded as ignored
                return


def _told(body: Mapping[str, Any]) -> dict[str, Any]:
    """What an object is told of an event."""
    return {name: body.get(name) for name in ("id", "type", "subject", "time", "source", "data")}
