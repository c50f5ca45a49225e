"""Opens kafka-python's clients with timeouts, and reports why brokers could not be reached.

A client connects when it is created. If that fails, it leaves neither thread nor socket behind.
"""

import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

_REMEMBERED_SECONDS = 30.0
_logger = logging.getLogger("core.eventlog.kafka")
# Calls raise all errors. kafka-python's log repeats them many times a second, and at DEBUG holds passwords.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


class _LastFailure:
    """Why the last connection failed; the exceptions of calls say only that the timeout was over."""

    def __init__(self) -> None:
        self._text = ""
        self._until = 0.0

    def note(self, error: BaseException) -> None:
        _logger.info("a connection to Kafka failed: %s", error)
        if isinstance(error, KafkaTimeoutError | RequestTimedOutError) and self.reason():
            return  # cut short by the timeout; the earlier failure says more
        self._text, self._until = str(error), time.monotonic() + _REMEMBERED_SECONDS

    def forget(self) -> None:
        self._text = ""

    def reason(self) -> str:
        return f" ({self._text})" if self._text and time.monotonic() < self._until else ""


last_failure = _LastFailure()


class _Connections(KafkaConnectionManager):  # type: ignore[misc]
    """Fixes two faults of kafka-python 3.0: a TLS handshake without an answer has no timeout, and what a broker sends
    just before it closes the connection, such as that a password is wrong, is lost."""

    def get_connection(self, node_id: Any, *args: Any, **kwargs: Any) -> Any:
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *args, **kwargs)
        if connection is not known:
            seconds = self.config["request_timeout_ms"] / 1000

            def close_unfinished() -> None:
                if connection.initializing:
                    connection.close(KafkaConnectionError(f"no connection within {seconds} s"))

            self._net.call_later(seconds, close_unfinished)
            connection.init_future.add_errback(last_failure.note)
        return connection

    async def _build_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = await super()._build_transport(*args, **kwargs)
        receive = transport._sock_recv

        def receive_before_error() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error

        transport._sock_recv = receive_before_error
        return transport


def open_client(kind: Callable[..., Any], timeout: float, settings: Mapping[str, Any]) -> Any:
    """A connected `KafkaAdminClient`, `KafkaProducer` or `KafkaConsumer`. `timeout`, in seconds, bounds its start and
    each of its requests. Raises `KafkaError`; `last_failure.reason()` says more."""
    made: list[KafkaNetClient] = []

    def connect(**config: Any) -> KafkaNetClient:
        net = NetworkSelector(**config)
        made.append(KafkaNetClient(net, _Connections(net, **config)))
        return made[-1]

    last_failure.forget()
    try:
        return kind(
            client_id="penstock",
            request_timeout_ms=int(timeout * 1000),
            bootstrap_timeout_ms=int(timeout * 1000),
            reconnect_backoff_max_ms=1_000,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
            kafka_client=connect,
            **settings,
        )
    except BaseException:
        for client in made:
            client.close()
        raise
