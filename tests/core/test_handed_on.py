"""Texts that a service hands out at another host: over TLS, at an address that was checked, and bounded."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.http import Service, ServiceUnavailable, handed_on
from core.http.handed_on import read_end
from deploy.fake_forge.storage import Storage
from tests.git_server import GitServer


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """One whose certificate is for `localhost`, and is trusted."""
    made = GitServer(tmp_path, tmp_path)
    made.stop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, tmp_path / "server.key")
    monkeypatch.setattr("certifi.where", lambda: str(made.certificate))
    found = Storage(context)
    yield found
    found.stop()


@pytest.fixture
def front() -> Iterator[Storage]:
    """The service, which leads elsewhere."""
    made = Storage()
    made.status = 302
    yield made
    made.stop()


def _service(front: Storage) -> Service:
    return Service(front.url, headers=lambda: {"Authorization": "Bearer s3cret"})


def test_the_host_is_connected_to_at_the_address_that_was_checked(front: Storage, storage: Storage) -> None:
    front.location = storage.hand_out(b"begin end").replace("127.0.0.1", "localhost")
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    assert read_end(_service(front), "/log", 3, resolve=resolve) == b"end"
    port = int(storage.url.rpartition(":")[2])
    assert asked == [("localhost", port)]
    [(_, _, headers)] = storage.requests
    assert headers["host"] == f"localhost:{port}"
    assert "authorization" not in headers
    assert front.requests[0][2]["authorization"] == "Bearer s3cret"


def test_a_host_that_is_not_the_one_of_its_certificate_is_sent_nothing(front: Storage, storage: Storage) -> None:
    front.location = storage.hand_out(b"text").replace("127.0.0.1", "logs.example.org")
    with pytest.raises(ServiceUnavailable, match=r"logs\.example\.org") as refused:
        read_end(_service(front), "/log", 9, resolve=lambda *_: ["127.0.0.1"])
    assert storage.requests == []
    assert "sig=" not in str(refused.value), "the address itself is the permission"


def test_a_private_host_is_refused(front: Storage, storage: Storage) -> None:
    front.location = storage.hand_out(b"text").replace("127.0.0.1", "localhost")
    with pytest.raises(ServiceUnavailable, match="not a public address"):
        read_end(_service(front), "/log", 9)
    assert storage.requests == []


def test_a_text_of_unknown_length_that_never_ends_is_given_up(front: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_on, "MOST_READ", 1_000)
    monkeypatch.setattr(handed_on, "_length", lambda *_: None)
    elsewhere = Storage()
    try:
        front.location = elsewhere.hand_out(b"x" * 5_000)
        with pytest.raises(ServiceUnavailable, match="more than 1000 bytes"):
            read_end(_service(front), "/log", 9)
    finally:
        elsewhere.stop()


def test_a_text_that_the_service_has_itself_is_read_there(front: Storage) -> None:
    front.status = 0
    path = front.hand_out(b"line\n" * 1_000 + b"end").removeprefix(front.url)
    assert read_end(_service(front), path, 8) == b"line\nend"


@pytest.mark.parametrize(
    ("sizes", "most"), [([3, 4, 5], 4), ([3, 4, 5], 5), ([3, 4, 5], 6), ([1] * 9, 4), ([2], 9), ([], 4)]
)
def test_the_end_of_parts_is_that_of_the_whole(sizes: list[int], most: int) -> None:
    whole = bytes(range(sum(sizes)))
    parts, at = [], 0
    for size in sizes:
        parts.append(whole[at : at + size])
        at += size
    assert handed_on._end(parts, most) == whole[-most:]


def test_only_the_services_own_host_is_read_over_plain_http(front: Storage) -> None:
    elsewhere = Storage()
    try:
        front.location = elsewhere.hand_out(b"text").replace("127.0.0.1", "localhost")
        with pytest.raises(ServiceUnavailable, match="not safe to read from"):
            read_end(_service(front), "/log", 9, resolve=lambda *_: ["127.0.0.1"])
        assert elsewhere.requests == []
        front.location = elsewhere.hand_out(b"text")
        assert (
            read_end(_service(front), "/log", 9, resolve=lambda *_: pytest.fail("it is the service's own")) == b"text"
        )
    finally:
        elsewhere.stop()
