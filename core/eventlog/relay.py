"""The relay: moves events from Postgres to Kafka in order, and is the only one that appends to Kafka.

A position in Postgres records how much of each topic Kafka has acknowledged; it moves after the
acknowledgement. So a relay that is killed, at any instant, at worst repeats events, which readers
drop by event id. Run it as `python -m core.eventlog.relay`.
"""

import logging
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from core.database import Database
from core.eventlog.postgres import PARTITION, PostgresLog
from core.eventlog.protocol import EventLog, EventLogUnavailable, UnknownTopic, Unreadable
from core.eventlog.session import Session
from core.events import TOPICS, Event
from core.heartbeats import heartbeat
from core.logs import configure
from core.settings import SettingsError, load_settings

BATCH = 500
WAIT_SECONDS = 0.25
STANDBY_SECONDS = 1.0
FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0

_MOVED = """
INSERT INTO relay_positions (topic, next_offset) VALUES (%s, %s)
ON CONFLICT (topic) DO UPDATE SET next_offset = excluded.next_offset, updated_at = now()
"""

_LOCK = 0x72656C6179  # "relay": any constant, the same in every version

_logger = logging.getLogger("core.eventlog.relay")


class Relay:
    """Moves `topics` from `source` to `target`. Any number may run; one at a time is active, the others stand by.

    Even two active relays (the first was suspended for so long that its database connection was closed) at
    worst repeat events: each moves every event from an acknowledged position on.
    """

    def __init__(
        self, database: Database, target: EventLog, *, topics: Sequence[str] = TOPICS, batch: int = BATCH
    ) -> None:
        self._database = database
        self._source = PostgresLog(database)
        self._target = target
        self._topics = tuple(topics)
        self._batch = batch
        self._session: Session | None = None

    @property
    def active(self) -> bool:
        """Whether this relay holds the lock that makes it the active one."""
        return self._session is not None

    def acquire(self) -> bool:
        """Becomes the active relay, unless another one is. The lock ends with this relay's connection."""
        if self._session is None:
            session = Session(self._database.url)
            row = session.connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if row is None or not row[0]:
                session.close()
                return False
            session.listen()
            self._session = session
        return True

    def release(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def step(self) -> int:
        """Moves one batch of each topic, and returns how many events were moved, 0 if another relay is active.
        Raises `EventLogUnavailable` when either log cannot be reached: nothing is lost, call it again."""
        try:
            if not self.acquire() or self._session is None:
                return 0
            return self._move(self._session.connection)
        except psycopg.Error as error:
            self.release()
            raise EventLogUnavailable(f"the relay lost its database: {error}") from error

    def _move(self, connection: Connection[TupleRow]) -> int:
        stored: dict[str, int] = dict(connection.execute("SELECT topic, next_offset FROM relay_positions").fetchall())
        events: list[tuple[str, Event]] = []
        reached: list[tuple[str, int]] = []
        stuck: Unreadable | None = None
        for topic in self._topics:
            batch = self._source.read(topic, {PARTITION: stored[topic]} if topic in stored else {}, limit=self._batch)
            end = batch.next_offsets[PARTITION]
            if batch.unreadable:
                stuck = batch.unreadable[0]
                end = stuck.offset
            events += [(topic, record.event) for record in batch.records if record.offset < end]
            if end != stored.get(topic):
                reached.append((topic, end))
        if events:
            self._target.append(events)
        if reached:
            with connection.cursor() as cursor:
                cursor.executemany(_MOVED, reached)
        if stuck and not events:
            raise EventLogUnavailable(
                f"the event at offset {stuck.offset} of {stuck.topic} cannot be read by this version, and nothing "
                f"after it is moved: upgrade the relay, or repair the row in event_log ({stuck.reason})"
            )
        return len(events)

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Creates missing topics, then moves events as they arrive until `stop` is set. Retries an unreachable log
        after growing delays of up to `LONGEST_DELAY` seconds. Calls `beat` in each round."""
        delay = FIRST_DELAY
        prepared = False
        while not stop.is_set():
            beat()
            try:
                if not prepared:
                    self._source.ensure_topics(self._topics)
                    self._target.ensure_topics(self._topics)
                    prepared = True
                moved = self.step()
                if moved:
                    _logger.debug("moved %d events", moved)
                elif self._session is None:
                    stop.wait(STANDBY_SECONDS)
                else:
                    self._wait(self._session)
                delay = FIRST_DELAY
            except (EventLogUnavailable, UnknownTopic) as error:
                prepared = prepared and not isinstance(error, UnknownTopic)
                _logger.warning("trying again in %.1f s: %s", delay, error)
                stop.wait(delay * random.uniform(0.8, 1.2))  # noqa: S311
                delay = min(delay * 2, LONGEST_DELAY)
        self.close()

    def _wait(self, session: Session) -> None:
        try:
            session.wait(WAIT_SECONDS)
        except psycopg.Error as error:
            self.release()
            raise EventLogUnavailable(f"the relay lost its database: {error}") from error

    def close(self) -> None:
        self.release()
        self._source.close()


def main() -> int:
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"relay: {error}", file=sys.stderr)  # noqa: T201  logs are not set up yet
        return 2
    if settings.database_url is None:
        print(  # noqa: T201
            "relay: setting 'database_url' is unset: `penstock up` starts the relay together with the embedded "
            "database; to start it alone, set PENSTOCK_DATABASE_URL",
            file=sys.stderr,
        )
        return 2
    from core.eventlog.kafka_settings import kafka_log

    configure(settings.log_level, "penstock-relay", json=settings.log_format == "json")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        kafka = kafka_log(settings)
    except ValueError as error:
        print(f"relay: {error}", file=sys.stderr)  # noqa: T201
        return 2
    database = Database(settings.database_url.get_secret_value(), max_size=2)
    try:
        Relay(database, kafka).run(stop, heartbeat())
    except ValueError as error:
        print(f"relay: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        kafka.close()
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
