"""What each role may do, and what the audit log says about it."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.access.audit import list_entries
from core.access.roles import Role
from core.access.users import add_user, set_role
from core.database import Database
from core.events import DEFAULT_TEAM
from gateway.gate import is_open

Header = dict[str, str]
TokenFor = Callable[..., Header]

NEEDED = {
    ("GET", "/tasks"): "viewer",
    ("GET", "/tasks/{task_id}"): "viewer",
    ("GET", "/tasks/{task_id}/events"): "viewer",
    ("GET", "/tasks/{task_id}/timeline"): "viewer",
    ("GET", "/metrics"): "viewer",
    ("GET", "/sync/pull"): "viewer",
    ("GET", "/threads"): "viewer",
    ("GET", "/threads/{thread_id}"): "viewer",
    ("GET", "/threads/{thread_id}/children"): "viewer",
    ("GET", "/threads/{thread_id}/ops"): "viewer",
    ("GET", "/threads/{thread_id}/messages"): "viewer",
    ("GET", "/threads/{thread_id}/blobs/{sha256}"): "viewer",
    ("POST", "/sync/push"): "viewer",
    ("POST", "/threads/join"): "viewer",
    ("PUT", "/threads/{thread_id}/blobs/{sha256}"): "viewer",
    ("GET", "/file-lines"): "viewer",
    ("GET", "/tasks/{task_id}/thread"): "viewer",
    ("POST", "/threads/{thread_id}/continue"): "operator",
    ("PUT", "/threads/{thread_id}/sharing"): "operator",
    ("POST", "/threads/{thread_id}/turn"): "operator",
    ("POST", "/tasks"): "operator",
    ("POST", "/tasks/{task_id}/cancel"): "operator",
    ("POST", "/tasks/{task_id}/retry"): "operator",
    ("POST", "/tasks/{task_id}/answer"): "operator",
    ("POST", "/tasks/{task_id}/approve"): "operator",
    ("GET", "/object-types"): "viewer",
    ("GET", "/object-types/{type}"): "viewer",
    ("GET", "/object-types/{type}/openapi.json"): "viewer",
    ("GET", "/object-types/{type}/versions/{version}"): "viewer",
    ("POST", "/object-types/{type}/versions"): "operator",
    ("POST", "/object-types/{type}/back"): "operator",
    ("POST", "/object-types/{type}/promote"): "operator",
    ("GET", "/objects"): "viewer",
    ("GET", "/objects/{type}/{key}"): "viewer",
    ("GET", "/objects/{type}/{key}/{method}"): "viewer",
    ("POST", "/objects/{type}/{key}/{method}"): "operator",
    ("GET", "/objects/{type}/{key}/-/events"): "viewer",
    ("GET", "/objects/{type}/{key}/-/history"): "viewer",
    ("GET", "/objects/{type}/{key}/-/page"): "viewer",
    ("POST", "/objects/{type}/{key}/-/restore"): "operator",
    ("POST", "/objects/{type}/{key}/-/terminate"): "operator",
    ("POST", "/objects/{type}/{key}/-/revive"): "operator",
    ("POST", "/objects/{type}/{key}/-/retry"): "operator",
    ("GET", "/tokens"): "admin",
    ("POST", "/tokens"): "admin",
    ("DELETE", "/tokens/{token_id}"): "admin",
    ("GET", "/audit"): "admin",
    ("GET", "/me"): "viewer",
    ("GET", "/sessions"): "admin",
    ("POST", "/sessions"): "viewer",
    ("DELETE", "/sessions/current"): "viewer",
    ("DELETE", "/sessions/{session_id}"): "admin",
}


def _send(client: TestClient, method: str, path: str, headers: Header) -> Any:
    return client.request(method, re.sub(r"\{.*?\}", str(uuid.uuid4()), path), headers=headers)


def test_every_route_needs_the_role_that_the_table_says(client: TestClient, token_for: TokenFor) -> None:
    document = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    routes = {(method.upper(), path) for path, methods in document.items() for method in methods}
    assert {route for route in routes if not is_open(route[1].replace("{team}", "acme"))} == set(NEEDED)
    tokens = {role: token_for(role) for role in Role}
    for (method, path), needed in NEEDED.items():
        for role in Role:
            answer = _send(client, method, path, tokens[role])
            if role.allows(Role(needed)):
                assert answer.status_code not in (401, 403), (method, path, role, answer.text)
            else:
                assert (answer.status_code, answer.json()["code"], answer.json()["role"]) == (403, "role", needed)
                assert f"needs the role {needed}" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/tasks"), ("PATCH", "/metrics"), ("DELETE", "/tasks/x"), ("POST", "/tasks/x/burn"), ("POST", "/new")],
)
def test_what_the_table_does_not_name_is_for_admins_unless_it_reads(
    client: TestClient, token_for: TokenFor, method: str, path: str
) -> None:
    assert _send(client, method, path, token_for("operator")).json()["role"] == "admin"
    assert _send(client, method, path, token_for("admin")).status_code in (404, 405)
    assert client.get("/new", headers=token_for("viewer")).status_code == 404


def test_a_role_is_refused_before_the_body_is_read(client: TestClient, token_for: TokenFor) -> None:
    headers = token_for("viewer") | {"Content-Type": "application/json"}
    assert client.post("/tasks", content=b"{" * 1000, headers=headers).status_code == 403


def test_unknown_expired_and_revoked_tokens_get_one_and_the_same_answer(
    client: TestClient, token_for: TokenFor, authorised: Header, database: Database
) -> None:
    expired, revoked = token_for("admin", "expired"), token_for("admin", "revoked")
    assert client.get("/tasks", headers=expired).status_code == 200
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE api_tokens SET expires_at = now() WHERE name = 'expired'")
    [listed] = [t for t in client.get("/tokens", headers=authorised).json()["tokens"] if t["name"] == "revoked"]
    assert client.delete(f"/tokens/{listed['id']}", headers=authorised).json()["state"] == "revoked"
    answers = [
        client.get("/tasks", headers=headers)
        for headers in (expired, revoked, {"Authorization": "Bearer pst_unknown"}, {"Authorization": "Bearer x.y.z"})
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, '{"error":"the token is unknown, expired or revoked","code":"token"}')
    }


def test_the_first_token_is_one_of_an_admin_and_stays_revoked(
    make_client: Callable[..., TestClient], authorised: Header, token_for: TokenFor
) -> None:
    client = make_client()
    [first] = client.get("/tokens", headers=authorised).json()["tokens"]
    assert (first["name"], first["role"]) == ("first start", "admin")
    admin = token_for("admin")
    client.delete(f"/tokens/{first['id']}", headers=admin)
    again = make_client()
    assert again.get("/tasks", headers=authorised).status_code == 401


def test_an_admin_creates_lists_and_revokes_tokens(client: TestClient, authorised: Header, database: Database) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        add_user(connection, DEFAULT_TEAM, "ada@example.org", Role.OPERATOR)
    wanted = {"name": "ci", "user": "Ada@example.org", "expires_in_days": 90}
    made = client.post("/tokens", json=wanted, headers=authorised)
    assert made.status_code == 201
    token = made.json().pop("token")
    assert (made.json()["role"], made.json()["user"], made.json()["state"]) == ("operator", "ada@example.org", "valid")
    ends = datetime.fromisoformat(made.json()["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends < timedelta(days=91)
    theirs = {"Authorization": f"Bearer {token}"}
    assert client.get("/tasks", headers=theirs).status_code == 200
    listed = client.get("/tokens", headers=authorised)
    assert [one["name"] for one in listed.json()["tokens"]] == ["first start", "ci"]
    assert listed.json()["tokens"][1]["last_used_at"] and token not in listed.text
    assert client.post("/tokens", json=wanted, headers=authorised).status_code == 409
    with database.team(DEFAULT_TEAM) as connection:
        set_role(connection, "ada@example.org", Role.VIEWER)
    assert client.post(f"/tasks/{uuid.uuid4()}/cancel", headers=theirs).status_code == 403
    for _ in range(2):
        assert client.delete(f"/tokens/{made.json()['id']}", headers=authorised).json()["state"] == "revoked"
    assert client.get("/tasks", headers=theirs).status_code == 401
    assert [one["name"] for one in client.get("/tokens", headers=authorised).json()["tokens"]] == ["first start"]
    everything = client.get("/tokens", params={"everything": "true"}, headers=authorised).json()["tokens"]
    assert [one["state"] for one in everything] == ["valid", "revoked"]


@pytest.mark.parametrize(
    ("wanted", "status", "field"),
    [
        ({}, 400, "name"),
        ({"name": ""}, 400, "name"),
        ({"name": " "}, 400, "name"),
        ({"name": "a\nb"}, 400, "name"),
        ({"name": "x" * 101}, 400, "name"),
        ({"name": "x", "role": "owner"}, 400, "role"),
        ({"name": "x", "user": "nobody"}, 404, None),
        ({"name": "x", "user": "ada", "role": "admin"}, 400, "role"),
        ({"name": "x", "expires_in_days": 0}, 400, "expires_in_days"),
        ({"name": "x", "surprise": 1}, 400, "surprise"),
    ],
    ids=str,
)
def test_a_token_that_cannot_be_made_is_refused_with_the_field(
    client: TestClient, authorised: Header, database: Database, wanted: Any, status: int, field: str | None
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        add_user(connection, DEFAULT_TEAM, "ada", Role.VIEWER)
    answer = client.post("/tokens", json=wanted, headers=authorised)
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text


def test_an_admin_manages_only_the_tokens_of_their_own_team(
    client: TestClient, authorised: Header, other_team: tuple[uuid.UUID, Header], token_for: TokenFor
) -> None:
    _, others = other_team
    [theirs] = client.get("/tokens", headers=others).json()["tokens"]
    assert client.delete(f"/tokens/{theirs['id']}", headers=authorised).status_code == 404
    assert client.get("/tokens", headers=others).status_code == 200
    made = client.post("/tokens", json={"name": "second", "role": "viewer"}, headers=others).json()
    answer = client.get("/tasks", headers={"Authorization": f"Bearer {made['token']}"})
    assert (answer.status_code, answer.json()["tasks"]) == (200, [])
    assert {one["name"] for one in client.get("/tokens", headers=authorised).json()["tokens"]} == {"first start"}
    assert [e["action"] for e in client.get("/audit", headers=others).json()["entries"]] == ["token.create"]


@pytest.fixture
def task(client: TestClient, authorised: Header, add_source: Callable[..., None]) -> str:
    add_source()
    made = client.post("/tasks", json={"source": "hello", "title": "Fix it"}, headers=authorised)
    return str(made.json()["task"])


def test_the_audit_log_says_who_did_what_and_who_was_refused(
    client: TestClient, authorised: Header, token_for: TokenFor, task: str, database: Database
) -> None:
    viewer, operator = token_for("viewer"), token_for("operator")
    refused = client.post(f"/tasks/{task}/cancel", headers=viewer)
    client.post(f"/tasks/{task}/retry", headers=operator)
    client.post(f"/tasks/{task}/cancel", headers=operator)
    client.post(f"/tasks/{task}/approve", headers=operator)
    client.post("/tokens", json={"name": "ci"}, headers=authorised)
    entries = client.get("/audit", headers=authorised).json()["entries"]
    assert [(e["actor"], e["action"], e["outcome"]) for e in reversed(entries)] == [
        ("first start", "task.create", "done"),
        ("a viewer", "task.cancel", "refused"),
        ("a operator", "task.retry", "failed"),
        ("a operator", "task.cancel", "done"),
        ("a operator", "task.approve", "failed"),
        ("first start", "token.create", "done"),
    ]
    assert [e["subject"] for e in reversed(entries)] == [task] * 5 + ["ci"]
    assert entries[4]["request_id"] == refused.headers["x-request-id"]
    assert "needs the role operator" in entries[4]["detail"] and "only an unresolved" in entries[3]["detail"]
    assert all(e["actor_kind"] == "token" and uuid.UUID(e["actor_id"]) for e in entries)
    page = client.get("/audit", params={"limit": 4}, headers=authorised).json()
    rest = client.get("/audit", params={"before": page["next"]}, headers=authorised).json()
    assert [*page["entries"], *rest["entries"]] == entries and rest["next"] is None
    assert client.get("/audit", params={"since": entries[1]["at"]}, headers=authorised).json()["entries"] == entries[:2]


def test_the_audit_log_holds_no_secret(client: TestClient, authorised: Header, database: Database) -> None:
    token = client.post("/tokens", json={"name": "ci"}, headers=authorised).json()["token"]
    client.post("/tokens", json={"name": "ci"}, headers=authorised)
    client.post("/tasks", json={}, headers={"Authorization": f"Bearer {token}"})
    with database.system() as connection:
        text = str(connection.execute("SELECT a::text FROM audit_log a").fetchall())
    assert text.count("token.create") == 2 and text.count("task.create") == 1
    assert "pst_" not in text and token.removeprefix("pst_") not in text


def test_the_same_refusal_again_and_again_is_recorded_once(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    one, other = token_for("viewer"), token_for("viewer", "another")
    for _ in range(20):
        for headers in (one, other):
            assert client.get("/audit", headers=headers).status_code == 403
            assert client.get("/tokens", headers=headers).status_code == 403
    with database.team(DEFAULT_TEAM) as connection:
        assert len(list_entries(connection)) == 4


def test_an_operator_approves_what_is_held(
    client: TestClient, token_for: TokenFor, task: str, database: Database, stored: Callable[[str], Any]
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("INSERT INTO attempts (team_id, task_id, attempt) VALUES (%s, %s, 1)", (DEFAULT_TEAM, task))
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, body) VALUES (%s, %s, 1, 'git', '{}')",
            (DEFAULT_TEAM, task),
        )
        connection.execute("UPDATE publications SET state = 'held'")
    answer = client.post(f"/tasks/{task}/approve", headers=token_for("operator"))
    assert (answer.status_code, answer.json()["id"]) == (202, task)
    assert stored("SELECT state, approved_by FROM publications") == [("pending", "token a operator")]
    assert client.post(f"/tasks/{task}/approve", headers=token_for("admin")).status_code == 409
    assert client.post(f"/tasks/{uuid.uuid4()}/approve", headers=token_for("admin", "x")).status_code == 404
