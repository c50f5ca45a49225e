"""The log of an installation with Kafka: appends go to Postgres, reads come from Kafka, and the relay connects them.

So an event is durable with the transaction that made it; an outage of Kafka delays it and loses nothing.
"""

from collections.abc import Mapping, Sequence

from core.eventlog.kafka import KafkaLog
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import Batch, Guarantees
from core.events import TOPICS, Event


class RelayedLog:
    """Appends to `postgres`, everything else on `kafka`. An appended event can be read once the relay has moved it."""

    guarantees = Guarantees(atomic=True, deduplicates=False)

    def __init__(self, postgres: PostgresLog, kafka: KafkaLog) -> None:
        self.postgres = postgres
        self.kafka = kafka

    def ensure_topics(self, topics: Sequence[str] = TOPICS) -> None:
        self.postgres.ensure_topics(topics)
        self.kafka.ensure_topics(topics)

    def append(self, events: Sequence[tuple[str, Event]]) -> None:
        self.postgres.append(events)

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        return self.kafka.read(topic, offsets, limit=limit, wait=wait)

    def end_offsets(self, topic: str) -> dict[int, int]:
        return self.kafka.end_offsets(topic)

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        self.kafka.commit_group(group, topic, offsets)

    def lag(self, group: str, topic: str) -> dict[int, int]:
        return self.kafka.lag(group, topic)

    def close(self) -> None:
        self.postgres.close()
        self.kafka.close()
