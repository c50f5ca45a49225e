"""A forward proxy on a Unix socket: the only way out of the step that fetches packages.

It connects to allowed hosts and ports, and to nothing else: names are resolved here, and addresses of private networks
are refused unless the operator named the host. Each decision is logged, once for a task. Not for code of repositories,
which gets no network at all.
"""

import contextlib
import ipaddress
import logging
import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit

_logger = logging.getLogger("sandbox.environments.egress")
_MOST_HEAD = 16 << 10
_HEAD_SECONDS = 10.0
_IDLE_SECONDS = 90.0
_CONNECT_SECONDS = 20.0
_MOST_CONNECTIONS = 64
_MOST_BYTES = 4 << 30
"""The most that one connection may receive."""
_CHUNK = 1 << 16
_PRIVATE_USE = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10",
)))  # fmt: skip
"""RFC 1122, 1918, 6598, 4193 and 3879."""
_HOP = ("connection", "proxy-connection", "proxy-authorization", "keep-alive")


@dataclass(frozen=True)
class Allowed:
    """Where the proxy connects to: `hosts` are (host, port) in lower case; of those in `named` the operator says that
    they may have private addresses. `upstream` is the address of another proxy that leads out, empty for none."""

    hosts: frozenset[tuple[str, int]]
    named: frozenset[tuple[str, int]] = frozenset()
    upstream: str = ""


@dataclass(frozen=True)
class Decision:
    """One request: where to, whether it was allowed, and why not."""

    host: str
    port: int
    allowed: bool
    why: str = ""


_logged: dict[tuple[str, Decision], None] = {}
_MOST_LOGGED = 2_000


def _is_new(entry: tuple[str, Decision]) -> bool:
    """Whether a decision was not logged lately: a step that fetches a hundred packages asks a hundred times."""
    known = entry in _logged
    _logged[entry] = None
    while len(_logged) > _MOST_LOGGED:
        with contextlib.suppress(StopIteration, KeyError, RuntimeError):  # another proxy's thread was faster
            del _logged[next(iter(_logged))]
    return not known


class Refused(Exception):
    """A request that the proxy does not carry out; the message is for the log and the client."""


class Unreachable(Refused):
    """An allowed host that does not answer."""


@dataclass
class EgressProxy:
    """Serves until it is closed. `socket` is the path of its Unix socket, which only this user can enter;
    `decisions` are all so far. `task` names in the log whom it serves. `resolve` and `dial` are how it finds the
    addresses of a name, and connects to one."""

    allowed: Allowed
    task: str = ""
    decisions: list[Decision] = field(default_factory=list)
    resolve: Callable[[str, int], Sequence[str]] = field(default_factory=lambda: addresses)
    dial: Callable[[str, int], socket.socket] = field(default_factory=lambda: connect)

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-egress-")
        self.socket = Path(self._folder.name) / "proxy"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.socket))
        self._listener.listen(32)
        self._slots = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        threading.Thread(target=self._serve, name="egress", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def refusals(self) -> list[Decision]:
        return [decision for decision in self.decisions if not decision.allowed]

    def _serve(self) -> None:
        while True:
            self._slots.acquire()
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), name="egress-connection", daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        try:
            with client:
                self._request(client)
        except OSError:
            return  # one side has gone
        finally:
            self._slots.release()

    def _request(self, client: socket.socket) -> None:
        host, port = "", 0
        try:
            head, rest = _head(client)
            lines = head.split(b"\r\n")
            words = lines[0].decode("ascii", errors="replace").split(" ")
            if len(words) != 3 or not words[2].startswith("HTTP/1."):
                raise Refused("no HTTP/1 request line")
            if words[0] == "CONNECT":
                host, port = _authority(words[1])
                upstream = self._connect(host, port)
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            elif words[0] in ("GET", "HEAD"):
                address = urlsplit(words[1])
                host, port = _authority_of(address)
                upstream = self._connect(host, port)
                rest = _origin_form(words[0], address, lines[1:]) + rest
            else:
                raise Refused(f"method {words[0][:20]}")
        except Refused as refusal:
            self._decided(Decision(host, port, False, str(refusal)))
            status = "502 Bad Gateway" if isinstance(refusal, Unreachable) else "403 Forbidden"
            client.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(str(refusal))}\r\n\r\n"
                           f"{refusal}".encode())  # fmt: skip
            return
        self._decided(Decision(host, port, True))
        with upstream:
            if rest:
                upstream.sendall(rest)
            _tunnel(client, upstream)

    def _decided(self, decision: Decision) -> None:
        self.decisions.append(decision)
        if not _is_new((self.task, decision)):
            return
        if decision.allowed:
            _logger.info("egress for %s: %s:%d", self.task, decision.host, decision.port)
        else:
            _logger.warning("egress for %s refused: %s", self.task, decision.why)

    def _connect(self, host: str, port: int) -> socket.socket:
        """A connection to an allowed host. Raises `Refused`."""
        if (host, port) not in self.allowed.hosts:
            raise Refused(f"{host}:{port} is not allowed")
        try:
            if self.allowed.upstream:
                return _through(self.allowed.upstream, host, port)
            return self._to_resolved(host, port)
        except OSError as error:
            raise Unreachable(f"{host}:{port} cannot be reached: {error}") from error

    def _to_resolved(self, host: str, port: int) -> socket.socket:
        """Connects to an address that was checked, so that another answer of the name server changes nothing."""
        failure: OSError | None = None
        for text in self.resolve(host, port)[:8]:
            address = ipaddress.ip_address(text.partition("%")[0])
            if is_internal(address) and (host, port) not in self.allowed.named:
                raise Refused(f"{host} has the private address {address}")
            try:
                return self.dial(str(address), port)
            except OSError as error:
                failure = error
        raise failure or OSError("it has no address")


