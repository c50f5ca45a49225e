"""Probes the step that fetches packages, from inside it: its proxy and its files.

The listeners are on loopback. Names are resolved by this module, and only addresses of loopback are connected to, so
that nothing leaves this machine.
"""

import contextlib
import ipaddress
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from sandbox.environments import egress_inside
from sandbox.environments.confined import confined
from sandbox.environments.egress import Allowed, EgressProxy
from sandbox.protocol import SandboxUnavailable
from sandbox.python import base_interpreter

from .inside.attempt import ATTEMPTS
from .inside.fetch import FAMILY, REACHED
from .isolated import add_attempts, answers
from .record import Finding, outcome

_SECONDS = 300.0
_NAMES = {name: f"{name}.invalid" for name in ("allowed", "other", "private", "rebinding")}
_PUBLIC = "203.0.113.7"
"""Reserved for documentation (RFC 5737), and not a private address."""


class Proxy(Protocol):
    """What is probed; `EgressProxy`, and in the tests one that refuses nothing."""

    socket: Path

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


MakeProxy = Callable[[Allowed, Callable[[str, int], list[str]], Callable[[str, int], socket.socket]], Proxy]


def egress_proxy(
    allowed: Allowed, resolve: Callable[[str, int], list[str]], dial: Callable[[str, int], socket.socket]
) -> Proxy:
    return EgressProxy(allowed, "the probes", resolve=resolve, dial=dial)


def findings(folder: Path, secret: str, make_proxy: MakeProxy, confine: bool) -> Iterator[Finding]:
    """`secret` is in the environment of this process. Raises `SandboxUnavailable` when bubblewrap does not work here.
    Without `confine` the step runs as an ordinary process, for the tests."""
    attempts = [one for one in ATTEMPTS if one.family == FAMILY]
    beside, inside = folder / "beside.txt", folder / "step"
    beside.write_text(secret)
    inside.mkdir()
    add_attempts(inside)
    with contextlib.ExitStack() as stack:
        permitted, forbidden = (stack.enter_context(_server()) for _ in range(2))
        ports = {"permitted": permitted.getsockname()[1], "forbidden": forbidden.getsockname()[1]}
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://{_NAMES['other']}:{ports['forbidden']}/\r\n"
        _serve(permitted, lambda head: (redirect if b"/redirect" in head else "HTTP/1.1 200 OK\r\n").encode(), b"ok")
        _serve(forbidden, lambda head: b"HTTP/1.1 200 OK\r\n", REACHED)
        places = {(_NAMES["allowed"], ports["permitted"])}
        more = {(_NAMES[name], ports["forbidden"]) for name in ("private", "rebinding")}
        allowed = Allowed(frozenset(places | more), frozenset(places))
        out = stack.enter_context(make_proxy(allowed, _Names(), _dial))
        plan: dict[str, Any] = {
            **_NAMES, **ports, "beside": str(beside), "secret": secret, "names": [one.name for one in attempts]
        }  # fmt: skip
        said = answers(*_run(inside, out.socket, plan, confine), attempts)
    for one in attempts:
        through, evidence = said[one.name]
        yield Finding(FAMILY, one.name, one.what, outcome(through), evidence)


def _run(inside: Path, proxy: Path, plan: dict[str, Any], confine: bool) -> tuple[bytes, bytes]:
    script = Path(egress_inside.__file__)
    python = base_interpreter()
    command = [str(python), "-I", "-S", str(script), str(proxy), str(python), "-m", "inside", FAMILY]
    line: list[str] | None = command
    if confine:
        readable = [script, Path(sys.base_prefix), inside]
        line = confined(command, {"no_proxy": ""}, readable, [proxy.parent], inside, {})
    if line is None:
        raise SandboxUnavailable("bubblewrap, in which packages are fetched, does not work on this machine")
    done = subprocess.run(
        line, input=json.dumps(plan).encode(), capture_output=True, timeout=_SECONDS, check=False, cwd=inside,
        env={**({} if confine else os.environ), "PATH": os.defpath, "no_proxy": ""},
    )  # fmt: skip
    return done.stdout, done.stderr


class _Names:
    """A name service: every name leads to loopback, except the first answer for the name that is bound anew."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int) -> list[str]:
        self._asked[host] += 1
        if host == _NAMES["rebinding"] and self._asked[host] == 1:
            return [_PUBLIC]
        if host in _NAMES.values():
            return ["127.0.0.1"]
        return [socket.inet_ntoa(socket.inet_aton(host))]  # an address in any notation, as the C library reads it


def _dial(address: str, port: int) -> socket.socket:
    if not ipaddress.ip_address(address).is_loopback:
        raise OSError(f"the probes do not connect to {address}")
    return socket.create_connection((address, port), 5)


@contextlib.contextmanager
def _server() -> Iterator[socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield listener
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(listener: socket.socket, head: Callable[[bytes], bytes], body: bytes) -> None:
    """Answers one request for each connection, also when none comes, with a status line by `head` and a body."""

    def one(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(0.5)
            request = b""
            with contextlib.suppress(TimeoutError):
                while b"\r\n\r\n" not in request and len(request) < 1 << 16 and (chunk := client.recv(4096)):
                    request += chunk
            length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            client.sendall(head(request) + length + body)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
