"""The event log in Apache Kafka, for production: partitions by team and subject, replicated by the brokers.

Only the relay appends here; everything else appends to Postgres. Readers assign themselves partitions and keep their
own offsets; consumer groups only mirror these. Every call to a broker has a timeout.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kafka import KafkaAdminClient, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, OffsetSpec
from kafka.errors import (
    BrokerResponseError,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    NoError,
    NotCoordinatorError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from core.eventlog.kafka_clients import last_failure, open_client
from core.eventlog.kafka_reader import KafkaReader
from core.eventlog.kafka_writer import KafkaWriter
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
"""Largest message of topics, producers and consumers: an event with its key, headers and batch overhead."""

T = TypeVar("T")

_METADATA_SECONDS = 60.0
_IDLE_READERS = 4
_COORDINATOR_MOVES = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError)
_inherited: list[object] = []
"""Clients of a forked process's parent: their threads do not run here, so they can be neither used nor closed."""


class KafkaLog:
    """The log of one Kafka cluster. Nothing connects before the first use; safe to use from several threads.

    `timeout` bounds each exchange with the brokers, in seconds. `client` holds further settings of kafka-python
    (TLS, SASL) for every client. New topics get `partitions` and `replication`.
    """

    guarantees = Guarantees(atomic=False, deduplicates=False)

    def __init__(
        self,
        bootstrap: str,
        *,
        partitions: int = 3,
        replication: int = 1,
        timeout: float = 10.0,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._new_partitions = partitions
        self._replication = replication
        self._timeout = timeout
        self._client = {"bootstrap_servers": bootstrap, **(client or {})}
        self._lock = threading.Lock()
        self._appending = threading.Lock()
        self._pid = os.getpid()
        self._admin: Any = None
        self._writer: KafkaWriter | None = None
        self._readers: list[KafkaReader] = []
        self._known: dict[str, tuple[float, tuple[int, ...]]] = {}

    def brokers(self) -> int:
        """How many brokers the cluster has."""
        return len(self._call("list the brokers", lambda admin: admin.describe_cluster())["brokers"])

    def ensure_topics(self, topics: Sequence[str] = TOPICS) -> None:
        config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        if self._replication > 2:
            config["min.insync.replicas"] = "2"
        settings = {"num_partitions": self._new_partitions, "replication_factor": self._replication, "configs": config}
        wanted = dict.fromkeys(sorted(set(topics)), settings)
        if not wanted:
            return

        def create(admin: Any) -> list[str]:
            existing = []
            for topic in admin.create_topics(wanted, timeout_ms=int(self._timeout * 1000), raise_errors=False)[
                "topics"
            ]:
                error = for_code(topic["error_code"])
                if error is TopicAlreadyExistsError:
                    existing.append(topic["name"])
                elif error is not NoError:
                    raise error(f"topic {topic['name']}: {topic['error_message']}")
            return existing

        self._check_size(self._call(f"create topics {', '.join(wanted)}", create))
        deadline = time.monotonic() + self._timeout
        for topic in wanted:
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
        name = "max.message.bytes"
        wanted = [ConfigResource("TOPIC", topic, [name]) for topic in topics]
        found = self._call(
            "read the settings of topics", lambda admin: admin.describe_configs(wanted, config_filter="all")
        )
        for topic, entries in found["topic"].items():
            if name not in entries:
                raise EventLogUnavailable(f"Kafka at {self._bootstrap} does not report the settings of topic {topic}")
            most = int(entries[name]["value"])
            if most < MAX_MESSAGE_BYTES:
                raise ValueError(
                    f"Kafka topic {topic} takes messages of up to {most:,} bytes; events need "
                    f"{MAX_MESSAGE_BYTES:,}: set its max.message.bytes"
                )

    def append(self, events: Sequence[tuple[str, Event]]) -> None:
        """Returns when all in-sync replicas have acknowledged every event. On `EventLogUnavailable` some events
        may have been written: append all of them again, in the same order, and readers that drop repeats
        by id see each event once and in order."""
        messages = [(topic, f"{e.teamid}/{e.subject}".encode(), encode(topic, e)) for topic, e in events]
        topics = {topic for topic, _, _ in messages}
        for topic in topics:
            self.partitions(topic)
        deadline = time.monotonic() + self._timeout
        with self._lock:
            self._after_fork()
        if not self._appending.acquire(timeout=self._timeout):
            raise EventLogUnavailable(f"another append to Kafka at {self._bootstrap} took more than {self._timeout} s")
        try:
            if self._writer is None:
                self._writer = KafkaWriter(self._timeout, MAX_MESSAGE_BYTES, self._client)
            self._writer.write(messages, deadline)
        except (KafkaError, ValueError) as error:  # ValueError: the topic was deleted
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.abandon()
            for topic in topics:
                self.forget(topic)
            raise self._explain(error, "append") from error
        finally:
            self._appending.release()

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        if limit < 1:
            raise ValueError(f"limit {limit}: a read takes at least one event")
        positions = {p: offsets[p] for p in self.partitions(topic) if p in offsets}
        missing = [p for p in self.partitions(topic) if p not in offsets]
        if missing:
            positions |= self.first_offsets(topic, missing)
        reader: KafkaReader | None = None
        try:
            reader = self._take(topic, positions)
            batch = reader.read(positions, limit, wait)
        except BaseException as error:
            if reader is not None:
                reader.close()
            if isinstance(error, KafkaError):
                raise self._explain(error, f"read topic {topic}") from error
            raise
        self._give(reader)
        return batch

    def _take(self, topic: str, positions: Mapping[int, int]) -> KafkaReader:
        """An idle reader of the topic, preferably one at these positions; else a new one."""
        with self._lock:
            self._after_fork()
            idle = [reader for reader in self._readers if reader.topic == topic]
            idle.sort(key=lambda reader: reader.positions != positions)
            if idle:
                self._readers.remove(idle[0])
                return idle[0]
        return KafkaReader(self, topic, self._timeout, MAX_MESSAGE_BYTES, self._client)

    def _give(self, reader: KafkaReader) -> None:
        with self._lock:
            self._readers.append(reader)
            surplus = self._readers.pop(0) if len(self._readers) > _IDLE_READERS else None
        if surplus:
            surplus.close()

    def partitions(self, topic: str) -> tuple[int, ...]:
        """The topic's partitions, cached for a minute. Raises `UnknownTopic`."""
        known = self._known.get(topic)
        if known and known[0] > time.monotonic():
            return known[1]

        def describe(admin: Any) -> tuple[int, ...]:
            [described] = admin.describe_topics([topic])
            error = for_code(described["error_code"])
            if error is not NoError:
                raise error(topic)
            return tuple(sorted(partition["partition_index"] for partition in described["partitions"]))

        found = self._call(f"describe topic {topic}", describe, topic)
        self._known[topic] = (time.monotonic() + _METADATA_SECONDS, found)
        return found

    def forget(self, topic: str) -> None:
        """Drops the cached partitions of a topic."""
        self._known.pop(topic, None)

    def end_offsets(self, topic: str) -> dict[int, int]:
        return self._offsets(topic, self.partitions(topic), OffsetSpec.LATEST)

    def first_offsets(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """The earliest stored offset of each partition."""
        return self._offsets(topic, partitions, OffsetSpec.EARLIEST)

    def _offsets(self, topic: str, partitions: Sequence[int], spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(topic, partition): spec for partition in partitions}
        found = self._call(f"read offsets of {topic}", lambda admin: admin.list_partition_offsets(wanted), topic)
        return {place.partition: at.offset for place, at in found.items()}

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        wanted = {TopicPartition(topic, p): OffsetAndMetadata(offset, "", None) for p, offset in offsets.items()}

        def commit(admin: Any) -> None:
            for place, error in admin.alter_group_offsets(group, wanted).items():
                if error is not NoError:
                    raise error(str(place))

        if wanted:
            self._call(f"store the offsets of group {group}", commit, topic)

    def lag(self, group: str, topic: str) -> dict[int, int]:
        wanted = [TopicPartition(topic, partition) for partition in self.partitions(topic)]
        found = self._call(
            f"read the offsets of group {group}", lambda admin: admin.list_group_offsets({group: wanted})[group], topic
        )
        committed = {place.partition: at.offset for place, at in found.items()}
        first, end = self.first_offsets(topic, self.partitions(topic)), self.end_offsets(topic)
        return {p: max(0, end[p] - max(first[p], committed.get(p, 0))) for p in end}

    def close(self) -> None:
        with self._lock:
            self._after_fork()
            readers, writer, admin = self._readers, self._writer, self._admin
            self._readers, self._writer, self._admin = [], None, None
        for client in (*readers, writer, admin):
            if client is not None:
                client.close()

    def _call(self, doing: str, request: Callable[[Any], T], topic: str = "") -> T:
        """Runs `request` with the shared admin client, repeatedly until the timeout while a coordinator is moving."""
        deadline = time.monotonic() + self._timeout
        while True:
            admin = None
            try:
                admin = self._shared_admin()
                return request(admin)
            except UnknownTopicOrPartitionError as error:
                self.forget(topic)
                raise UnknownTopic(f"Kafka has no topic {topic!r}; `ensure_topics` creates it") from error
            except (KafkaError, RuntimeError) as error:  # RuntimeError: another thread has just closed the client
                if admin is not None and (not isinstance(error, BrokerResponseError) or error.retriable):
                    self._drop(admin)
                if not isinstance(error, _COORDINATOR_MOVES) or time.monotonic() > deadline:
                    raise self._explain(error, doing) from error
                time.sleep(0.1)

    def _shared_admin(self) -> Any:
        with self._lock:
            self._after_fork()
            if self._admin is not None:
                return self._admin
        settings = {"max_in_flight_requests_per_connection": 1_000, **self._client}  # many threads share it
        opened = open_client(KafkaAdminClient, self._timeout, settings)
        with self._lock:
            if self._admin is None:
                self._admin = opened
            shared = self._admin
        if shared is not opened:
            opened.close()
        return shared

    def _drop(self, admin: Any) -> None:
        """Closes the client: the next call opens a new one, which looks up leaders and coordinators again."""
        with self._lock:
            if self._admin is admin:
                self._admin = None
        admin.close()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            _inherited.extend([self._admin, self._writer, *self._readers])
            self._admin, self._writer, self._readers, self._pid = None, None, [], os.getpid()
            self._appending = threading.Lock()

    def _explain(self, error: Exception, doing: str) -> Exception:
        message = f"Kafka at {self._bootstrap} could not {doing}: {error}"
        if isinstance(error, MessageSizeTooLargeError):
            return EventRefused(f"{message}: set max.message.bytes of the topic to {MAX_MESSAGE_BYTES}")
        if isinstance(error, InvalidReplicationFactorError | InvalidTopicError | InvalidPartitionsError):
            return ValueError(message)
        return EventLogUnavailable(
            message if isinstance(error, BrokerResponseError) else message + last_failure.reason()
        )
