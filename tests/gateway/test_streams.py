import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from core.access.audit import Actor
from core.access.roles import Role
from core.attempts import Attempt
from core.database import Database
from core.events import DEFAULT_TEAM
from core.states import TaskState
from gateway.callers import Caller
from gateway.streams import Position, still_valid

Told = tuple[str, str, dict[str, Any]]


def _read(lines: Iterator[str]) -> Iterator[Told]:
    """(event, id, data) of each server-sent event."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


@pytest.fixture
def task(client: TestClient, authorised: dict[str, str], add_source: Callable[..., None]) -> uuid.UUID:
    add_source()
    return uuid.UUID(
        client.post("/tasks", json={"source": "hello", "title": "Fix it"}, headers=authorised).json()["task"]
    )


@pytest.fixture
def attempt(database: Database, task: uuid.UUID) -> Attempt:
    return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="test", seconds=60, max_claims=5)


def _close(attempt: Attempt, state: TaskState = TaskState.RESOLVED) -> None:
    with attempt.fenced() as connection:
        attempt.close(connection, state, "done", {})


def _all(client: TestClient, task: uuid.UUID, headers: dict[str, str], last: str = "") -> list[Told]:
    answer = client.get(f"/tasks/{task}/events", headers=headers | ({"Last-Event-ID": last} if last else {}))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return list(_read(iter(answer.text.split("\n"))))


def test_a_closed_task_is_streamed_completely_and_ends(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, attempt: Attempt
) -> None:
    for number in range(120):
        attempt.record("action", {"number": number})
    _close(attempt)
    told = _all(client, task, authorised)
    assert [data["body"]["number"] for event, _, data in told if event == "entry"] == list(range(120))
    assert [(event, data["state"]) for event, _, data in told if event != "entry"] == [
        ("state", "resolved"),
        ("end", "resolved"),
    ]


def test_last_event_id_resumes_without_a_gap_or_a_repetition(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, attempt: Attempt
) -> None:
    for number in range(5):
        attempt.record("action", {"number": number, "text": "two\nlines"})
    _close(attempt)
    told = _all(client, task, authorised)
    for index, (_, identity, _) in enumerate(told[:-2]):
        assert _all(client, task, authorised, identity) == told[index + 1 :]
    answer = client.get(f"/tasks/{task}/events", headers=authorised | {"Last-Event-ID": told[-1][1]})
    assert answer.status_code == 204


def test_an_unknown_event_id_means_the_beginning(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, attempt: Attempt
) -> None:
    attempt.record("action", {})
    _close(attempt)
    whole = _all(client, task, authorised)
    for strange in ("x", "1.1", "9" * 40 + ".1.1.queued", "1.2.3.queued; DROP TABLE tasks"):
        assert _all(client, task, authorised, strange) == whole
    assert Position.parse(str(Position(1, 2, 1, "running"))) == Position(1, 2, 1, "running")


def test_states_and_entries_are_streamed_as_they_are_written_until_the_end(
    serve: Callable[..., Any],
    authorised: dict[str, str],
    database: Database,
    task: uuid.UUID,
    http: httpx.Client,
) -> None:
    with (
        serve() as url,
        http.stream("GET", f"{url}/tasks/{task}/events", headers=authorised) as answer,
    ):
        told = _read(answer.iter_lines())
        event, _, data = next(told)
        assert (event, data["state"]) == ("state", "queued")
        attempt = Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="test", seconds=60, max_claims=5)
        event, _, data = next(told)
        assert (event, data["state"], data["attempt"]) == ("state", "running", 1)
        for number in range(3):
            attempt.record("action", {"number": number})
            written = time.monotonic()
            event, _, data = next(told)
            assert (event, data["body"], data["seq"]) == ("entry", {"number": number}, number + 1)
            assert time.monotonic() - written < 300
        _close(attempt, TaskState.UNRESOLVED)
        assert [(event, data["state"]) for event, _, data in told] == [
            ("state", "unresolved"),
            ("end", "unresolved"),
        ]


def test_a_stream_ends_when_the_gateway_stops(
    run_gateway: Callable[..., Any], authorised: dict[str, str], task: uuid.UUID, http: httpx.Client
) -> None:
    with (
        run_gateway() as (process, url),
        http.stream("GET", f"{url}/tasks/{task}/events", headers=authorised) as answer,
    ):
        told = _read(answer.iter_lines())
        assert next(told)[0] == "state"
        process.terminate()
        assert list(told) == []
        assert process.wait(300) == 0


def test_streams_are_limited_and_a_reader_that_disconnects_frees_its_slot(
    serve: Callable[..., Any], authorised: dict[str, str], task: uuid.UUID, http: httpx.Client
) -> None:
    with serve(max_streams=1) as base:
        url = f"{base}/tasks/{task}/events"
        with http.stream("GET", url, headers=authorised) as answer:
            assert answer.status_code == 200
            refused = http.get(url, headers=authorised)
            assert (refused.status_code, refused.json()["code"]) == (503, "streams-full")
            assert refused.headers["retry-after"]
            assert http.get(f"{base}/tasks/{task}", headers=authorised).status_code == 200
        deadline = time.monotonic() + 300
        while True:
            with http.stream("GET", url, headers=authorised) as answer:
                if answer.status_code == 200:
                    break
            assert time.monotonic() < deadline


def test_a_stream_ends_when_its_token_is_revoked(
    serve: Callable[..., Any],
    http: httpx.Client,
    token_for: Callable[..., dict[str, str]],
    task: uuid.UUID,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.streams.RECHECK_SECONDS", 0.0)
    headers = token_for("viewer")
    with serve() as url, http.stream("GET", f"{url}/tasks/{task}/events", headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(_read(lines))[0] == "state"
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute("UPDATE api_tokens SET revoked_at = now()")
        assert list(_read(lines)) == [], "without `end`, since the task has not ended"


def test_a_stream_of_a_person_ends_when_their_token_expires(database: Database) -> None:
    person = Actor("user", "ada", "u-1")
    assert still_valid(database, Caller(DEFAULT_TEAM, Role.VIEWER, person, until=time.time() + 3600))
    assert not still_valid(database, Caller(DEFAULT_TEAM, Role.VIEWER, person, until=time.time() - 1))
