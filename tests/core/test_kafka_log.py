"""What the Kafka log promises beyond the conformance suite: brokers that are down, foreign records, lost offsets."""

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from core.database import Database
from core.eventlog import PostgresLog, open_log
from core.eventlog.kafka import KafkaLog
from core.eventlog.kafka_writer import _pieces
from core.eventlog.protocol import EventLogUnavailable, UnknownTopic
from core.eventlog.relayed import RelayedLog
from core.events import Event
from core.settings import Settings

Call = Callable[[KafkaLog, str], object]

CALLS: dict[str, Call] = {
    "read": lambda log, topic: log.read(topic, {}, wait=0.1),
    "append": lambda log, topic: log.append([(topic, event("late"))]),
    "end_offsets": lambda log, topic: log.end_offsets(topic),
    "ensure_topics": lambda log, topic: log.ensure_topics([topic]),
    "commit_group": lambda log, topic: log.commit_group("group", topic, {0: 1}),
    "lag": lambda log, topic: log.lag("group", topic),
}


def event(name: str, subject: str = "source", **data: object) -> Event:
    return Event(id=name, source="/test", type="test", subject=subject, data=data)


@pytest.fixture
def log(kafka: Any) -> Iterator[KafkaLog]:
    log = KafkaLog(kafka.bootstrap, timeout=5)
    yield log
    log.close()


@pytest.fixture
def topic(log: KafkaLog) -> str:
    topic = f"test.{uuid.uuid4().hex}"
    log.ensure_topics([topic])
    return topic


@pytest.fixture
def admin(kafka: Any) -> Iterator[Any]:
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        yield admin


