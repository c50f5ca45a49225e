import uuid
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.attempts import Attempt
from core.database import Database
from core.events import DEFAULT_TEAM, task_id
from core.questions import wait_for_answer
from core.states import TaskState
from core.work import Patch, Record, Verdict, VerdictKind

Stored = Callable[[str], list[tuple[Any, ...]]]

WANTED = {"source": "hello", "title": "Fix it", "body": "please"}


def _claim(database: Database, task: uuid.UUID, team: uuid.UUID = DEFAULT_TEAM) -> Attempt:
    return Attempt.claim(database, team, task, 1, holder="test", seconds=30, max_claims=5)


@pytest.fixture
def task(client: TestClient, authorised: dict[str, str], add_source: Callable[..., None]) -> uuid.UUID:
    add_source()
    answer = client.post("/tasks", json=WANTED, headers=authorised)
    assert answer.status_code == 202, answer.text
    return uuid.UUID(answer.json()["task"])


def test_a_requested_task_is_stored_and_its_path_is_returned(
    client: TestClient, authorised: dict[str, str], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    wanted = WANTED | {"url": "https://example.org/1", "options": {"test": "pytest -q", "budget_seconds": 5}}
    answer = client.post("/tasks", json=wanted, headers=authorised | {"Idempotency-Key": "k1"})
    task = task_id(DEFAULT_TEAM, "api:k1")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/tasks/{task}"
    assert answer.json() == {"status": "accepted", "delivery": "api:k1", "task": str(task)}
    assert stored("SELECT source, title, body, url, options FROM tasks") == [
        ("hello", "Fix it", "please", "https://example.org/1", {"test": "pytest -q", "budget_seconds": 5.0})
    ]
    shown = client.get(answer.headers["location"], headers=authorised).json()
    assert (shown["state"], shown["attempt"], shown["stages"], shown["actions"]) == ("queued", 1, [], 0)


def test_a_research_task_is_stored_with_its_kind_and_corpora(
    client: TestClient, authorised: dict[str, str], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    wanted = {"kind": "research", "source": "hello", "title": "How high is the dam?", "options": {"corpora": ["docs"]}}
    assert client.post("/tasks", json=wanted, headers=authorised).status_code == 202
    assert stored("SELECT options FROM tasks") == [({"kind": "research", "corpora": ["docs"]},)]
    for wrong in ({"kind": "tea"}, {"options": {"corpora": ["x"] * 11}}, {"options": {"corpora": [""]}}):
        assert client.post("/tasks", json=wanted | wrong, headers=authorised).status_code == 400


def test_repeating_an_idempotency_key_changes_nothing(
    client: TestClient, authorised: dict[str, str], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    headers = authorised | {"Idempotency-Key": "k1"}
    first = client.post("/tasks", json=WANTED, headers=headers)
    second = client.post("/tasks", json=WANTED, headers=headers)
    other = client.post("/tasks", json=WANTED | {"title": "Other"}, headers=headers)
    assert (first.status_code, second.status_code, other.status_code) == (202, 200, 422)
    assert second.headers["location"] == first.headers["location"]
    assert stored("SELECT count(*) FROM tasks") == [(1,)]
    assert stored("SELECT duplicates FROM deliveries") == [(1,)]


def test_requests_without_a_key_are_different_tasks(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, stored: Stored
) -> None:
    assert client.post("/tasks", json=WANTED, headers=authorised).json()["task"] != str(task)
    assert stored("SELECT count(*) FROM tasks") == [(2,)]


def test_an_unknown_source_is_named_and_nothing_is_stored(
    client: TestClient, authorised: dict[str, str], stored: Stored
) -> None:
    answer = client.post("/tasks", json=WANTED, headers=authorised)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-source")
    assert "source hello" in answer.json()["error"]
    assert stored("SELECT * FROM deliveries") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source": None}, "source"),
        ({"title": None}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": 3}, "title"),
        ({"body": "\ud800"}, "body"),
        ({"body": "é" * 40_000}, "body"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"surprise": 1}, "surprise"),
        ({"options": {"engine": "oracle"}}, "options.engine"),
        ({"options": {"budget_seconds": -1}}, "options.budget_seconds"),
        ({"options": {"surprise": 1}}, "options.surprise"),
        ({"options": []}, "options"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(
    client: TestClient, authorised: dict[str, str], change: dict[str, Any], field: str
) -> None:
    import json

    wanted = {key: value for key, value in (WANTED | change).items() if value is not None}
    answer = client.post(
        "/tasks", content=json.dumps(wanted), headers=authorised | {"Content-Type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"title": ' + b"9" * 5000 + b"}"])
def test_a_malformed_request_is_refused(client: TestClient, authorised: dict[str, str], body: bytes) -> None:
    answer = client.post("/tasks", content=body, headers=authorised | {"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "é".encode()])
def test_a_wrong_idempotency_key_is_refused(
    client: TestClient, authorised: dict[str, str], add_source: Callable[..., None], key: Any
) -> None:
    add_source()
    answer = client.post("/tasks", json=WANTED, headers=authorised | {"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")


def test_a_task_shows_the_results_of_its_attempt(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, database: Database
) -> None:
    class Output(Record):
        lines: tuple[str, ...]

    attempt = _claim(database, task)
    attempt.record("search", {"query": "total"})
    attempt.put_output("plan", Output(lines=("x" * 5000,) * 30), 0.5)
    patch = Patch(base_commit="a" * 40, diff="--- a/x\n+++ b/x\n")
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, Verdict(verdict=VerdictKind.PASS, patch_sha256=patch.sha256, checks=()), patch)
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, body) VALUES (%s, %s, 1, 'git', '{}')",
            (DEFAULT_TEAM, task),
        )
    shown = client.get(f"/tasks/{task}", headers=authorised).json()
    assert (shown["state"], shown["actions"]) == ("running", 1)
    [stage] = shown["stages"]
    assert (stage["stage"], stage["seconds"]) == ("plan", 0.5)
    assert stage["output"]["lines"][20:] == ["… (30 entries)"]
    assert len(stage["output"]["lines"][0]) < 2100
    assert shown["verdict"]["verdict"] == "pass"
    assert shown["patch"] == {"base_commit": "a" * 40, "diff": patch.diff}
    assert [p["state"] for p in shown["publications"]] == ["pending"]


def test_a_resolved_task_whose_patch_was_refused_is_not_shown_as_published(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, database: Database
) -> None:
    attempt, patch = _claim(database, task), Patch(base_commit="a" * 40, diff="d\n")
    verdict = Verdict(verdict=VerdictKind.DRAFT, patch_sha256=patch.sha256, checks=(), reasons=("It was derived.",))
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, patch)
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
            "VALUES (%s, %s, 1, 'github:acme/shop', %s, '{}')",
            (DEFAULT_TEAM, task, patch.sha256),
        )
        attempt.close(connection, TaskState.RESOLVED, "done", {})
        connection.execute("UPDATE publications SET state = 'refused', last_error = 'it is read-only'")
    said = "the draft is NOT published: github:acme/shop refused it: it is read-only. "
    said += "It is a draft because: It was derived"
    [listed] = client.get("/tasks", headers=authorised).json()["tasks"]
    shown = client.get(f"/tasks/{task}", headers=authorised).json()
    for one in (listed, shown):
        assert (one["state"], one["publication"], one["result"]) == ("resolved", "refused", said)
    last = client.get(f"/tasks/{task}/events", headers=authorised).text.strip().splitlines()[-1]
    assert '"publication": "refused"' in last and said in last


def test_pages_of_tasks_hold_each_task_once_newest_first(
    client: TestClient, authorised: dict[str, str], add_source: Callable[..., None]
) -> None:
    add_source()
    made = [client.post("/tasks", json=WANTED, headers=authorised).json()["task"] for _ in range(7)]
    seen, cursor = [], None
    while True:
        page = client.get("/tasks", params={"limit": 3} | ({"cursor": cursor} if cursor else {}), headers=authorised)
        seen += [one["id"] for one in page.json()["tasks"]]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert client.get("/tasks", params={"state": "failed"}, headers=authorised).json() == {"tasks": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"state": "asleep"}, "state"),
        ({"cursor": "!!"}, "cursor"),
        ({"cursor": "MjAyNg"}, "cursor"),
        ({"source": "\x00"}, "source"),
    ],
)
def test_a_wrong_query_is_named(
    client: TestClient, authorised: dict[str, str], query: dict[str, Any], field: str
) -> None:
    answer = client.get("/tasks", params=query, headers=authorised)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_cancel_and_retry_move_a_task_as_the_states_allow(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, stored: Stored
) -> None:
    assert client.post(f"/tasks/{task}/retry", headers=authorised).status_code == 409
    for _ in range(2):
        cancelled = client.post(f"/tasks/{task}/cancel", headers=authorised)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    retried = client.post(f"/tasks/{task}/retry", headers=authorised)
    assert (retried.status_code, retried.json()["state"], retried.json()["attempt"]) == (202, "queued", 2)
    assert stored("SELECT state, attempt FROM tasks") == [(TaskState.QUEUED, 2)]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")])
