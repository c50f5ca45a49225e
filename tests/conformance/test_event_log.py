"""Every adapter of the event log keeps every promise: the same checks against Postgres, Kafka, and both relayed."""

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from core.conformance import ConformanceFailure
from core.database import Database
from core.eventlog import conformance
from core.eventlog.conformance import CHECKS, Check
from core.eventlog.kafka import KafkaLog
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import Batch, EventLog
from core.eventlog.relay import Relay
from core.eventlog.relayed import RelayedLog


def each(*checks: Check) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("check", checks, ids=lambda check: check.__name__.removeprefix("check_"))


# Those in which the relay takes part; the rest would ask Kafka the same again.
RELAYED = (
    conformance.check_order_per_key,
    conformance.check_long_poll_wakes,
    conformance.check_many_writers,
    conformance.check_killed_writer,
    conformance.check_large_event,
    conformance.check_repeated_event,
)


class OpenPostgres:
    """Opens the Postgres log; picklable, and closes the pools that it opened here."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.databases: list[Database] = []

    def __call__(self) -> PostgresLog:
        self.databases.append(Database(self.url))
        return PostgresLog(self.databases[-1])

    def close(self) -> None:
        for database in self.databases:
            database.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "databases": []}


class OpenRelayed:
    def __init__(self, postgres: OpenPostgres, bootstrap: str) -> None:
        self.postgres = postgres
        self.bootstrap = bootstrap

    def __call__(self) -> RelayedLog:
        return RelayedLog(self.postgres(), KafkaLog(self.bootstrap))


@pytest.fixture
def open_postgres(database_url: str) -> Iterator[OpenPostgres]:
    opener = OpenPostgres(database_url)
    yield opener
    opener.close()


@each(*CHECKS)
def test_postgres_log(check: Check, open_postgres: OpenPostgres) -> None:
    check(open_postgres)


@each(*CHECKS)
def test_kafka_log(check: Check, kafka: Any) -> None:
    check(partial(KafkaLog, kafka.bootstrap))


class EveryTopic(Relay):
    """A relay of all topics in the database, since each check makes its own."""

    def step(self) -> int:
        with self._database.system() as connection:
            rows = connection.execute("SELECT topic FROM log_topics WHERE topic LIKE 'conformance.%'").fetchall()
        self._topics = tuple(row[0] for row in rows)
        return super().step()


@pytest.fixture
def relay(database: Database, kafka: Any) -> Iterator[None]:
    stop = threading.Event()
    target = KafkaLog(kafka.bootstrap)
    thread = threading.Thread(target=EveryTopic(database, target, topics=()).run, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()
    target.close()


@each(*RELAYED)
def test_postgres_log_relayed_to_kafka(check: Check, open_postgres: OpenPostgres, relay: None, kafka: Any) -> None:
    check(OpenRelayed(open_postgres, kafka.bootstrap))


class Skipping(PostgresLog):
    """Loses the second event of every read: a log that the checks must not let pass."""

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        batch = super().read(topic, offsets, limit=limit, wait=wait)
        return Batch(batch.records[:1] + batch.records[2:], batch.next_offsets)


@each(conformance.check_resume, conformance.check_many_writers)
def test_a_log_that_skips_events_does_not_conform(
    check: Callable[[Callable[[], EventLog]], None], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.eventlog.conformance.ARRIVES_WITHIN", 1.0)
    with pytest.raises(ConformanceFailure):
        check(lambda: Skipping(database))
