"""Sends a batch of messages to Kafka and waits until every one of them was acknowledged."""

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

HEADERS: list[tuple[str, str | bytes | None]] = [("content-type", "application/cloudevents+json; charset=utf-8")]


class NotAcknowledged(Exception):
    """The time was over before every message was acknowledged."""


def produce(producer: Producer, messages: Sequence[tuple[str, bytes, bytes]], deadline: float) -> None:
    """Sends (topic, key, body) messages in order, and returns when each was acknowledged.

    Raises `KafkaException`, `NotAcknowledged`, and `BufferError` when the producer's buffer stays full. `deadline`
    is by `time.monotonic`.
    """
    acknowledged = 0
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        nonlocal acknowledged
        if error is None:
            acknowledged += 1
        else:
            failed.append(error)

    for topic, key, body in messages:
        while True:
            try:
                producer.produce(topic, value=body, key=key, headers=HEADERS, on_delivery=delivered)
                break
            except BufferError:
                if time.monotonic() > deadline:
                    raise
                producer.poll(0.1)
    while acknowledged < len(messages):
        producer.poll(0.05)
        if failed:
            raise KafkaException(failed[0])
        if time.monotonic() > deadline:
            raise NotAcknowledged(f"{len(messages) - acknowledged} of {len(messages)} events not acknowledged in time")
