"""The gateway as a process: it starts fast, ends well, survives its database, and loses nothing when killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.credentials import load_or_make
from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM

ROOT = Path(__file__).parents[2]

Stored = Callable[[str], list[tuple[Any, ...]]]


def test_the_gateway_becomes_ready_and_ends_at_sigterm(
    run_gateway: Callable[..., Any], sender: Any, http: httpx.Client
) -> None:
    with run_gateway() as (process, url):
        assert http.get(f"{url}/healthz").status_code == 200
        assert http.get(f"{url}/readyz").status_code == 200
        request = sender.github({}, event="ping")
        assert http.post(url + request.pop("url"), **request).status_code == 202
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


def test_the_logs_are_json_and_hold_no_secret(
    run_gateway: Callable[..., Any],
    sender: Any,
    credentials: Any,
    authorised: dict[str, str],
    issue: dict[str, Any],
    http: httpx.Client,
    tmp_path: Path,
) -> None:
    issue["issue"]["body"] = "private words"
    with run_gateway(PENSTOCK_LOG_LEVEL="debug") as (process, url):
        request = sender.github(issue, delivery="d1")
        http.post(url + request.pop("url"), **request)
        http.get(f"{url}/tasks?cursor=private-query", headers=authorised)
        process.send_signal(signal.SIGTERM)
        process.wait(300)
    [log] = tmp_path.glob("gateway-*.log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["outcome"] for line in lines if line.get("delivery") == "github:d1"] == ["ignored"]
    secrets = (credentials.api_token, *credentials.github_secrets, *credentials.generic_secrets)
    for secret in (*secrets, request["headers"]["X-Hub-Signature-256"], "private words", "private-query"):
        assert secret not in log.read_text()


def test_without_a_database_setting_the_error_says_what_to_do(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=environment | {"PENSTOCK_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2
    assert "PENSTOCK_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_start_creates_a_token_that_works(
    run_gateway: Callable[..., Any], settings: Any, http: httpx.Client
) -> None:
    with run_gateway() as (_, url):
        headers = {"Authorization": f"Bearer {load_or_make(settings).api_token}"}
        assert http.get(f"{url}/tasks", headers=headers).status_code == 200


def test_a_gateway_killed_between_deliveries_loses_and_duplicates_none(
    run_gateway: Callable[..., Any],
    sender: Any,
    issue: dict[str, Any],
    add_source: Callable[..., None],
    database: Database,
    stored: Stored,
    http: httpx.Client,
) -> None:
    add_source()
    names = [f"d{number}" for number in range(120)]
    acknowledged: list[str] = []
    enough = threading.Event()

    def deliver(url: str, name: str) -> int | None:
        request = sender.github(issue, delivery=name)
        try:
            answer = http.post(url + request.pop("url"), **request)
        except httpx.TransportError:
            return None
        if answer.status_code == 202:
            acknowledged.append(name)
            if len(acknowledged) >= 20:
                enough.set()
        return answer.status_code

    with run_gateway() as (process, url), ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(deliver, url, name) for name in names]
        assert enough.wait(300)
        process.send_signal(signal.SIGKILL)
        outcomes = [one.result() for one in sent]
    assert None in outcomes, "the gateway was killed too late to show anything"
    before = list(acknowledged)
    kept = stored("SELECT d.id, t.event_id FROM deliveries d FULL JOIN tasks t ON t.event_id = d.id")
    assert {f"github:{name}" for name in before} <= {delivery for delivery, _ in kept}
    assert all(delivery == event for delivery, event in kept)

    with run_gateway() as (_, url), ThreadPoolExecutor(6) as pool:
        again = list(pool.map(lambda name: deliver(url, name), names))
    # What was committed in the moment of the kill may be more than what was seen above.
    assert set(again) == {200, 202}
    assert again.count(200) >= len(kept)
    assert stored("SELECT count(*), count(DISTINCT event_id) FROM tasks") == [(120, 120)]
    records = PostgresLog(database).read("penstock.tasks", {}).records
    assert sorted(record.event.id for record in records) == sorted(f"github:{name}" for name in names)


@pytest.fixture
def own_server() -> Iterator[tuple[EmbeddedServer, Path]]:
    """A database server that this test may stop, and its folder."""
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        server.ensure_database("own")
        upgrade(server.url("own", owner=True), login=LOGIN)
        yield server, Path(folder) / "data"


def test_while_the_database_is_down_deliveries_are_refused_and_afterwards_accepted(
    own_server: tuple[EmbeddedServer, Path],
    run_gateway: Callable[..., Any],
    sender: Any,
    issue: dict[str, Any],
    http: httpx.Client,
) -> None:
    server, data = own_server
    url_of_database = server.url("own")
    with run_gateway(PENSTOCK_DATABASE_URL=url_of_database) as (process, url):
        request = sender.github(issue, delivery="before")
        assert http.post(url + request.pop("url"), **request).status_code == 202
        server.release()
        request = sender.github(issue, delivery="during")
        refused = http.post(url + request.pop("url"), **request)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert http.get(f"{url}/healthz").status_code == 200
        assert http.get(f"{url}/readyz").json()["database"] == "cannot be reached"
        server = EmbeddedServer(data)
        try:
            assert server.url("own") == url_of_database
            deadline = time.monotonic() + 300
            while http.get(f"{url}/readyz").status_code != 200:
                assert time.monotonic() < deadline
                assert process.poll() is None
            request = sender.github(issue, delivery="during")
            assert http.post(url + request.pop("url"), **request).status_code == 202
            database = Database(url_of_database)
            with database.team(DEFAULT_TEAM) as connection:
                rows = connection.execute("SELECT id FROM deliveries ORDER BY id").fetchall()
            database.close()
            assert rows == [("github:before",), ("github:during",)]
        finally:
            server.release()