def addresses(host: str, port: int) -> list[str]:
    """What the name service says. Raises `OSError`."""
    return [str(place[0]) for _, _, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connect(address: str, port: int) -> socket.socket:
    """Raises `OSError`."""
    return socket.create_connection((address, port), _CONNECT_SECONDS)


def is_internal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is this machine's, link-local (as metadata services are), or of a private-use network."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    special = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return special or any(address in network for network in _PRIVATE_USE if network.version == address.version)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what was read after it. Raises `Refused`."""
    deadline = time.monotonic() + _HEAD_SECONDS
    data = b""
    while b"\r\n\r\n" not in data:
        client.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            chunk = client.recv(4096)
        except TimeoutError as error:
            raise Refused("the request took too long") from error
        data += chunk
        if not chunk or len(data) > _MOST_HEAD:
            raise Refused("no request" if not chunk else f"a request head of more than {_MOST_HEAD} bytes")
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _authority(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or any(c in host for c in "/@ \\?#[]"):
        raise Refused(f"{text[:100]!r} is no host and port")
    return host.lower().rstrip("."), int(port)


def _authority_of(address: SplitResult) -> tuple[str, int]:
    try:
        host, port = address.hostname or "", address.port or 80
    except ValueError as error:
        raise Refused("no valid address") from error
    if address.scheme != "http" or not host or address.username is not None:
        raise Refused("no plain http address")
    return host.rstrip("."), port


def _origin_form(method: str, address: SplitResult, lines: list[bytes]) -> bytes:
    """The request as the origin server expects it; one request for each connection."""
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower().decode("latin-1") not in _HOP]
    return b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *kept, b"Connection: close", b"", b""])


def _through(upstream: str, host: str, port: int) -> socket.socket:
    """A connection through another proxy, by CONNECT."""
    address = urlsplit(upstream if "://" in upstream else f"http://{upstream}")
    made = socket.create_connection((address.hostname or "", address.port or 3128), _CONNECT_SECONDS)
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if address.username is not None:
        import base64

        pair = f"{address.username}:{address.password or ''}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    try:
        made.sendall("\r\n".join([*lines, "", ""]).encode())
        head, _ = _head(made)
        if b" 200 " not in head.split(b"\r\n")[0] + b" ":
            raise OSError("the proxy of this machine refuses the connection")
    except BaseException:
        made.close()
        raise
    return made


def _tunnel(client: socket.socket, upstream: socket.socket) -> None:
    """Moves bytes both ways until both sides have ended, one is idle for too long, or too much was received."""
    other = {client: upstream, upstream: client}
    reading = {client, upstream}
    received = 0
    for one in reading:
        one.settimeout(_IDLE_SECONDS)
    while reading:
        ready, _, _ = select.select(list(reading), [], [], _IDLE_SECONDS)
        if not ready:
            return
        for one in ready:
            chunk = one.recv(_CHUNK)
            received += len(chunk) if one is upstream else 0
            if received > _MOST_BYTES:
                return
            if chunk:
                other[one].sendall(chunk)
                continue
            reading.discard(one)
            with contextlib.suppress(OSError):
                other[one].shutdown(socket.SHUT_WR)
            if one is upstream:
                return


def allowed_hosts(index: str, more: Collection[str] = ()) -> Allowed:
    """The hosts of a package index (empty: pip's own), and others as `host` or `host:port`."""
    named = {_place(item) for item in more if item}
    usual: set[tuple[str, int]] = set()
    if index:
        address = urlsplit(index)
        named.add(((address.hostname or "").lower(), address.port or (80 if address.scheme == "http" else 443)))
    else:
        usual |= set(_hosts_of_pip())
    variables = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    upstream = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    return Allowed(frozenset(usual | named), frozenset(named), upstream)


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host.lower(), int(port) if port.isdecimal() else 443


def _hosts_of_pip() -> Iterator[tuple[str, int]]:
    """The hosts of pip's default index and of its files, as pip itself names them."""
    with contextlib.suppress(ImportError, AttributeError):
        from pip._internal.models.index import PyPI

        yield PyPI.netloc, 443
        yield PyPI.file_storage_domain, 443
