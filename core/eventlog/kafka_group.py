"""The offsets of one consumer group in Kafka: written and asked for by a consumer that never joins the group.

Not through the admin client: librdkafka 2.16 aborts the process when an admin request to a group's
coordinator times out (https://github.com/confluentinc/librdkafka/issues/4605).
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition


class KafkaGroup:
    def __init__(self, group: str, config: Mapping[str, Any], timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._answered: list[tuple[KafkaError | None, Sequence[TopicPartition]]] = []
        self._consumer = Consumer(
            {
                **config,
                "group.id": group,
                "enable.auto.commit": False,
                # There is no session, but a commit waits this long for a coordinator, and closing waits for it.
                "session.timeout.ms": max(10, int(timeout * 1000)),
                "heartbeat.interval.ms": 3,
                "allow.auto.create.topics": False,
                "on_commit": lambda error, partitions: self._answered.append((error, partitions)),
            }
        )

    def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Raises `KafkaException`, with `_TIMED_OUT` when the coordinator has not answered in time."""
        wanted = [TopicPartition(topic, partition, offset) for partition, offset in sorted(offsets.items())]
        deadline = time.monotonic() + self._timeout
        with self._lock:
            while True:
                self._answered.clear()
                self._consumer.commit(offsets=wanted, asynchronous=True)
                while not self._answered and time.monotonic() < deadline:
                    self._consumer.poll(0.05)
                if not self._answered:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the group's coordinator did not answer"))
                error, partitions = self._answered[0]
                problem = error or next((p.error for p in partitions if p.error), None)
                if problem is None:
                    return
                if not problem.retriable() or time.monotonic() > deadline:
                    raise KafkaException(problem)
                time.sleep(0.1)

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """The group's offsets; -1 for a partition where it has none. Raises `KafkaException`."""
        with self._lock:
            found = self._consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=self._timeout)
        for partition in found:
            if partition.error:
                raise KafkaException(partition.error)
        return {partition.partition: max(-1, partition.offset) for partition in found}

    def close(self) -> None:
        with self._lock:
            self._consumer.close()
