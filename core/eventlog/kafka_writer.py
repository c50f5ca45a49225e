"""One idempotent Kafka producer, which sends messages and waits until all of them are acknowledged."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from core.eventlog.kafka_clients import open_client

Message = tuple[str, bytes, bytes]
"""Topic, key and body."""

HEADERS = [("content-type", b"application/cloudevents+json; charset=utf-8")]

_BATCH_BYTES = 1 << 20
_OVERHEAD_BYTES = 200
_NEVER_MS = 2**31 - 1


class KafkaWriter:
    """Connects when it is created. For one thread at a time; after an exception, only `abandon` may be called."""

    def __init__(self, timeout: float, largest: int, settings: Mapping[str, Any]) -> None:
        self._timeout = timeout
        self._producer = open_client(
            KafkaProducer,
            timeout,
            {
                "acks": "all",
                "enable_idempotence": True,
                "allow_auto_create_topics": False,
                "batch_size": _BATCH_BYTES,
                # CRC-32C is computed in Python, byte by byte: gzip takes less time than the bytes that it saves would.
                "compression_type": "gzip",
                "linger_ms": 1_000,  # a flush ends it: one call's messages go out as one batch per partition
                "delivery_timeout_ms": _NEVER_MS,
                "max_block_ms": int(timeout * 1000),
                "max_request_size": largest,
                "metrics_enabled": False,
                **settings,
            },
        )

    def write(self, messages: Sequence[Message], deadline: float) -> None:
        """Sends in order, and returns when all in-sync replicas have acknowledged every message. After an exception,
        Kafka has a prefix of each partition's messages: no batch is sent before the last one is acknowledged.

        Raises `KafkaError`. `deadline` is by `time.monotonic`.
        """
        for piece in _pieces(messages):
            sent = [self._producer.send(topic, value=body, key=key, headers=HEADERS) for topic, key, body in piece]
            self._producer.flush(max(0.0, deadline - time.monotonic()))
            for future in sent:
                if not future.succeeded():
                    future.get(timeout=0)

    def abandon(self) -> None:
        """Closes the producer without waiting for acknowledgements; Kafka may or may not have the rest."""
        sender = self._producer._sender
        sender.force_close()  # `close` alone would wait until everything is sent
        sender.join(2 * self._timeout)
        with contextlib.suppress(KafkaTimeoutError):
            self._producer.close(timeout=0)

    def close(self) -> None:
        self._producer.close(timeout=self._timeout)


def _pieces(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Runs of messages that each fit into one batch, even if all go to the same partition."""
    start = size = 0
    for place, (_, key, body) in enumerate(messages):
        weight = len(key) + len(body) + _OVERHEAD_BYTES
        if size and size + weight > _BATCH_BYTES:
            yield messages[start:place]
            start, size = place, 0
        size += weight
    if messages:
        yield messages[start:]
