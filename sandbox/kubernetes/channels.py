"""One `exec` over a websocket, by the subprotocol v4.channel.k8s.io: the first byte of a message names its channel.

https://kubernetes.io/docs/reference/using-api/api-concepts/ and, for the status on channel 3, `k8s.io/apimachinery`'s
`Status`. Not built on the official client's `stream`, which connects without a timeout, replaces a method of the
shared client while it runs, and takes a lost connection for an end. There is no way to close the input alone.
"""

import contextlib
import json
import select
import socket as socketlib
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .failures import ApiFailure, said

STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3

_PROTOCOL = "v4.channel.k8s.io"
_CONNECT_SECONDS = 10.0
_STALL_SECONDS = 60.0
"""Timeout for the rest of a message that has begun to arrive."""
_PING_SECONDS = 20.0
_CHUNK = 1 << 15


class ConnectionLost(Exception):
    """The connection ended before the command's status arrived, so nothing is known about the command."""


@dataclass(frozen=True)
class Ended:
    """The status of a command: its exit code, or None and the reason why the node could not run it."""

    code: int | None
    reason: str = ""


def connect(configuration: Any, path: str, headers: dict[str, str]) -> "Channels":
    """`configuration` is the official client's. Raises `ApiFailure`."""
    import websocket

    host = configuration.host.rstrip("/")
    url = f"ws{host.removeprefix('http')}{path}"
    # A redirect is not followed: it would take the credentials along.
    options: dict[str, Any] = {"timeout": _CONNECT_SECONDS, "suppress_origin": True, "redirect_limit": 0}
    if configuration.proxy:
        proxy = urlsplit(configuration.proxy)
        options |= {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port, "proxy_type": "http"}
        options["http_no_proxy"] = [host for host in (configuration.no_proxy or "").split(",") if host]
    else:
        options["http_no_proxy"] = ["*"]
    socket: Any = websocket.WebSocket(sslopt=_tls(configuration), enable_multithread=True)
    try:
        socket.connect(
            url, header=[f"{name}: {value}" for name, value in headers.items()], subprotocols=[_PROTOCOL], **options
        )
    except websocket.WebSocketBadStatusException as error:
        pause = (error.resp_headers or {}).get("retry-after")
        raise ApiFailure(error.status_code, said(error.resp_body), pause) from error
    except (websocket.WebSocketException, OSError) as error:
        socket.close()
        raise ApiFailure(0, f"{host} does not answer: {str(error)[:300]}") from error
    socket.settimeout(_STALL_SECONDS)
    return Channels(socket)


def _tls(configuration: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE}
    if configuration.verify_ssl:
        found["ca_certs"] = configuration.ssl_ca_cert or None
        if configuration.assert_hostname is not None:
            found["check_hostname"] = configuration.assert_hostname
    else:
        found["check_hostname"] = False
    for ours, theirs in (("certfile", "cert_file"), ("keyfile", "key_file"), ("server_hostname", "tls_server_name")):
        if value := getattr(configuration, theirs, None):
            found[ours] = value
    return {name: value for name, value in found.items() if value is not None}


class Channels:
    """The channels of one command, for one thread; any thread may `abort`.

    Sending never blocks, because a command that writes much and reads nothing would then block for ever: it waits until
    its output is read, and its input is full. What is to be sent is queued, and sent by `wait` as far as possible."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._raw = socket.sock
        self._pinged = time.monotonic()
        self._queue = bytearray()
        self._part = bytearray()

    @property
    def queued(self) -> int:
        """Bytes that are still to be sent."""
        return len(self._queue)

    def send(self, data: bytes) -> None:
        """Queues bytes for the command's input."""
        from websocket import ABNF

        for start in range(0, len(data), _CHUNK):
            message = bytes((STDIN,)) + data[start : start + _CHUNK]
            self._queue += ABNF.create_frame(message, ABNF.OPCODE_BINARY).format()

    def wait(self, timeout: float, other: int = -1) -> tuple[bool, bool]:
        """Waits up to `timeout` seconds, while it sends what is queued, until there is something to receive, or to read
        from the descriptor `other`. Returns whether there is, of each. Raises `ConnectionLost`."""
        self._keep_alive()
        if isinstance(self._raw, ssl.SSLSocket) and self._raw.pending() > 0:
            return True, False  # decrypted already, so that `poll` would not see it
        poll = select.poll()
        poll.register(self._raw.fileno(), select.POLLIN | (select.POLLOUT if self._queue else 0))
        if other >= 0:
            poll.register(other, select.POLLIN)
        found = dict(poll.poll(max(timeout, 0) * 1000))
        events = found.get(self._raw.fileno(), 0)
        if events & select.POLLOUT:
            self._flush()
        return bool(events & ~select.POLLOUT), other in found

    def receive(self) -> tuple[int, bytes] | None:
        """The next message, as its channel and content; None for one that is of no interest, or has not ended.
        Raises `ConnectionLost`."""
        from websocket import ABNF, WebSocketException

        try:
            frame = self._socket.recv_frame()
        except (WebSocketException, OSError, ValueError) as error:
            raise ConnectionLost(_reason(error)) from error
        if frame is None or frame.opcode == ABNF.OPCODE_CLOSE:
            raise ConnectionLost("the server closed the connection")
        if frame.opcode == ABNF.OPCODE_PING:
            self._queue += ABNF.create_frame(frame.data, ABNF.OPCODE_PONG).format()
        if frame.opcode not in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT, ABNF.OPCODE_CONT):
            return None
        self._part += frame.data
        if not frame.fin or not self._part:
            return None
        message, self._part = bytes(self._part), bytearray()
        return message[0], message[1:]

    def abort(self) -> None:
        """Ends the connection; the thread that uses it gets `ConnectionLost`. The command goes on."""
        with contextlib.suppress(OSError):
            socketlib.socket.shutdown(self._raw, socketlib.SHUT_RDWR)

    def close(self) -> None:
        """The command goes on."""
        self.abort()
        self._socket.shutdown()

    def _flush(self) -> None:
        self._raw.settimeout(0)
        try:
            while self._queue:
                sent = self._raw.send(bytes(self._queue[:_CHUNK]))
                del self._queue[:sent]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error
        finally:
            self._raw.settimeout(_STALL_SECONDS)

    def _keep_alive(self) -> None:
        """A ping from time to time, for proxies that close idle connections."""
        from websocket import ABNF

        if time.monotonic() - self._pinged >= _PING_SECONDS:
            self._pinged = time.monotonic()
            self._queue += ABNF.create_frame(b"", ABNF.OPCODE_PING).format()


def ended(status: bytes) -> Ended:
    """The meaning of a message on the channel `STATUS`."""
    try:
        found = json.loads(status)
        if found["status"] == "Success":
            return Ended(0)
        if found.get("reason") == "NonZeroExitCode":
            for cause in found["details"]["causes"]:
                if cause["reason"] == "ExitCode":
                    return Ended(int(cause["message"]))
        return Ended(None, str(found.get("message", ""))[:500])
    except (ValueError, KeyError, TypeError):
        return Ended(None, f"a status that cannot be read: {status[:200].decode(errors='replace')}")


def _reason(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
