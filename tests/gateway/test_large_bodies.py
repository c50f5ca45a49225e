"""Bodies of many megabytes, from clients as senders use them: accepted up to the limit, and else refused readably."""

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from core.signatures import sign_github

MIB = 1 << 20
LIMIT = 25 * MIB
TOO_LARGE = LIMIT + 3 * MIB

curl = pytest.mark.skipif(
    shutil.which("curl") is None and os.environ.get("CI") != "true",
    reason="curl is not installed: apt-get install curl",
)


@pytest.fixture
def url(serve: Callable[..., Any]) -> Iterator[str]:
    with serve(body_seconds=120) as address:
        yield address


def _pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


def _ping(size: int) -> bytes:
    body = b'{"zen": "' + b"x" * (size - 11) + b'"}'
    assert len(body) == size
    return body


def test_a_body_of_25_mib_is_accepted(url: str, sender: Any, http: httpx.Client) -> None:
    request = sender.github(_ping(LIMIT), event="ping")
    assert http.post(url + request.pop("url"), **request).status_code == 202


def _says_too_large(status: int, body: bytes) -> None:
    assert (status, json.loads(body)["code"]) == (413, "too-large")
    assert str(LIMIT) in json.loads(body)["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_httpx_reads_the_refusal(url: str, http: httpx.Client, chunked: bool) -> None:
    content: Any = _pieces(TOO_LARGE) if chunked else b"x" * TOO_LARGE
    answer = http.post(f"{url}/webhooks/github", content=content)
    _says_too_large(answer.status_code, answer.content)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [TOO_LARGE, 150 * MIB])
def test_http_client_which_sends_all_before_it_reads_reads_the_refusal(url: str, chunked: bool, size: int) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    headers = {} if chunked else {"Content-Length": str(size)}
    connection.request("POST", "/webhooks/github", _pieces(size), headers, encode_chunked=chunked)
    answer = connection.getresponse()
    _says_too_large(answer.status, answer.read())


@curl
@pytest.mark.parametrize(
    "options",
    [
        ["-H", "Expect:"],
        ["-H", "Expect: 100-continue"],
        ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"],
        ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"],
        ["--http1.0"],
    ],
)
def test_curl_reads_the_refusal(url: str, tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"x" * TOO_LARGE)
    done = subprocess.run(
        ["curl", "-sS", "--data-binary", f"@{file}", "-w", "\n%{http_code}", *options, f"{url}/webhooks/github"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    body, _, status = done.stdout.rpartition(b"\n")
    _says_too_large(int(status), body)
    assert done.returncode == 0, done.stderr


@curl
def test_curl_that_waits_to_continue_delivers_a_large_body(url: str, credentials: Any, tmp_path: Path) -> None:
    body, file = _ping(20 * MIB), tmp_path / "body"
    file.write_bytes(body)
    headers = {
        "Expect": "100-continue",
        "Content-Type": "application/json",
        "X-GitHub-Event": "ping",
        "X-GitHub-Delivery": "d1",
        "X-Hub-Signature-256": sign_github(credentials.github_secrets[0], body),
    }
    lines = [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        ["curl", "-sS", "--data-binary", f"@{file}", *lines, f"{url}/webhooks/github"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert json.loads(done.stdout)["delivery"] == "github:d1", done.stderr


def test_a_request_of_the_api_is_limited_to_1_mib(url: str, http: httpx.Client, authorised: dict[str, str]) -> None:
    answer = http.post(f"{url}/tasks", content=b"[" + b"1," * MIB + b"1]", headers=authorised)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert str(MIB) in answer.json()["error"]


def _peak_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10


def test_ten_bodies_of_25_mib_at_once_are_accepted_in_bounded_memory(
    run_gateway: Callable[..., Any], sender: Any, http: httpx.Client
) -> None:
    commit = {"id": "a" * 40, "message": "Total " * 5, "added": ["a/b/c.py"], "author": {"name": "Ada"}}
    body = json.dumps({"zen": [commit] * 150_000}).encode()
    assert 20 * MIB < len(body) <= LIMIT
    with run_gateway() as (process, url):
        small = sender.github({}, event="ping")
        assert http.post(url + small.pop("url"), **small).status_code == 202
        idle = _peak_mib(process.pid)

        def send(number: int) -> int:
            request = sender.github(body, event="ping", delivery=f"d{number}")
            with httpx.Client(timeout=300) as client:
                return client.post(url + request.pop("url"), **request).status_code

        with ThreadPoolExecutor(10) as pool:
            statuses = list(pool.map(send, range(10)))
        grown = _peak_mib(process.pid) - idle
    assert statuses.count(202) >= 4, statuses
    assert set(statuses) <= {202, 503}, statuses
    print(f"idle {idle} MiB, grown by {grown} MiB, statuses {statuses}")  # noqa: T201
    assert grown < 500
