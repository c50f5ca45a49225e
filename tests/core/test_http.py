"""What every service over HTTP may cost its callers, and what it is never told."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from core.http import Limits, Pauses, RateLimited, RequestRefused, Service, ServiceUnavailable
from core.http.limits import asked_pause
from core.ollama import OllamaServer
from tests.loopback_server import FaultyHandler, LoopbackServer

ONCE = Limits(seconds=5.0, retries=0, most_bytes=1 << 20)


class _Handler(FaultyHandler):
    def do_GET(self) -> None:
        self.owner.keys.append(self.headers.get("Authorization"))
        self.owner.paths.append(self.path)
        fault = self.fault()
        if fault == "moved":
            self.send(302, b"", {"Location": "/elsewhere"})
        elif fault == "packed":
            import gzip

            self.send(200, gzip.compress(b"[" + b" " * (8 << 20) + b"]"), {"Content-Encoding": "gzip"})
        elif fault == "spent":
            soon = str(int(time.time()) + 100)
            self.send(403, b"{}", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": soon})
        elif not self.misbehaved(fault, f"unknown key {self.headers.get('Authorization')}"):
            self.answer(200, {"models": []})


class _Server(LoopbackServer):
    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(_Handler)


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server()
    yield made
    made.stop()


def test_pauses_grow_and_a_requested_pause_is_honoured(server: _Server) -> None:
    server.faults.extend(["503", "429:7", "spent", "408"])
    waited: list[float] = []
    service = Service(server.url, pauses=Pauses(first=1.0, longest=4.0, longest_asked=900.0), sleep=waited.append)
    failed: list[tuple[bool, bool]] = []
    limits = Limits(5.0, 9, 1 << 20, on_failure=lambda seconds, again, worked: failed.append((again, worked)))
    assert service.json("GET", "/x", limits=limits) == {"models": []}
    assert 0 <= waited[0] <= 1 and waited[1] == 7 and 90 < waited[2] <= 100
    assert all(0 <= pause <= 4 for pause in waited[3:]) and len(waited) == 4
    assert failed == [(True, False)] * 4


def test_a_requested_pause_that_is_too_long_fails_immediately(server: _Server) -> None:
    server.always = "429:86400"
    service = Service(server.url, sleep=lambda seconds: pytest.fail("it waited"))
    with pytest.raises(RateLimited, match="asks for a pause of 86400 s") as caught:
        service.json("GET", "/x", limits=Limits(5.0, 4, 1 << 20))
    assert caught.value.seconds == 86400 and len(server.paths) == 1


def test_a_rate_limit_without_a_duration_has_a_default_pause(server: _Server) -> None:
    server.faults.append("429")
    waited: list[float] = []
    Service(server.url, pauses=Pauses(unsaid=60.0, longest_asked=60.0), sleep=waited.append).json(
        "GET", "/x", limits=Limits(5.0, 1, 1 << 20)
    )
    assert waited == [60.0]


def test_no_attempt_starts_after_the_deadline(server: _Server) -> None:
    server.always = "429:20"
    service = Service(server.url, sleep=lambda seconds: pytest.fail("it waited"))
    with pytest.raises(ServiceUnavailable, match="status 429"):
        service.json("GET", "/x", limits=Limits(5.0, 9, 1 << 20, until=time.monotonic() + 10))


def test_a_redirect_is_not_followed(server: _Server) -> None:
    server.always = "moved"
    with pytest.raises(RequestRefused) as caught:
        Service(server.url).json("GET", "/x", limits=ONCE)
    assert caught.value.status == 302 and server.paths == ["/x"]


@pytest.mark.parametrize("fault", ["huge", "packed"])
def test_the_size_of_a_compressed_answer_is_limited_too(server: _Server, fault: str) -> None:
    server.always = fault
    with pytest.raises(ServiceUnavailable, match="more than 1048576 bytes"):
        Service(server.url).json("GET", "/x", limits=ONCE)


@pytest.mark.parametrize("status", ["401", "500"])
def test_a_key_that_the_service_echoes_is_not_in_the_message(
    server: _Server, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    server.always = status
    with pytest.raises(ServiceUnavailable, match=r"unknown key Bearer \*\*\*") as caught:
        Service(server.url, key_variable="SOME_KEY").json("GET", "/x?token=1", limits=ONCE)
    assert "sk-very-secret" not in str(caught.value) and "token" not in str(caught.value)
    assert server.keys == ["Bearer sk-very-secret"]


def test_ollamas_client_sends_no_key_of_the_environment(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-of-another-service")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert OllamaServer(Service(server.url)).models(ONCE) == {}
    assert server.keys == [None]


@pytest.mark.parametrize("answer", [b"[]", b'{"models": 3}', b'{"models": [3]}', b"{}"])
def test_an_answer_that_is_not_ollamas_is_unavailable(
    server: _Server, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_Handler.raw, "odd", answer)
    server.always = "odd"
    with pytest.raises(ServiceUnavailable, match="not like the API of ollama"):
        OllamaServer(Service(server.url)).models(ONCE)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "12"}, 12.0),
        (503, {"retry-after": " 0 "}, 0.0),
        (403, {"retry-after": "5"}, 5.0),
        (403, {}, None),
        (404, {"retry-after": "5"}, None),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "9" * 400}, None),
        (429, {"x-ratelimit-remaining": "3", "x-ratelimit-reset": "9999999999"}, None),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "0"}, 1.0),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "x"}, None),
    ],
)
def test_the_requested_pause_is_read_from_the_headers(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert asked_pause(status, headers) == seconds


def test_the_requested_pause_may_be_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert asked_pause(429, {"retry-after": when}) == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("module", ["core.http", "core.chat", "core.embedding", "core.chat.served", "core.ollama"])
def test_clients_are_imported_by_the_first_request(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('httpx', 'tenacity', 'ollama') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pull_reports_its_progress_and_its_failure(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'{"status": "pulling"}\n{"status": "pulling", "completed": 3, "total": 7}\n'
    monkeypatch.setitem(_Handler.raw, "pulled", lines + b'{"status": "success"}\n')
    monkeypatch.setitem(_Handler.raw, "missing", lines + b'{"error": "file does not exist"}\n')
    monkeypatch.setattr(_Handler, "do_POST", _Handler.do_GET, raising=False)
    reported: list[Any] = []
    server.faults.append("pulled")
    OllamaServer(Service(server.url)).pull("tiny", lambda *progress: reported.append(progress))
    assert reported == [(0, 0), (3, 7), (0, 0)]
    for fault, reason in (("missing", "file does not exist"), ("404", "answered 404")):
        server.faults.append(fault)
        with pytest.raises(ServiceUnavailable, match=f"cannot pull tiny: .*{reason}"):
            OllamaServer(Service(server.url)).pull("tiny", lambda done, total: None)
