"""The event log compared with direct use of PostgreSQL or Kafka, with the same bytes in the same run.

Events of 500 bytes as JSON, appended and read 500 at a time by one client. "Wake-up" is the time from before the append
until the waiting reader has the event, so it includes a durable commit or acknowledgement.
"""

import importlib.util
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import EventLog
from core.eventlog.relay import Relay
from core.events import CHANGES, OUTCOMES, TASKS, Event
from tests.bench.running import database_server

ROOT = Path(__file__).parents[2]
EVENTS = 20_000
BATCH = 500
WAKES = 40


def measure() -> list[dict[str, Any]]:
    rows = []
    with database_server() as server:
        database = Database(server.url("bench"))
        log = PostgresLog(database)
        rows += _measure_postgres(log, server.url("bench", owner=True))
        kafka = _kafka_script()
        with tempfile.TemporaryDirectory() as folder:
            try:
                broker = kafka.start_kafka(Path(folder) / "kafka", die_with_parent=True)
            except kafka.KafkaMissing as error:
                print(f"event_log: Kafka is left out: {error}", file=sys.stderr)  # noqa: T201
            else:
                rows += _measure_kafka(broker.bootstrap, database, log)
                broker.stop(grace=0)
        log.close()
        database.close()
    return rows


def _measure_postgres(log: PostgresLog, owner_url: str) -> list[dict[str, Any]]:
    events = _events()
    appended = _rate(lambda: _append(log, TASKS, events))
    read = _rate(lambda: _read(log, TASKS))
    again = _rate(lambda: _read(log, TASKS))
    bodies = [event.to_json().decode() for event in events]
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (n bigint PRIMARY KEY, body json NOT NULL)")
        copied = _rate(lambda: _copy(connection, bodies))
        selected = _rate(lambda: _select(connection))
    return [
        _row("PostgresLog append", appended, "events/s", "COPY of the same JSON, a commit each 500", copied),
        _row("PostgresLog first read (gives offsets)", read, "events/s", "SELECT by primary key, unparsed", selected),
        _row("PostgresLog read", again, "events/s", "SELECT by primary key, unparsed", selected),
        _row("PostgresLog wake-up, median", _wake(log, OUTCOMES), "ms", "NOTIFY after an INSERT", _notify(owner_url)),
    ]


def _measure_kafka(bootstrap: str, database: Database, source: PostgresLog) -> list[dict[str, Any]]:
    from core.eventlog.kafka import KafkaLog

    log = KafkaLog(bootstrap)
    log.ensure_topics()
    topic = "bench.raw"
    log.ensure_topics([topic])
    events = _events()
    log.append([(OUTCOMES, events[0])])  # the first append waits for a producer id
    appended = _rate(lambda: _append(log, OUTCOMES, events))
    producer = _producer(bootstrap)
    produced = _rate(lambda: _produce(producer, topic, events))
    read = _rate(lambda: _read(log, OUTCOMES))
    consumed = _rate(lambda: _consume(bootstrap, topic, log.end_offsets(topic)))
    wake = _wake(log, CHANGES)
    raw_wake = _raw_wake(bootstrap, topic, log.end_offsets(topic))
    source.append([(CHANGES, event) for event in events])
    relay = Relay(database, log, topics=[CHANGES])
    relayed = _rate(lambda: _drain(relay))
    relay.close()
    log.close()
    return [
        _row(
            "KafkaLog append", appended, "events/s", "kafka-python producer, uncompressed, flushed each 500", produced
        ),
        _row("KafkaLog read", read, "events/s", "kafka-python consumer, unparsed", consumed),
        _row("KafkaLog wake-up, median", wake, "ms", "kafka-python produce to poll", raw_wake),
        _row("Relay from Postgres to Kafka", relayed, "events/s", "KafkaLog append alone", appended),
    ]


def _row(name: str, value: float, unit: str, against: str, against_value: float) -> dict[str, Any]:
    digits = 2 if unit == "ms" else 0
    return {
        "name": name,
        "value": round(value, digits),
        "unit": unit,
        "against": against,
        "against_value": round(against_value, digits),
        "ratio": round(value / against_value, 2),
    }


def _events(count: int = EVENTS) -> list[Event]:
    """Events of about 500 bytes with words and random ids like a webhook's, so that they compress like one."""
    chance = random.Random(0)  # noqa: S311
    words = Path(__file__).read_text(encoding="utf-8").split()
    run = uuid.uuid4().hex
    events = []
    for number in range(count):
        ids = {"task": chance.randbytes(16).hex(), "delivery": chance.randbytes(16).hex()}
        title = " ".join(chance.choices(words, k=40))
        bare = _event(run, number, {**ids, "title": ""})
        events.append(_event(run, number, {**ids, "title": title[: 500 - len(bare.to_json())]}))
    return events


