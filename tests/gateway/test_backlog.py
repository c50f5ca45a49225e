"""Back-pressure: so many tasks wait that no more are accepted."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from core.signatures import sign_github
from tests.gateway.conftest import Credentials

Stored = Callable[[str], list[tuple[Any, ...]]]


def deliver(client: TestClient, credentials: Credentials, number: int, repository: str, name: str = "") -> Any:
    payload = {
        "action": "opened",
        "issue": {"number": number, "title": "It fails", "body": "", "user": {"login": "ada"}, "labels": []},
        "repository": {"full_name": repository},
        "sender": {"login": "ada"},
    }
    body = json.dumps(payload).encode()
    headers = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": name or f"{repository}-{number}",
        "X-Hub-Signature-256": sign_github(credentials.github_secrets[0], body),
        "Content-Type": "application/json",
    }
    return client.post("/webhooks/github", content=body, headers=headers)


def add(database: Database, name: str) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, %s, '/x', %s)",
            (DEFAULT_TEAM, name, f"acme/{name}"),
        )


def test_a_flooded_source_is_held_back_while_others_go_on(
    make_client: Callable[..., TestClient], database: Database, credentials: Credentials, stored: Stored
) -> None:
    for name in ("noisy", "quiet"):
        add(database, name)
    client = make_client(most_waiting_of_source=3)
    answers = [deliver(client, credentials, n, "acme/noisy") for n in range(1, 6)]
    assert [a.status_code for a in answers] == [202, 202, 202, 429, 429]
    refused = answers[-1]
    assert refused.headers["retry-after"] == "60"
    assert refused.json()["code"] == "backlog"
    assert "3 tasks of source noisy wait already" in refused.json()["error"]
    assert deliver(client, credentials, 1, "acme/quiet").status_code == 202
    assert deliver(client, credentials, 1, "acme/noisy").status_code == 200, "a repeat is known"
    assert stored("SELECT count(*) FROM deliveries") == [(4,)]
    assert stored("SELECT count(*) FROM tasks") == [(4,)]

    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE tasks SET state = 'cancelled' WHERE source = 'noisy'")
    assert deliver(client, credentials, 4, "acme/noisy").status_code == 202, "what was refused can be sent again"


def test_a_team_has_a_limit_over_all_its_sources(
    make_client: Callable[..., TestClient],
    database: Database,
    credentials: Credentials,
    authorised: dict[str, str],
    stored: Stored,
) -> None:
    for name in ("a", "b", "c"):
        add(database, name)
    client = make_client(most_waiting=2)
    assert [deliver(client, credentials, 1, f"acme/{name}").status_code for name in ("a", "b", "c")] == [202, 202, 429]
    wanted = {"source": "c", "title": "Fix it"}
    refused = client.post("/tasks", json=wanted, headers=authorised | {"Idempotency-Key": uuid.uuid4().hex})
    assert (refused.status_code, refused.json()["code"]) == (429, "backlog")
    assert stored("SELECT count(*) FROM audit_log WHERE action = 'task.create'") == [(0,)]


def test_what_starts_no_task_is_taken_always(
    make_client: Callable[..., TestClient], database: Database, credentials: Credentials
) -> None:
    add(database, "noisy")
    client = make_client(most_waiting_of_source=1)
    assert deliver(client, credentials, 1, "acme/noisy").status_code == 202
    assert deliver(client, credentials, 2, "acme/other").status_code == 202, "of no source of ours"
    body = json.dumps(
        {"ref": "refs/heads/main", "before": "a" * 40, "after": "b" * 40, "repository": {"full_name": "acme/noisy"}}
    ).encode()
    headers = {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": "push",
        "X-Hub-Signature-256": sign_github(credentials.github_secrets[0], body),
        "Content-Type": "application/json",
    }
    assert client.post("/webhooks/github", content=body, headers=headers).status_code == 202
