"""Attempts to reach a forbidden listener from the step that fetches packages, whose only way out is a proxy.

The plan names `allowed`, `other`, `private` and `rebinding` (host names), and the ports `permitted` and `forbidden`. A
forbidden listener answers with `REACHED`.
"""

import contextlib
import os
import socket
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit

from . import files, proc
from .attempt import Plan, Refused, attempt

FAMILY = "fetch step"
REACHED = b"forbidden-reached"
_SECONDS = 5.0
_MOST = 1 << 16
_HEADER = 256 << 10


def _say(request: bytes) -> bytes:
    """The whole answer of the proxy to a request."""
    address = urlsplit(os.environ["HTTPS_PROXY"])
    answer = b""
    with socket.create_connection((address.hostname or "", address.port or 0), _SECONDS) as one:
        one.settimeout(_SECONDS)
        with contextlib.suppress(ConnectionError):
            one.sendall(request)
            one.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while len(answer) < _MOST and (chunk := one.recv(4096)):
                answer += chunk
    return answer


def _connect(places: Iterable[str]) -> str:
    return _send(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode() for place in places)


def _send(requests: Iterable[bytes]) -> str:
    refusals = []
    for request in requests:
        answer = _say(request)
        if REACHED in answer:
            return f"the forbidden listener answered {request[:60]!r}"
        refusals.append((answer.partition(b"\r\n")[0] or b"closed").decode(errors="replace").removeprefix("HTTP/1.1 "))
    count = f"{len(refusals)} requests: " if len(refusals) > 1 else ""
    raise Refused(f"{count}{', '.join(dict.fromkeys(refusals))}")


@attempt(FAMILY, "around the proxy", "connects to a listener of the host without the proxy")
def around(plan: Plan) -> str:
    with socket.create_connection(("127.0.0.1", plan["forbidden"]), 3) as one:
        return f"connected: {one.recv(20)!r}"


@attempt(FAMILY, "other host", "asks the proxy for a host that is not allowed")
def other_host(plan: Plan) -> str:
    return _connect([f"{plan['other']}:{plan['forbidden']}"])


@attempt(FAMILY, "other port", "asks the proxy for another port of the allowed host")
def other_port(plan: Plan) -> str:
    return _connect([f"{plan['allowed']}:{plan['forbidden']}"])


@attempt(FAMILY, "plain address", "asks the proxy for an address instead of a name")
def plain_address(plan: Plan) -> str:
    return _connect([f"127.0.0.1:{plan['forbidden']}"])


@attempt(
    FAMILY, "disguised address", "asks the proxy for the same address in other notations (decimal, hex, mapped, ...)"
)
def disguised_address(plan: Plan) -> str:
    notations = ("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1.")
    return _connect(f"{notation}:{plan['forbidden']}" for notation in notations)


@attempt(FAMILY, "private address", "asks the proxy for an allowed name that leads to a private address")
def private_address(plan: Plan) -> str:
    return _connect([f"{plan['private']}:{plan['forbidden']}"])


@attempt(
    FAMILY, "DNS rebinding", "asks for an allowed name whose address changes to a private one after the first answer"
)
def rebinding(plan: Plan) -> str:
    return _connect([f"{plan['rebinding']}:{plan['forbidden']}"] * 3)


@attempt(FAMILY, "redirect", "follows a redirect of the allowed host to another one")
def redirect(plan: Plan) -> str:
    address = f"http://{plan['allowed']}:{plan['permitted']}/redirect"
    with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
        if REACHED not in answer.read(_MOST):
            raise Refused("the redirect was not followed")
    return "the other host answered"


@attempt(FAMILY, "CONNECT smuggling", "hides a second host in a request for the allowed one")
def smuggling(plan: Plan) -> str:
    good, bad = f"{plan['allowed']}:{plan['permitted']}", f"{plan['other']}:{plan['forbidden']}"
    return _send(
        request.encode()
        for request in (
            f"CONNECT {good}@{bad} HTTP/1.1\r\n\r\n",
            f"CONNECT {good}#@{bad} HTTP/1.1\r\n\r\n",
            f"CONNECT {bad}?{good} HTTP/1.1\r\n\r\n",
            f"CONNECT {good} HTTP/1.1 {bad} HTTP/1.1\r\n\r\n",
            f"CONNECT {bad}\0{good} HTTP/1.1\r\n\r\n",
            f"CONNECT {good}\nCONNECT {bad} HTTP/1.1\r\n\r\n",
            f"CONNECT {good} HTTP/1.1\r\nHost: {bad}\r\n\r\n",
            f"CONNECT\t{bad} HTTP/1.1\r\n\r\n",
            f"GET http://{good}@{bad}/ HTTP/1.1\r\n\r\n",
            f"GET http://{good}/ HTTP/1.1\r\nHost: {bad}\r\nX-Forwarded-Host: {bad}\r\n\r\n",
        )
    )


@attempt(FAMILY, "second request", "sends a request for another host behind one for the allowed host")
def second_request(plan: Plan) -> str:
    good, bad = f"{plan['allowed']}:{plan['permitted']}", f"{plan['other']}:{plan['forbidden']}"
    first = f"GET http://{good}/ HTTP/1.1\r\nHost: {good}\r\n"
    return _send(
        (f"{first}{length}\r\n{method} {place} HTTP/1.1\r\nHost: {bad}\r\n\r\n").encode()
        for length in ("", "Content-Length: 0\r\n")
        for method, place in (("CONNECT", bad), ("GET", f"http://{bad}/"))
    )


@attempt(FAMILY, "oversized headers", "sends 256 KiB of headers with a request for the allowed host")
def oversized(plan: Plan) -> str:
    line = f"CONNECT {plan['allowed']}:{plan['permitted']} HTTP/1.1\r\n".encode()
    answer = _say(line + b"X-Padding: " + b"x" * _HEADER + b"\r\n\r\n")
    status = answer.partition(b"\r\n")[0].decode(errors="replace")
    if " 200 " in status:
        return "the proxy took them"
    raise Refused(status.removeprefix("HTTP/1.1 ") or "the connection was closed")


attempt(FAMILY, "files of the host (fetch)", "reads a file of the host by its path")(files.beside)
attempt(FAMILY, "write to the system (fetch)", "creates a file in /usr/bin, and opens one for writing")(
    files.write_programs
)
attempt(FAMILY, "kernel settings (fetch)", "opens each file of /proc/sys, and sysrq-trigger, for writing")(
    proc.settings
)
attempt(
    FAMILY, "environment of the parent (fetch)", "looks for a secret in /proc/PID/environ of every visible process"
)(files.environments)
