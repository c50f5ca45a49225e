"""One Kafka consumer, assigned to every partition of one topic, read from wherever its caller says.

Not a member of any group. It is used by one thread at a time, and keeps what it has fetched ahead when the
next read goes on where the last one ended.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import ValidationError

from core.eventlog.protocol import Batch, EventLogUnavailable, Record, UnknownTopic, Unreadable
from core.events import Event

_SLICE_SECONDS = 1.0
_FETCHED_AHEAD_KIB = 16 << 10

_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
_UNKNOWN = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
_CONNECTION = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)


class Cluster(Protocol):
    """What a reader asks of its log."""

    def end_offsets(self, topic: str) -> dict[int, int]: ...
    def first_offsets(self, topic: str, partitions: Sequence[int]) -> dict[int, int]: ...
    def forget(self, topic: str) -> None: ...


class KafkaReader:
    def __init__(self, cluster: Cluster, topic: str, config: Mapping[str, Any], timeout: float) -> None:
        self.topic = topic
        self.positions: dict[int, int] = {}
        """The offset that it returns next, by partition."""
        self._cluster = cluster
        self._timeout = timeout
        self._alarmed = False
        self._consumer = Consumer(
            {
                **config,
                "group.id": "penstock-unused",  # librdkafka wants one; nothing is committed and nobody joins
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                "fetch.error.backoff.ms": 100,
                "fetch.wait.max.ms": int(min(500, max(100, timeout * 1000 - 1000))),
                "queued.max.messages.kbytes": _FETCHED_AHEAD_KIB,
                "error_cb": self._alarm,
            }
        )

    def read(self, positions: Mapping[int, int], limit: int, wait: float) -> Batch:
        """See `EventLog.read`. May also raise `KafkaException`."""
        if positions != self.positions:
            self._assign(positions)
        resets: dict[int, int] = {}
        records: list[Record] = []
        unreadable: list[Unreadable] = []
        deadline = time.monotonic() + wait
        verified_deadline: float | None = None
        while not records and not unreadable:
            until = verified_deadline or deadline
            left = until - time.monotonic()
            first = self._consumer.poll(max(0.0, min(left, _SLICE_SECONDS)))
            if first is not None:
                for message in (first, *self._consumer.consume(limit - 1, timeout=0)) if limit > 1 else (first,):
                    self._sort(message, records, unreadable, resets)
                if resets:
                    deadline = time.monotonic()  # the caller is told at once
                continue
            if self._alarmed or left <= 0:
                self._alarmed = False
                end = self._cluster.end_offsets(self.topic)
                lost = [p for p, position in self.positions.items() if position > end.get(p, 0)]
                if lost:
                    self._reset(lost, resets)
                    deadline = time.monotonic()
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

    def _sort(
        self, message: Message, records: list[Record], unreadable: list[Unreadable], resets: dict[int, int]
    ) -> None:
        partition, offset = message.partition(), message.offset()
        error = message.error()
        if error is not None:
            self._handle(error, partition, resets)
            return
        if partition is None or offset is None or offset != max(offset, self.positions.get(partition, 0)):
            return  # fetched before the partition was reset
        self.positions[partition] = offset + 1
        try:
            event = Event.from_json(message.value() or b"")
        except ValidationError as problem:
            unreadable.append(Unreadable(self.topic, partition, offset, str(problem)[:500]))
        else:
            records.append(Record(self.topic, partition, offset, event))

    def _handle(self, error: KafkaError, partition: int | None, resets: dict[int, int]) -> None:
        if error.code() in _GONE and partition is not None and partition >= 0:
            self._reset([partition], resets)
        elif error.code() in _UNKNOWN:
            self._cluster.forget(self.topic)
            raise UnknownTopic(f"Kafka no longer has topic {self.topic!r} with these partitions: {error.str()}")
        elif error.code() in _CONNECTION:
            self._alarmed = True
        else:
            raise KafkaException(error)

    def _reset(self, partitions: Sequence[int], resets: dict[int, int]) -> None:
        first = self._cluster.first_offsets(self.topic, partitions)
        resets.update(first)
        self._assign({**self.positions, **first})

    def _assign(self, positions: Mapping[int, int]) -> None:
        self._consumer.assign([TopicPartition(self.topic, p, offset) for p, offset in sorted(positions.items())])
        self.positions = dict(positions)

    def _alarm(self, _: KafkaError) -> None:
        self._alarmed = True

    def close(self) -> None:
        self._consumer.close()
