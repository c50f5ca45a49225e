"""The way out of the step that fetches packages: allowed hosts, and nothing else."""

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sandbox.environments import egress
from sandbox.environments.confined import confined
from sandbox.environments.egress import Allowed, EgressProxy, allowed_hosts, is_internal
from sandbox.environments.prepare import Options

_INSIDE = Path(egress.__file__).with_name("egress_inside.py")


@pytest.fixture
def server() -> Iterator[int]:
    """A server on loopback that answers one line in upper case; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                data = client.recv(4096)
                client.sendall(data.upper() if data.startswith(b"hello") else b"HTTP/1.1 200 OK\r\n\r\n" + data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def say(proxy: EgressProxy, text: bytes, then: bytes = b"") -> bytes:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        client.settimeout(15)
        client.connect(str(proxy.socket))
        client.sendall(text)
        answer = client.recv(4096)
        if then and b" 200 " in answer:
            client.sendall(then)
            answer = client.recv(4096)
        return answer


def named(port: int, host: str = "127.0.0.1") -> Allowed:
    place = frozenset({(host, port)})
    return Allowed(place, place)


def test_an_allowed_place_is_reached_and_logged(server: int) -> None:
    with EgressProxy(named(server), "me") as proxy:
        assert say(proxy, f"CONNECT 127.0.0.1:{server} HTTP/1.1\r\n\r\n".encode(), b"hello\n") == b"HELLO\n"
        assert [(one.host, one.port, one.allowed) for one in proxy.decisions] == [("127.0.0.1", server, True)]


@pytest.mark.parametrize(
    ("request_line", "why"),
    [
        ("CONNECT other.invalid:443 HTTP/1.1", "other.invalid:443 is not allowed"),
        ("CONNECT 127.0.0.1:1 HTTP/1.1", "127.0.0.1:1 is not allowed"),
        ("CONNECT 127.0.0.1:{port}@other.invalid:443 HTTP/1.1", "no host and port"),
        ("CONNECT 127.0.0.1:{port}/x HTTP/1.1", "no host and port"),
        ("CONNECT 127.0.0.1 HTTP/1.1", "no host and port"),
        ("CONNECT 127.0.0.1:{port} HTTP/1.1 CONNECT other.invalid:443", "no HTTP/1 request line"),
        ("GET http://user@127.0.0.1:{port}/ HTTP/1.1", "no plain http address"),
        ("GET http://other.invalid/ HTTP/1.1", "other.invalid:80 is not allowed"),
        ("GET /etc/passwd HTTP/1.1", "no plain http address"),
        ("POST http://127.0.0.1:{port}/ HTTP/1.1", "method POST"),
        ("\x16\x03\x01", "no HTTP/1 request line"),
    ],
)
def test_anything_else_is_refused_and_logged(server: int, request_line: str, why: str) -> None:
    with EgressProxy(named(server)) as proxy:
        answer = say(proxy, request_line.format(port=server).encode() + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert why in proxy.refusals[0].why


def test_each_decision_is_logged_once_for_whom_it_was_made(server: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", egress.__name__)
    with EgressProxy(named(server), Options(Path(), "team/source@main", task="17").served) as proxy:
        say(proxy, f"CONNECT 127.0.0.1:{server} HTTP/1.1\r\n\r\n".encode(), b"hello\n")
        for _ in range(3):
            say(proxy, b"CONNECT other.invalid:443 HTTP/1.1\r\n\r\n")
    assert len(proxy.refusals) == 3, "what is logged once is on record each time"
    assert [record.getMessage() for record in caplog.records] == [
        f"egress for task 17: 127.0.0.1:{server}",
        "egress for task 17 refused: other.invalid:443 is not allowed",
    ]


def test_a_head_that_is_too_large_is_refused(server: int) -> None:
    with EgressProxy(named(server)) as proxy:
        line = f"CONNECT 127.0.0.1:{server} HTTP/1.1\r\n".encode()
        assert say(proxy, line + b"X: " + b"x" * (20 << 10)).startswith(b"HTTP/1.1 403 ")
        assert "more than" in proxy.refusals[0].why


def test_a_head_that_does_not_end_is_refused_in_time(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_HEAD_SECONDS", 0.2)
    with EgressProxy(named(server)) as proxy:
        assert say(proxy, b"CONNECT ").startswith(b"HTTP/1.1 403 ")
        assert "too long" in proxy.refusals[0].why


def test_a_name_that_leads_to_a_private_address_is_refused(server: int) -> None:
    place = frozenset({("localhost", server)})
    with EgressProxy(Allowed(place)) as proxy:
        assert say(proxy, f"CONNECT localhost:{server} HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 ")
        assert "private address" in proxy.refusals[0].why
    with EgressProxy(Allowed(place, place)) as proxy:
        assert b" 200 " in say(proxy, f"CONNECT localhost:{server} HTTP/1.1\r\n\r\n".encode())


def test_a_plain_request_reaches_the_server_without_the_proxys_headers(server: int) -> None:
    with EgressProxy(named(server)) as proxy:
        line = f"GET http://127.0.0.1:{server}/simple/?a=b HTTP/1.1\r\nHost: x\r\nProxy-Authorization: secret\r\n\r\n"
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
            client.connect(str(proxy.socket))
            client.sendall(line.encode())
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert b"GET /simple/?a=b HTTP/1.1\r\nHost: x\r\nConnection: close" in answer
        assert b"secret" not in answer


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "192.168.0.1", "100.64.0.1", "0.1.2.3", "::1", "fe80::1",
                "fd00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_internal_addresses_are_known(address: str) -> None:
    assert is_internal(ipaddress.ip_address(address))


def test_public_addresses_are_not_internal() -> None:
    assert not is_internal(ipaddress.ip_address("8.8.8.8"))
    assert not is_internal(ipaddress.ip_address("2606:4700::1"))


def test_the_hosts_of_an_index_and_further_ones_are_allowed() -> None:
    found = allowed_hosts("https://user:secret@Index.invalid/simple", ("files.invalid", "other.invalid:8443"))
    assert found.hosts == {("index.invalid", 443), ("files.invalid", 443), ("other.invalid", 8443)}
    assert allowed_hosts("").hosts, "pip names the hosts of its default index"


_TRY = """
import os, socket, sys, urllib.request
def attempt(name, what):
    try:
        print(name, what())
    except OSError as error:
        print(name, "refused")
