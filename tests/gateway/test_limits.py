"""Bodies and connections that are too large, too slow or lie, over a real socket where that matters."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from core.signatures import sign_github

LIMIT = 64 << 10

Stored = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def url(serve: Callable[..., Any]) -> Iterator[str]:
    with serve(settings={"max_body_bytes": LIMIT}) as address:
        yield address


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)


def _head(*lines: str, path: str = "/webhooks/github") -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: x", *lines, "", "")).encode()


def _status(connection: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer and (more := connection.recv(65536)):
        answer += more
    return int(answer.split(b" ", 2)[1])


def _closed(connection: socket.socket, within: float) -> bool:
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def test_a_body_at_the_limit_is_read_and_one_over_it_is_not(
    make_client: Callable[..., TestClient], sender: Any
) -> None:
    client = make_client(max_body_bytes=LIMIT)
    body = b'{"pad": "' + b"x" * (LIMIT - 11) + b'"}'
    assert client.request("POST", **sender.github(body, event="ping")).status_code == 202
    answer = client.request("POST", **sender.github(body + b" ", event="ping"))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize("path", ["/webhooks/github", "/webhooks/generic", "/tasks"])
def test_a_stream_over_the_limit_is_refused_without_reading_on(
    make_client: Callable[..., TestClient], authorised: dict[str, str], path: str
) -> None:
    client = make_client(max_body_bytes=LIMIT)
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while read < 100 * LIMIT:
            read += 4096
            yield b"x" * 4096

    answer = client.post(path, content=endless(), headers=authorised | {"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_a_declared_length_over_the_limit_is_refused_before_any_of_the_body(url: str) -> None:
    with closing(_connect(url)) as connection:
        connection.sendall(_head(f"Content-Length: {LIMIT + 1}"))
        assert _status(connection) == 413
        assert _closed(connection, 300)


def test_a_chunked_body_over_the_limit_is_refused_and_its_connection_closed(url: str) -> None:
    with closing(_connect(url)) as connection:
        connection.sendall(_head("Transfer-Encoding: chunked"))
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        for _ in range(LIMIT // 4096 + 1):
            connection.sendall(chunk)
        assert _status(connection) == 413
        assert _closed(connection, 300)


@pytest.mark.parametrize(
    "line", ["Content-Length: -1", "Content-Length: many", "Content-Length: 1\r\nContent-Length: 2"]
)
def test_a_malformed_content_length_is_refused(url: str, line: str) -> None:
    with closing(_connect(url)) as connection:
        connection.sendall(_head(line) + b"{}")
        assert _status(connection) == 400


def test_a_client_of_a_common_library_sees_the_refusal_of_a_large_body(url: str, http: httpx.Client) -> None:
    answer = http.post(f"{url}/webhooks/github", content=b"x" * (4 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_a_body_shorter_than_declared_stores_nothing(
    url: str, sender: Any, issue: dict[str, Any], stored: Stored
) -> None:
    request = sender.github(issue)
    lines = [f"{name}: {value}" for name, value in request["headers"].items()]
    with closing(_connect(url)) as connection:
        connection.sendall(_head(*lines, f"Content-Length: {len(request['content']) + 10}") + request["content"])
        connection.shutdown(socket.SHUT_WR)
        assert _closed(connection, 300)
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert stored("SELECT * FROM deliveries") == []


def test_what_follows_a_body_longer_than_declared_is_not_part_of_it(url: str, credentials: Any, stored: Stored) -> None:
    lines = [
        "X-GitHub-Event: ping",
        "X-GitHub-Delivery: d1",
        f"X-Hub-Signature-256: {sign_github(credentials.github_secrets[0], b'{}')}",
        "Content-Length: 2",
    ]
    with closing(_connect(url)) as connection:
        connection.sendall(_head(*lines) + b"{}garbage\r\n\r\n")
        assert _status(connection) == 202
        assert _closed(connection, 300)
    assert stored("SELECT id FROM deliveries") == [("github:d1",)]


def test_slow_clients_are_disconnected_and_others_are_served_meanwhile(
    serve: Callable[..., Any], sender: Any, http: httpx.Client
) -> None:
    with (
        serve(header_seconds=0.5, body_seconds=0.5) as url,
        closing(_connect(url)) as silent,
        closing(_connect(url)) as half_a_head,
        closing(_connect(url)) as half_a_body,
    ):
        half_a_head.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-A: ")
        half_a_body.sendall(_head("Content-Length: 100") + b"{")
        request = sender.github({}, event="ping")
        assert http.post(url + request.pop("url"), **request).status_code == 202
        assert _status(half_a_body) == 408
        assert _closed(half_a_body, 300)
        assert _closed(half_a_head, 300)
        assert _closed(silent, 300)


def test_a_client_that_keeps_sending_after_a_refusal_is_disconnected(serve: Callable[..., Any]) -> None:
    with serve(header_seconds=0.5) as url, closing(_connect(url)) as connection:
        connection.sendall(_head("Transfer-Encoding: chunked", path="/tasks"))
        assert _status(connection) == 401
        deadline = time.monotonic() + 300
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < deadline:
                connection.sendall(b"1\r\nx\r\n")
                time.sleep(0.02)


def test_endless_headers_are_refused(url: str) -> None:
    with closing(_connect(url)) as connection:
        try:
            for _ in range(100):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 16384)
        except (BrokenPipeError, ConnectionResetError):
            return
        assert _closed(connection, 300)