@pytest.mark.parametrize("name", CALLS)
def test_a_broker_that_is_not_running_is_reported_within_the_timeout(name: str) -> None:
    log = KafkaLog("127.0.0.1:9", timeout=0.5)
    threads = set(threading.enumerate())
    began = time.monotonic()
    with pytest.raises(EventLogUnavailable, match=r"127\.0\.0\.1:9"):
        CALLS[name](log, "penstock.tasks")
    assert time.monotonic() - began < 60
    assert set(threading.enumerate()) <= threads
    log.close()


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL"])
def test_a_broker_that_accepts_connections_and_never_answers_is_reported_within_the_timeout(security: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        log = KafkaLog(address, timeout=0.5, client={"security_protocol": security})
        with pytest.raises(EventLogUnavailable, match=address):
            log.end_offsets("penstock.tasks")
        log.close()


def test_a_large_append_goes_out_in_runs_that_fit_a_batch_and_stay_in_order() -> None:
    messages = [("topic", b"key", bytes(size)) for size in (5, 400_000, 600_000, 2_000_000, 7, 1 << 20, 0, 0)]
    runs = list(_pieces(messages))
    assert [message for run in runs for message in run] == messages
    assert [len(run) for run in runs] == [3, 1, 1, 1, 2]
    assert list(_pieces([])) == []


def test_a_broker_that_hangs_is_reported_by_every_call_and_used_again_when_it_is_back(kafka: Any, topic: str) -> None:
    log = KafkaLog(kafka.bootstrap, timeout=1.0)
    _until_it_works(lambda: log.append([(topic, event("first"))]))
    offsets = log.read(topic, {}, wait=5).next_offsets
    log.read(topic, offsets, wait=0.1)
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        for name in ("read", "append", "commit_group", "lag"):
            began = time.monotonic()
            with pytest.raises(EventLogUnavailable):
                CALLS[name](log, topic)
            assert time.monotonic() - began < 60, name
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    _until_it_works(lambda: log.append([(topic, event("second"))]))
    seen = []
    while "second" not in seen:
        batch = log.read(topic, offsets, wait=5)
        seen += [record.event.id for record in batch.records]
        offsets = batch.next_offsets
    assert set(seen) <= {"late", "second"}
    log.close()


def _until_it_works(call: Callable[[], object]) -> None:
    for _ in range(20):
        try:
            call()
            return
        except EventLogUnavailable:
            time.sleep(0.2)
    call()


def test_events_are_written_as_cloudevents_keyed_by_team_and_subject(log: KafkaLog, topic: str, kafka: Any) -> None:
    sent = event("e", subject="acme/shop", n=1)
    log.append([(topic, sent)])
    partition = log.read(topic, {}, wait=5).records[0].partition
    place = TopicPartition(topic, partition)
    with KafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([place])
        [message] = consumer.poll(10_000)[place]
    assert message.key == f"{sent.teamid}/acme/shop".encode()
    assert list(message.headers) == [("content-type", b"application/cloudevents+json; charset=utf-8")]
    assert json.loads(message.value)["specversion"] == "1.0"


def test_a_record_that_is_not_an_event_is_reported_and_skipped(log: KafkaLog, topic: str, kafka: Any) -> None:
    log.append([(topic, event("before"))])
    partition = log.read(topic, {}, wait=5).records[0].partition
    with KafkaProducer(bootstrap_servers=kafka.bootstrap) as foreign:
        for value in (b"\xff not JSON", None):
            foreign.send(topic, key=b"key", value=value, partition=partition).get(10)
    log.append([(topic, event("after"))])
    seen: list[str] = []
    unreadable: list[tuple[int, int]] = []
    offsets: dict[int, int] = {}
    while "after" not in seen:
        batch = log.read(topic, offsets, wait=5)
        seen += [record.event.id for record in batch.records]
        unreadable += [(bad.partition, bad.offset) for bad in batch.unreadable]
        offsets = dict(batch.next_offsets)
    assert seen == ["before", "after"]
    assert unreadable == [(partition, 1), (partition, 2)]
    assert offsets[partition] == 4


def test_a_recreated_topic_is_read_from_its_start_and_reported(log: KafkaLog, topic: str, admin: Any) -> None:
    log.append([(topic, event(f"old-{i}")) for i in range(5)])
    old = log.read(topic, {}, wait=5).next_offsets
    admin.delete_topics([topic])
    log.forget(topic)
    with pytest.raises(UnknownTopic):
        log.end_offsets(topic)
    log.ensure_topics([topic])
    _until_it_works(lambda: log.append([(topic, event("new"))]))
    fresh = KafkaLog(log._bootstrap, timeout=5)
    batch = fresh.read(topic, old)
    assert batch.resets == {partition: 0 for partition, offset in old.items() if offset}
    while not batch.records:
        batch = fresh.read(topic, batch.next_offsets, wait=5)
    assert [(r.event.id, r.offset) for r in batch.records] == [("new", 0)]
    fresh.close()


def test_events_that_retention_removed_are_reported(log: KafkaLog, topic: str, admin: Any) -> None:
    log.append([(topic, event(f"e{i}")) for i in range(6)])
    records = log.read(topic, {}, wait=5).records
    partition = records[0].partition
    admin.delete_records({TopicPartition(topic, partition): 4})
    batch = log.read(topic, {p: 1 if p == partition else 0 for p in log.partitions(topic)}, wait=5)
    assert batch.resets == {partition: 4}
    assert [(r.event.id, r.offset) for r in batch.records] == [("e4", 4), ("e5", 5)]


def test_a_topic_that_cannot_hold_our_events_is_refused_by_name(log: KafkaLog, admin: Any) -> None:
    name = f"small.{uuid.uuid4().hex}"
    admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    with pytest.raises(ValueError, match=rf"{name} takes messages of up to .* set its max\.message\.bytes"):
        log.ensure_topics([name])


def test_settings_choose_the_log_and_how_topics_are_made(database: Database, kafka: Any, tmp_path: Path) -> None:
    assert isinstance(open_log(Settings(home=tmp_path), database), PostgresLog)
    settings = Settings(home=tmp_path, event_log="kafka", kafka_bootstrap=kafka.bootstrap, kafka_partitions=2)
    log = open_log(settings, database)
    assert isinstance(log, RelayedLog)
    topic = f"test.{uuid.uuid4().hex}"
    log.ensure_topics([topic])
    assert log.end_offsets(topic) == {0: 0, 1: 0}
    log.append([(topic, event("in Postgres first"))])
    assert log.end_offsets(topic) == {0: 0, 1: 0}
    assert log.postgres.end_offsets(topic) == {0: 1}
    log.close()