port = int(sys.argv[1])
attempt("direct", lambda: socket.create_connection(("127.0.0.1", port), 3))
attempt("address", lambda: socket.create_connection(("192.0.2.1", 443), 3))
attempt("name", lambda: socket.getaddrinfo("example.org", 443))
attempt("file", lambda: open("/root/.bashrc").read() or os.listdir("/home"))
attempt("write", lambda: open("/usr/penstock", "w"))
attempt("proxy", lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/ok", timeout=5).status)
attempt("elsewhere", lambda: urllib.request.urlopen("http://other.invalid/", timeout=5).status)
"""


def test_the_step_reaches_the_proxy_and_nothing_else(server: int, tmp_path: Path) -> None:
    import subprocess

    with EgressProxy(named(server)) as proxy:
        command = [
            sys.executable,
            "-I",
            "-S",
            str(_INSIDE),
            str(proxy.socket),
            sys.executable,
            "-S",
            "-c",
            _TRY,
            str(server),
        ]
        readable = [_INSIDE, Path(sys.base_prefix), Path(sys.prefix)]
        line = confined(command, {"no_proxy": ""}, readable, [proxy.socket.parent, tmp_path], tmp_path, {})
        if line is None:
            pytest.skip("bubblewrap does not work here")
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "direct refused", "address refused", "name refused", "file refused", "write refused", "proxy 200",
        "elsewhere refused",
    ], done.stderr  # fmt: skip