def _event(run: str, number: int, data: dict[str, str]) -> Event:
    return Event(id=f"{run}-{number:06}", source="/bench", type="bench", subject=f"s{number % 50:02}", data=data)


def _rate(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return EVENTS / (time.perf_counter() - began)


def _append(log: EventLog, topic: str, events: list[Event]) -> None:
    for start in range(0, len(events), BATCH):
        log.append([(topic, event) for event in events[start : start + BATCH]])


def _read(log: EventLog, topic: str) -> None:
    offsets: Mapping[int, int] = {}
    seen = 0
    while seen < EVENTS:
        batch = log.read(topic, offsets, limit=BATCH, wait=5)
        seen += len(batch.records)
        offsets = batch.next_offsets


def _drain(relay: Relay) -> None:
    while relay.step():
        pass


def _wake(log: EventLog, topic: str) -> float:
    offsets = log.end_offsets(topic)
    times = []
    for event in _events(WAKES):
        began: list[float] = []

        def append(event: Event = event, began: list[float] = began) -> None:
            time.sleep(0.05)
            began.append(time.perf_counter())
            log.append([(topic, event)])

        thread = threading.Thread(target=append)
        thread.start()
        batch = log.read(topic, offsets, wait=10)
        woken = time.perf_counter()
        thread.join()
        times.append(woken - began[0])
        offsets = dict(batch.next_offsets)
    return statistics.median(times) * 1000


def _copy(connection: psycopg.Connection[Any], bodies: list[str]) -> None:
    for start in range(0, len(bodies), BATCH):
        with connection.cursor() as cursor, cursor.copy("COPY bare (n, body) FROM STDIN") as copy:
            for number, body in enumerate(bodies[start : start + BATCH], start):
                copy.write_row((number, body))


def _select(connection: psycopg.Connection[Any]) -> None:
    for start in range(0, EVENTS, BATCH):
        connection.execute(
            "SELECT n, body::text FROM bare WHERE n >= %s ORDER BY n LIMIT %s", (start, BATCH), prepare=True
        ).fetchall()


def _notify(owner_url: str) -> float:
    times = []
    with (
        psycopg.connect(owner_url, autocommit=True) as listener,
        psycopg.connect(owner_url, autocommit=True) as writer,
    ):
        listener.execute("LISTEN bench")
        for number in range(WAKES):
            began: list[float] = []

            def insert(number: int = number, began: list[float] = began) -> None:
                time.sleep(0.05)
                began.append(time.perf_counter())
                with writer.transaction():
                    writer.execute("INSERT INTO bare VALUES (%s, '{}')", (EVENTS + number,))
                    writer.execute("NOTIFY bench")

            thread = threading.Thread(target=insert)
            thread.start()
            list(listener.notifies(timeout=10, stop_after=1))
            woken = time.perf_counter()
            thread.join()
            times.append(woken - began[0])
    return statistics.median(times) * 1000


def _producer(bootstrap: str) -> Any:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2)
    producer.send("bench.raw", b"the first one waits for a producer id").get(30)
    return producer


def _produce(producer: Any, topic: str, events: list[Event]) -> None:
    bodies = [(event.subject.encode(), event.to_json()) for event in events]
    for start in range(0, len(bodies), BATCH):
        for key, body in bodies[start : start + BATCH]:
            producer.send(topic, body, key)
        producer.flush(30)


def _consumer(bootstrap: str, topic: str, offsets: Mapping[int, int]) -> Any:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    consumer.assign([TopicPartition(topic, partition) for partition in offsets])
    for partition, offset in offsets.items():
        consumer.seek(TopicPartition(topic, partition), offset)
    return consumer


def _consume(bootstrap: str, topic: str, ends: Mapping[int, int]) -> None:
    with _consumer(bootstrap, topic, dict.fromkeys(ends, 0)) as consumer:
        seen = 0
        while seen < EVENTS:
            seen += sum(len(messages) for messages in consumer.poll(1_000, max_records=BATCH).values())


def _raw_wake(bootstrap: str, topic: str, ends: Mapping[int, int]) -> float:
    producer = _producer(bootstrap)
    times = []
    with _consumer(bootstrap, topic, ends) as consumer:
        consumer.poll(5_000)
        for _ in range(WAKES):
            began: list[float] = []

            def produce(began: list[float] = began) -> None:
                time.sleep(0.05)
                began.append(time.perf_counter())
                producer.send(topic, b"x" * 500).get(10)

            thread = threading.Thread(target=produce)
            thread.start()
            consumer.poll(10_000)
            woken = time.perf_counter()
            thread.join()
            times.append(woken - began[0])
    producer.close()
    return statistics.median(times) * 1000


def _kafka_script() -> Any:
    name = "script_deploy_dev_kafka_broker"
    specification = importlib.util.spec_from_file_location(name, ROOT / "deploy/dev/kafka_broker.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