def test_a_task_that_does_not_exist_is_not_found(
    client: TestClient, authorised: dict[str, str], method: str, path: str
) -> None:
    answer = client.request(method, f"/tasks/{uuid.uuid4()}{path}", headers=authorised)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-task")
    assert client.request(method, f"/tasks/7{path}", headers=authorised).status_code == 400


def test_a_team_neither_sees_nor_touches_the_tasks_of_another(
    client: TestClient,
    authorised: dict[str, str],
    task: uuid.UUID,
    other_team: tuple[uuid.UUID, dict[str, str]],
    stored: Stored,
) -> None:
    _, others = other_team
    assert client.get("/tasks", headers=others).json()["tasks"] == []
    for method, path in [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")]:
        assert client.request(method, f"/tasks/{task}{path}", headers=others).status_code == 404
    assert client.post("/tasks", json=WANTED, headers=others).status_code == 404
    assert client.get("/metrics", headers=others).status_code == 403
    assert stored("SELECT state FROM tasks") == [("queued",)]
    assert [one["id"] for one in client.get("/tasks", headers=authorised).json()["tasks"]] == [str(task)]


@pytest.fixture
def asking(database: Database, task: uuid.UUID) -> uuid.UUID:
    """A task that waits for an answer."""
    attempt = _claim(database, task)
    with attempt.fenced() as connection:
        wait_for_answer(connection, attempt.log, attempt.task, "Which call fails?", seconds=3600, ending={})
    return task


def test_a_waiting_task_shows_its_question_and_is_answered_once(
    client: TestClient, authorised: dict[str, str], asking: uuid.UUID
) -> None:
    shown = client.get(f"/tasks/{asking}", headers=authorised).json()
    assert (shown["state"], shown["reason"], shown["answers"]) == ("waiting", "Which call fails?", [])
    assert (shown["question"]["question"], shown["question"]["location"]) == ("Which call fails?", None)
    [listed] = client.get("/tasks", params={"state": "waiting"}, headers=authorised).json()["tasks"]
    assert listed["reason"] == "Which call fails?"
    for _ in range(3):
        answer = client.post(f"/tasks/{asking}/answer", json={"answer": "total(1)"}, headers=authorised)
        assert (answer.status_code, answer.json()["state"], answer.json()["attempt"]) == (202, "queued", 2)
    shown = client.get(f"/tasks/{asking}", headers=authorised).json()
    assert shown["question"] is None
    [said] = shown["answers"]
    assert (said["author"], said["body"], said["state"], said["attempt"]) == (
        *("token first start", "total(1)", "accepted", 2),
    )


BAD_ANSWERS: list[dict[str, Any]] = [
    {},
    {"answer": ""},
    {"answer": " \n"},
    {"answer": "x" * 8001},
    {"answer": 1},
    {"answer": "x\0"},
    {"a": 1},
]


@pytest.mark.parametrize("body", BAD_ANSWERS)
def test_a_bad_answer_is_refused(
    client: TestClient, authorised: dict[str, str], asking: uuid.UUID, body: dict[str, Any]
) -> None:
    assert client.post(f"/tasks/{asking}/answer", json=body, headers=authorised).status_code == 400
    assert client.get(f"/tasks/{asking}", headers=authorised).json()["state"] == "waiting"


def test_a_closed_task_cannot_be_answered(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, stored: Stored
) -> None:
    client.post(f"/tasks/{task}/cancel", headers=authorised)
    answer = client.post(f"/tasks/{task}/answer", json={"answer": "total(1)"}, headers=authorised)
    assert (answer.status_code, "nobody works on it" in answer.json()["error"]) == (409, True)
    missing = client.post(f"/tasks/{uuid.uuid4()}/answer", json={"answer": "total(1)"}, headers=authorised)
    assert missing.status_code == 404
    assert stored("SELECT action, outcome FROM audit_log WHERE action = 'task.answer'") == [
        ("task.answer", "failed"), ("task.answer", "failed"),
    ]  # fmt: skip
