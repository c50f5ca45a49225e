"""The relay at every point where it can die: events may repeat in Kafka, none is lost, and order per key holds."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.database import Database
from core.eventlog import relay as relay_module
from core.eventlog.kafka import KafkaLog
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import EventLog, EventLogUnavailable
from core.eventlog.relay import Relay
from core.events import CHANGES, DEFAULT_TEAM, OUTCOMES, TASKS, TOPICS, Event


class Killed(BaseException):
    """Stands for SIGKILL at a chosen point."""


@pytest.fixture
def source(database: Database) -> Iterator[PostgresLog]:
    log = PostgresLog(database)
    yield log
    log.close()


@pytest.fixture
def target(kafka: Any) -> Iterator[KafkaLog]:
    log = KafkaLog(kafka.bootstrap)
    log.ensure_topics()
    yield log
    log.close()


class Received:
    """Reads Kafka from where it stood at the start of a test, dropping repeats by event id as consumers do."""

    def __init__(self, log: EventLog, topics: Sequence[str]) -> None:
        self.log = log
        self.offsets = {topic: log.end_offsets(topic) for topic in topics}
        self.seen: dict[str, list[Event]] = {topic: [] for topic in topics}
        self.repeats = 0
        self._ids: set[tuple[str, str]] = set()

    def read(self, wait: float = 0.0) -> None:
        for topic in self.offsets:
            while True:
                batch = self.log.read(topic, self.offsets[topic], wait=wait)
                self.offsets[topic] = dict(batch.next_offsets)
                for record in batch.records:
                    if (topic, record.event.id) in self._ids:
                        self.repeats += 1
                    else:
                        self._ids.add((topic, record.event.id))
                        self.seen[topic].append(record.event)
                if not batch.records:
                    break

    def check(self, sent: dict[str, list[Event]]) -> None:
        for topic, events in sent.items():
            for subject in {event.subject for event in events}:
                expected = [event.id for event in events if event.subject == subject]
                assert [e.id for e in self.seen[topic] if e.subject == subject] == expected, (topic, subject)


def events(prefix: str, count: int, subjects: int = 7) -> list[Event]:
    return [
        Event(id=f"{prefix}-{i}", source="/test", type="test", subject=f"s{i % subjects}", data={"n": i})
        for i in range(count)
    ]


def drain(relay: Relay) -> None:
    wait_for(relay.acquire)  # the server notices a moment later that the connection of the one before is closed
    while relay.step():
        pass


class DyingTarget(KafkaLog):
    """Dies in its `nth` append at `point`: before it, with half of it in Kafka, or when all of it is acknowledged."""

    point = ""
    nth = 1

    def append(self, pairs: Sequence[tuple[str, Event]]) -> None:
        self.nth -= 1
        if self.nth == 0:
            written = {"before": 0, "half": len(pairs) // 2, "acknowledged": len(pairs)}[self.point]
            super().append(pairs[:written])
            raise Killed
        super().append(pairs)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("point", ["before", "half", "acknowledged"])
def test_a_relay_that_dies_in_an_append_is_followed_by_one_that_loses_nothing(
    point: str, nth: int, database: Database, source: PostgresLog, target: KafkaLog, kafka: Any
) -> None:
    sent = {topic: events(uuid.uuid4().hex, 50) for topic in (TASKS, OUTCOMES)}
    received = Received(target, list(sent))
    source.append([(topic, event) for topic, some in sent.items() for event in some])
    dying = DyingTarget(kafka.bootstrap)
    dying.point, dying.nth = point, nth
    first = Relay(database, dying, batch=20)
    with pytest.raises(Killed):
        drain(first)
    first.close()
    second = Relay(database, target, batch=20)
    drain(second)
    second.close()
    dying.close()
    received.read()
    received.check(sent)
    died_in = (40, 40, 20)[nth - 1]
    assert received.repeats == {"before": 0, "half": died_in // 2, "acknowledged": died_in}[point]


def test_a_position_that_could_not_be_stored_repeats_the_batch(
    database: Database, source: PostgresLog, target: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = {TASKS: events(uuid.uuid4().hex, 30)}
    received = Received(target, [TASKS])
    source.append([(TASKS, event) for event in sent[TASKS]])
    relay = Relay(database, target)
    with monkeypatch.context() as patch:
        patch.setattr(relay_module, "_MOVED", "SELECT 1 / 0, %s, %s")
        with pytest.raises(EventLogUnavailable, match="lost its database"):
            relay.step()
    drain(relay)
    relay.close()
    received.read()
    received.check(sent)
    assert received.repeats == 30


@pytest.mark.timeout(300)
def test_a_relay_process_killed_again_and_again_loses_nothing(
    database: Database, database_url: str, source: PostgresLog, target: KafkaLog, kafka: Any, tmp_path: Path
) -> None:
    sent: dict[str, list[Event]] = {TASKS: events(uuid.uuid4().hex, 1500), CHANGES: events(uuid.uuid4().hex, 1500)}
    received = Received(target, list(sent))
    done = threading.Event()

    def write() -> None:
        for start in range(0, 1500, 10):
            source.append([(topic, event) for topic, some in sent.items() for event in some[start : start + 10]])
            done.wait(0.01)

    writer = threading.Thread(target=write)
    environment = {
        **os.environ,
        "PENSTOCK_HOME": str(tmp_path),
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "PENSTOCK_LOG_LEVEL": "warning",
    }
    writer.start()
    kills = 0
    try:
        while kills < 4:
            before = positions(database)
            process = subprocess.Popen([sys.executable, "-m", "core.eventlog.relay"], env=environment)
            try:
                wait_for(lambda before=before: positions(database) != before or not writer.is_alive())  # type: ignore[misc]
                time.sleep(random.uniform(0, 0.1))  # noqa: S311
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
            kills += 1
        process = subprocess.Popen([sys.executable, "-m", "core.eventlog.relay"], env=environment)
        try:
            writer.join()
            for topic in sent:  # so that it is this process that ends, and not one that has yet to begin
                sent[topic] += events(uuid.uuid4().hex, 1)
                source.append([(topic, sent[topic][-1])])
            wait_for(lambda: positions(database).get(TASKS) == 1501 == positions(database).get(CHANGES))
            process.send_signal(signal.SIGTERM)
            assert process.wait(300) == 0
        finally:
            process.kill()
            process.wait()
    finally:
        done.set()
        writer.join()
    received.read()
    received.check(sent)


def positions(database: Database) -> dict[str, int]:
    with database.system() as connection:
        return dict(connection.execute("SELECT topic, next_offset FROM relay_positions").fetchall())


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.01)


def test_one_relay_is_active_and_another_takes_over_when_its_connection_is_gone(
    database: Database, source: PostgresLog, target: KafkaLog, postgres_server: Any, database_name: str
) -> None:
    sent = {TASKS: events(uuid.uuid4().hex, 40)}
    received = Received(target, [TASKS])
    first, second = Relay(database, target), Relay(database, target)
    source.append([(TASKS, event) for event in sent[TASKS][:20]])
    assert first.step() == 20
    source.append([(TASKS, event) for event in sent[TASKS][20:]])
    assert second.step() == 0
    assert (first.active, second.active) == (True, False)
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database_name,)
        )
    wait_for(second.acquire)
    assert second.step() == 20
    with pytest.raises(EventLogUnavailable):
        first.step()
    assert first.step() == 0
    assert (first.active, second.active) == (False, True)
    first.close()
    second.close()
    received.read()
    received.check(sent)
    assert received.repeats == 0


def test_while_kafka_hangs_events_are_accepted_and_afterwards_all_arrive(
    database: Database, source: PostgresLog, target: KafkaLog, kafka: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "LONGEST_DELAY", 0.4)
    sent = {TASKS: events(uuid.uuid4().hex, 60)}
    received = Received(target, [TASKS])
    hanging = KafkaLog(kafka.bootstrap, timeout=1.0)
    stop = threading.Event()
    relay = Relay(database, hanging)
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    try:
        source.append([(TASKS, event) for event in sent[TASKS][:20]])
        wait_for(lambda: positions(database).get(TASKS) == 20)
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            for start in (20, 40):
                began = time.monotonic()
                source.append([(TASKS, event) for event in sent[TASKS][start : start + 20]])
                assert time.monotonic() - began < 60  # Kafka hangs until the end of this
                time.sleep(1.5)
            assert positions(database)[TASKS] == 20
            assert thread.is_alive()
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        wait_for(lambda: positions(database).get(TASKS) == 60)
    finally:
        stop.set()
        thread.join()
        hanging.close()
    received.read()
    received.check(sent)


def test_a_relay_moves_an_event_as_soon_as_it_is_announced(
    database: Database, source: PostgresLog, target: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "WAIT_SECONDS", 20.0)
    stop = threading.Event()
    relay = Relay(database, target)
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    try:
        wait_for(lambda: relay.active and len(positions(database)) == len(TOPICS))
        for event in events(uuid.uuid4().hex, 3):
            position = positions(database)[OUTCOMES]
            source.append([(OUTCOMES, event)])
            wait_for(lambda position=position: positions(database)[OUTCOMES] == position + 1)  # type: ignore[misc]
    finally:
        stop.set()
        source.append([(OUTCOMES, events(uuid.uuid4().hex, 1)[0])])
        thread.join()


def test_an_event_that_this_version_cannot_read_holds_its_topic_until_it_can(
    database: Database, source: PostgresLog, target: KafkaLog
) -> None:
    sent = {TASKS: events(uuid.uuid4().hex, 3), CHANGES: events(uuid.uuid4().hex, 1)}
    received = Received(target, list(sent))
    source.append([(TASKS, sent[TASKS][0])])
    with database.system() as connection:
        connection.execute(
            "INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body) "
            "VALUES (%s, %s, %s, nextval('log_batches'), 0, 2, '{}')",
            (TASKS, DEFAULT_TEAM, sent[TASKS][1].id),
        )
    source.append([(TASKS, sent[TASKS][2]), (CHANGES, sent[CHANGES][0])])
    relay = Relay(database, target)
    assert relay.step() == 2
    with pytest.raises(EventLogUnavailable, match=r"offset 1 of penstock\.tasks cannot be read"):
        relay.step()
    assert positions(database) | {CHANGES: 1, TASKS: 1} == positions(database)
    with database.system() as connection:
        connection.execute(
            "UPDATE event_log SET body = %s WHERE event_id = %s",
            (sent[TASKS][1].to_json().decode(), sent[TASKS][1].id),
        )
    drain(relay)
    relay.close()
    received.read()
    received.check(sent)


@pytest.mark.parametrize("variable", ["PENSTOCK_DATABASE_URL", "PENSTOCK_SLOTS"])
def test_a_relay_that_is_not_set_up_says_what_is_missing(variable: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PENSTOCK_HOME": str(tmp_path), "PENSTOCK_SLOTS": "1"}
    if variable == "PENSTOCK_SLOTS":
        environment[variable] = "none"
    done = subprocess.run(
        [sys.executable, "-m", "core.eventlog.relay"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("relay: ")
    assert variable in done.stderr
    assert "Traceback" not in done.stderr
