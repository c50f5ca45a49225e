"""Opens the clients of kafka-python with limits on time, and says why brokers could not be reached.

A client connects when it is made. One that cannot leaves neither thread nor socket behind.
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
# What goes wrong comes out of the calls. Their log repeats it many times a second, and at DEBUG holds passwords.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


class _Heard:
    """Why the last connection failed. The exceptions of calls tell only that time was over."""

    def __init__(self) -> None:
        self._text = ""
        self._until = 0.0

    def note(self, error: BaseException) -> None:
        _logger.info("a connection to Kafka failed: %s", error)
        if isinstance(error, KafkaTimeoutError | RequestTimedOutError) and self.reason():
            return  # the last try of several, cut short
        self._text, self._until = str(error), time.monotonic() + _REMEMBERED_SECONDS

    def forget(self) -> None:
        self._text = ""

    def reason(self) -> str:
        return f" ({self._text})" if self._text and time.monotonic() < self._until else ""


heard = _Heard()


class _Connections(KafkaConnectionManager):  # type: ignore[misc]
    """Puts right what kafka-python 3.0 does not do: an end to a TLS handshake that is not answered, and telling what
    a broker said last when it closed the connection with it, such as that a password is wrong."""

    def get_connection(self, node_id: Any, *args: Any, **kwargs: Any) -> Any:
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *args, **kwargs)
        if connection is not known:
            seconds = self.config["request_timeout_ms"] / 1000

            def give_up() -> None:
                if connection.initializing:
                    connection.close(KafkaConnectionError(f"no connection within {seconds} s"))

            self._net.call_later(seconds, give_up)
            connection.init_future.add_errback(heard.note)
        return connection

    async def _build_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = await super()._build_transport(*args, **kwargs)
        receive = transport._sock_recv

        def what_came_before_the_end() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error

        transport._sock_recv = what_came_before_the_end
        return transport


def open_client(kind: Callable[..., Any], timeout: float, settings: Mapping[str, Any]) -> Any:
    """A `KafkaAdminClient`, `KafkaProducer` or `KafkaConsumer` that is connected. `timeout`, in seconds, bounds its
    start and each of its requests. Raises `KafkaError`; `heard.reason()` says more."""
    made: list[KafkaNetClient] = []

    def connect(**config: Any) -> KafkaNetClient:
        net = NetworkSelector(**config)
        made.append(KafkaNetClient(net, _Connections(net, **config)))
        return made[-1]

    heard.forget()
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
