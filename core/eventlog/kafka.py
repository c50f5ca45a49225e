"""The event log in Apache Kafka, for production: partitions by team and subject, replicated by the brokers.

Only the relay appends here; everything else appends to Postgres. Reading is by explicit assignment from
the reader's own offsets; consumer groups only mirror them. Every call to a broker has a time limit.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from core.eventlog.kafka_group import KafkaGroup
from core.eventlog.kafka_producing import NotAcknowledged, produce
from core.eventlog.kafka_reader import KafkaReader
from core.eventlog.protocol import (
    MAX_EVENT_BYTES,
    Batch,
    EventLogUnavailable,
    EventRefused,
    Guarantees,
    UnknownTopic,
    encode,
)
from core.events import TOPICS, Event

MAX_MESSAGE_BYTES = MAX_EVENT_BYTES + (64 << 10)
"""What topics, producers and consumers take: an event with its key, headers and the batch around it."""

_METADATA_SECONDS = 60.0
_IDLE_READERS = 4
_logger = logging.getLogger("core.eventlog.kafka")
_inherited: list[object] = []
"""Clients of the parent of a fork: their threads are not here, so they can be neither used nor closed."""


class KafkaLog:
    """The log of one Kafka cluster. Nothing connects before the first use; safe to use from several threads.

    `timeout` bounds each exchange with the brokers, in seconds. `client` holds more librdkafka settings
    (TLS, SASL), for every client. New topics get `partitions` and `replication`.
    """

    guarantees = Guarantees(atomic=False, deduplicates=False)

    def __init__(
        self,
        bootstrap: str,
        *,
        partitions: int = 3,
        replication: int = 1,
        timeout: float = 10.0,
        client: Mapping[str, str] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._new_partitions = partitions
        self._replication = replication
        self._timeout = timeout
        self._client = dict(client or {})
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._admin_client: AdminClient | None = None
        self._producer: Producer | None = None
        self._readers: list[KafkaReader] = []
        self._groups: dict[str, KafkaGroup] = {}
        self._known: dict[str, tuple[float, tuple[int, ...]]] = {}
        self._mistrust = ""

    def ensure_topics(self, topics: Sequence[str] = TOPICS) -> None:
        config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        if self._replication > 2:
            config["min.insync.replicas"] = "2"
        wanted = [NewTopic(t, self._new_partitions, self._replication, config=config) for t in sorted(set(topics))]
        if not wanted:
            return
        existing = []
        created = self._admin().create_topics(
            wanted, operation_timeout=self._timeout, request_timeout=self._timeout, validate_only=False
        )
        for topic, future in created.items():
            try:
                self._result(future, f"create topic {topic}")
            except _AlreadyExists:
                existing.append(topic)
        self._check_size(existing)
        deadline = time.monotonic() + self._timeout
        for topic in sorted(set(topics)):
            while True:
                try:
                    self.end_offsets(topic)  # answered by the leader of each partition
                    break
                except (UnknownTopic, EventLogUnavailable):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def _check_size(self, topics: Sequence[str]) -> None:
        if not topics:
            return
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        for resource, future in self._admin().describe_configs(resources, request_timeout=self._timeout).items():
            entries = self._result(future, f"read the settings of topic {resource.name}")
            most = int(entries["max.message.bytes"].value)
            if most < MAX_MESSAGE_BYTES:
                raise ValueError(
                    f"Kafka topic {resource.name} takes messages of up to {most:,} bytes; events need "
                    f"{MAX_MESSAGE_BYTES:,}: set its max.message.bytes"
                )

    def append(self, events: Sequence[tuple[str, Event]]) -> None:
        """Returns when every event has been acknowledged by all in-sync replicas. On `EventLogUnavailable`
        some may have been written: append them all again, in the same order, and readers that drop
        repeats by id see each event once and in order."""
        messages = [(topic, f"{e.teamid}/{e.subject}".encode(), encode(topic, e)) for topic, e in events]
        for topic in {topic for topic, _, _ in messages}:
            self.partitions(topic)
        deadline = time.monotonic() + self._timeout
        producer = self._shared_producer()
        try:
            produce(producer, messages, deadline)
        except (KafkaException, NotAcknowledged, BufferError) as error:
            self._discard(producer)
            for topic, _, _ in messages:
                self.forget(topic)
            raise self._explain(error, "append") from error

    def _discard(self, producer: Producer) -> None:
        """Drops what the producer still holds. Its messages have no time limit of their own, so none was given
        up while a later one went out: what Kafka has is a prefix of each partition's messages."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
        producer.purge(in_queue=True, in_flight=True, blocking=False)
        producer.poll(0)

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        if limit < 1:
            raise ValueError(f"limit {limit}: a read takes at least one event")
        positions = {p: offsets[p] for p in self.partitions(topic) if p in offsets}
        missing = [p for p in self.partitions(topic) if p not in offsets]
        if missing:
            positions |= self.first_offsets(topic, missing)
        reader = self._take(topic, positions)
        try:
            batch = reader.read(positions, limit, wait)
        except BaseException as error:
            reader.close()
            if isinstance(error, KafkaException):
                raise self._explain(error, f"read topic {topic}") from error
            raise
        self._give(reader)
        return batch

    def _take(self, topic: str, positions: Mapping[int, int]) -> KafkaReader:
        """An idle reader of the topic, best one that stands at these positions; else a new one."""
        with self._lock:
            self._after_fork()
            idle = [reader for reader in self._readers if reader.topic == topic]
            idle.sort(key=lambda reader: reader.positions != positions)
            if idle:
                self._readers.remove(idle[0])
                return idle[0]
        return KafkaReader(self, topic, self._configured({}), self._timeout)

    def _give(self, reader: KafkaReader) -> None:
        with self._lock:
            self._readers.append(reader)
            surplus = self._readers.pop(0) if len(self._readers) > _IDLE_READERS else None
        if surplus:
            surplus.close()

    def partitions(self, topic: str) -> tuple[int, ...]:
        """The topic's partitions, as of a minute ago at most. Raises `UnknownTopic`."""
        known = self._known.get(topic)
        if known and known[0] > time.monotonic():
            return known[1]
        found = tuple(sorted(p.id for p in self._describe(topic).partitions))
        self._known[topic] = (time.monotonic() + _METADATA_SECONDS, found)
        return found

    def forget(self, topic: str) -> None:
        """Asks the brokers again, the next time, which partitions the topic has."""
        self._known.pop(topic, None)

    def _describe(self, topic: str) -> Any:
        with self._unknown_as(topic):
            described = self._admin().describe_topics(TopicCollection([topic]), request_timeout=self._timeout)
            return self._result(described[topic], f"describe topic {topic}")

    def end_offsets(self, topic: str) -> dict[int, int]:
        return self._offsets(topic, self.partitions(topic), OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def first_offsets(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """The earliest offsets kept."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def _offsets(self, topic: str, partitions: Sequence[int], spec: OffsetSpec) -> dict[int, int]:
        asked = {TopicPartition(topic, partition): spec for partition in partitions}
        with self._unknown_as(topic):
            found = self._admin().list_offsets(asked, request_timeout=self._timeout)
            offsets = {tp.partition: self._result(f, f"ask offsets of {topic}").offset for tp, f in found.items()}
        if any(offset < 0 for offset in offsets.values()):  # how librdkafka says that a broker did not answer
            raise EventLogUnavailable(f"Kafka at {self._bootstrap} did not give the offsets of {topic}: {offsets}")
        return offsets

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        if offsets:
            with self._unknown_as(topic), self._group(group) as consumer:
                consumer.commit(topic, offsets)

    def lag(self, group: str, topic: str) -> dict[int, int]:
        partitions = self.partitions(topic)
        with self._unknown_as(topic), self._group(group) as consumer:
            committed = consumer.committed(topic, partitions)
        first, end = self.first_offsets(topic, partitions), self.end_offsets(topic)
        return {p: max(0, end[p] - max(first[p], committed[p])) for p in partitions}

    @contextmanager
    def _group(self, group: str) -> Iterator[KafkaGroup]:
        with self._lock:
            self._after_fork()
            consumer = self._groups.get(group)
            if consumer is None:
                consumer = self._groups[group] = KafkaGroup(
                    group, self._configured({"error_cb": self._heard}), self._timeout
                )
        try:
            yield consumer
        except KafkaException as error:
            with self._lock:
                if self._groups.get(group) is consumer:
                    del self._groups[group]
            consumer.close()
            raise self._explain(error, f"keep the offsets of group {group}") from error

    def close(self) -> None:
        with self._lock:
            self._after_fork()
            consumers: list[KafkaReader | KafkaGroup] = [*self._readers, *self._groups.values()]
            self._readers, self._groups = [], {}
            producer, self._producer, self._admin_client = self._producer, None, None
        for consumer in consumers:
            consumer.close()
        if producer is not None:
            producer.flush(self._timeout)

    def _configured(self, own: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._bootstrap,
            "client.id": "penstock",
            "socket.timeout.ms": int(self._timeout * 1000),
            "socket.connection.setup.timeout.ms": int(min(max(self._timeout, 1), 10) * 1000),
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 2,  # what goes wrong comes out of the calls; its own log repeats it many times a second
            **own,
            **self._client,
        }

    def _admin(self) -> AdminClient:
        with self._lock:
            self._after_fork()
            if self._admin_client is None:
                self._admin_client = AdminClient(self._configured({"error_cb": self._heard}))
            return self._admin_client

    def _shared_producer(self) -> Producer:
        with self._lock:
            self._after_fork()
            if self._producer is None:
                self._producer = Producer(
                    self._configured(
                        {
                            "error_cb": self._heard,
                            "acks": "all",
                            "enable.idempotence": True,
                            "message.timeout.ms": 0,
                            "message.max.bytes": MAX_MESSAGE_BYTES,
                            "partitioner": "murmur2_random",
                            "linger.ms": 2,
                        }
                    )
                )
            return self._producer

    def _heard(self, error: KafkaError) -> None:
        """Calls only time out when brokers and we don't trust each other; why is heard here."""
        _logger.info("%s", error)
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED):
            self._mistrust = f" ({error.str()})"

    def _why(self) -> str:
        client = self._admin_client
        if client is not None and self._pid == os.getpid():
            client.poll(0)  # what it has heard is told when it is asked
        return self._mistrust

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            _inherited.extend([self._admin_client, self._producer, *self._readers, *self._groups.values()])
            self._admin_client, self._producer, self._pid = None, None, os.getpid()
            self._readers, self._groups = [], {}

    def _result(self, future: "Future[Any]", doing: str) -> Any:
        try:
            found = future.result(timeout=self._timeout + 5)
            self._mistrust = ""
            return found
        except KafkaException as error:
            raise self._explain(error, doing) from error
        except TimeoutError as error:
            raise EventLogUnavailable(
                f"Kafka at {self._bootstrap} did not {doing} within {self._timeout} s{self._mistrust}"
            ) from error

    @contextmanager
    def _unknown_as(self, topic: str) -> Iterator[None]:
        try:
            yield
        except _Unknown as error:
            self.forget(topic)
            raise UnknownTopic(f"Kafka has no topic {topic!r}; `ensure_topics` creates it") from error

    def _explain(self, error: Exception, doing: str) -> Exception:
        code = error.args[0].code() if isinstance(error, KafkaException) else None
        text = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        message = f"Kafka at {self._bootstrap} could not {doing}: {text}{self._why()}"
        if code == KafkaError.TOPIC_ALREADY_EXISTS:
            return _AlreadyExists(message)
        if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
            return _Unknown(message)
        if code in (KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.TOPIC_EXCEPTION, KafkaError.INVALID_PARTITIONS):
            return ValueError(message)
        if code == KafkaError.MSG_SIZE_TOO_LARGE:
            return EventRefused(f"{message}: set max.message.bytes of the topic to {MAX_MESSAGE_BYTES}")
        return EventLogUnavailable(message)


class _AlreadyExists(Exception):
    pass


class _Unknown(UnknownTopic):
    pass
