"""One Kafka consumer, assigned to every partition of one topic, which reads from the offsets that its caller gives.

Not a member of any group. It is used by one thread at a time, and reuses prefetched records when the next read starts
where the last one ended.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, OffsetOutOfRangeError
from pydantic import ValidationError

from core.eventlog.kafka_clients import open_client
from core.eventlog.protocol import MAX_BATCH_BYTES, Batch, EventLogUnavailable, Record, Unreadable
from core.events import Event

_SLICE_SECONDS = 1.0


class Cluster(Protocol):
    """What a reader needs of its log."""

    def end_offsets(self, topic: str) -> dict[int, int]: ...
    def first_offsets(self, topic: str, partitions: Sequence[int]) -> dict[int, int]: ...


class KafkaReader:
    """Connects when it is created, and then raises as `open_client` does."""

    def __init__(self, cluster: Cluster, topic: str, timeout: float, largest: int, settings: Mapping[str, Any]) -> None:
        self.topic = topic
        self.positions: dict[int, int] = {}
        """The next offset to return, by partition."""
        self._cluster = cluster
        self._timeout = timeout
        self._consumer = open_client(
            KafkaConsumer,
            timeout,
            {
                "group_id": None,
                "enable_auto_commit": False,
                "auto_offset_reset": "none",
                "allow_auto_create_topics": False,
                "isolation_level": "read_committed",
                "fetch_max_wait_ms": int(min(500, max(100, timeout * 1000 - 1000))),
                "fetch_max_bytes": MAX_BATCH_BYTES,
                "max_partition_fetch_bytes": largest,
                "metrics_enabled": False,
                **settings,
            },
        )

    def read(self, positions: Mapping[int, int], limit: int, wait: float) -> Batch:
        """See `EventLog.read`. May also raise `KafkaError`."""
        if positions != self.positions:
            self._seek(positions)
        resets: dict[int, int] = {}
        records: list[Record] = []
        unreadable: list[Unreadable] = []
        now = time.monotonic()
        deadline, checked = now + wait, now
        verified_deadline: float | None = None
        while not records and not unreadable:
            until = verified_deadline or deadline
            for message in self._poll(max(0.0, min(until - time.monotonic(), _SLICE_SECONDS)), limit, resets):
                self._sort(message, records, unreadable)
            if records or unreadable:
                break
            if resets:
                deadline = time.monotonic()  # report resets without waiting
            now = time.monotonic()
            left = (verified_deadline or deadline) - now
            if left <= 0 or now - checked >= self._timeout:  # the consumer itself waits for brokers silently
                checked = now
                end = self._cluster.end_offsets(self.topic)
                lost = [p for p, position in self.positions.items() if position > end.get(p, 0)]
                if lost:
                    self._reset(lost, resets)
                elif left <= 0 and all(self.positions[p] >= end[p] for p in self.positions):
                    break
                elif verified_deadline is None and left <= 0:
                    verified_deadline = time.monotonic() + self._timeout
                elif left <= 0:
                    raise EventLogUnavailable(
                        f"Kafka holds events of {self.topic} from {self.positions} to {end}, "
                        f"but sent none within {self._timeout} s"
                    )
        return Batch(tuple(records), dict(self.positions), resets, tuple(unreadable))

    def _poll(self, seconds: float, limit: int, resets: dict[int, int]) -> Iterable[Any]:
        try:
            found = self._consumer.poll(timeout_ms=seconds * 1000, max_records=limit)
        except OffsetOutOfRangeError as error:
            self._reset([partition.partition for partition in error.args[0]], resets)
        except LogTruncationError as error:
            self._reset([partition.partition for partition in error.divergent_offsets], resets)
        else:
            return (message for messages in found.values() for message in messages)
        return ()

    def _sort(self, message: Any, records: list[Record], unreadable: list[Unreadable]) -> None:
        partition, offset = message.partition, message.offset
        self.positions[partition] = offset + 1
        try:
            event = Event.from_json(message.value or b"")
        except ValidationError as problem:
            unreadable.append(Unreadable(self.topic, partition, offset, str(problem)[:500]))
        else:
            records.append(Record(self.topic, partition, offset, event))

    def _reset(self, partitions: Sequence[int], resets: dict[int, int]) -> None:
        first = self._cluster.first_offsets(self.topic, partitions)
        resets.update(first)
        self._seek({**self.positions, **first})

    def _seek(self, positions: Mapping[int, int]) -> None:
        places = {TopicPartition(self.topic, p): offset for p, offset in positions.items()}
        if self._consumer.assignment() != set(places):
            self._consumer.assign(list(places))
        for place, offset in places.items():
            self._consumer.seek(place, offset)
        self.positions = dict(positions)

    def close(self) -> None:
        self._consumer.close()
