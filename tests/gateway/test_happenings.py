"""One event of an issue, delivered by several webhooks, starts one task."""

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from tests.gateway.forge_cases import DATA, GITEA_ISSUE, GITLAB_ISSUE, Forges, Stored, but, changes

OPENED: dict[str, Any] = json.loads((DATA / "issues" / "opened.payload.json").read_bytes())


def _labelled(at: str, label: str = "bug") -> dict[str, Any]:
    payload = copy.deepcopy(OPENED)
    payload |= {"action": "labeled", "label": {"name": label}}
    payload["issue"]["updated_at"] = at
    return payload


def _end_tasks(database: Database, state: str = "cancelled") -> None:
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE tasks SET state = %s WHERE state = 'queued'", (state,))


def test_an_event_from_two_webhooks_starts_one_task_and_the_second_delivery_names_the_first(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    first = client.request("POST", **sender.github(OPENED, delivery="of-repository"))
    of_organization = {**OPENED, "organization": {"login": "octo"}}
    second = client.request("POST", **sender.github(of_organization, delivery="of-organization"))
    task = first.json()["task"]
    assert (first.status_code, second.status_code) == (202, 200)
    reason = f"delivery github:of-repository reported the same event before: task {task} is about it"
    assert second.json() == {
        "status": "duplicate",
        "delivery": "github:of-organization",
        "task": task,
        "reason": reason,
    }
    assert stored("SELECT id, state, reason, task_id::text, duplicates FROM deliveries ORDER BY received_at") == [
        ("github:of-repository", "task", None, task, 0),
        ("github:of-organization", "duplicate", reason, task, 0),
    ]
    assert stored("SELECT count(*) FROM tasks") == [(1,)]
    assert len(changes(client)) == 1
    log = client.app.state.gateway.log  # type: ignore[attr-defined]
    assert len(log.read("penstock.tasks", {}).records) == 1
    again = client.request("POST", **sender.github(of_organization, delivery="of-organization"))
    assert again.json() == second.json()
    assert stored("SELECT duplicates FROM deliveries WHERE id = 'github:of-organization'") == [(1,)]


@pytest.mark.parametrize(
    ("service", "payload", "repository"),
    [("gitlab", GITLAB_ISSUE, "group/sub/shop"), ("gitea", GITEA_ISSUE, "acme/shop")],
)
def test_hooks_of_a_group_and_of_its_project_start_one_task(
    client: TestClient,
    forges: Forges,
    add_source: Callable[..., None],
    stored: Stored,
    service: str,
    payload: dict[str, Any],
    repository: str,
) -> None:
    add_source("shop", repository)
    sent = [client.request("POST", **getattr(forges, service)(payload, delivery=name)) for name in ("d1", "d2")]
    assert [answer.status_code for answer in sent] == [202, 200]
    assert sent[0].json()["task"] == sent[1].json()["task"]
    assert stored("SELECT count(*) FROM tasks") == [(1,)]


def test_two_gateways_that_get_both_deliveries_at_the_same_instant_start_one_task(
    run_gateway: Callable[..., Any], sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    rounds = 12
    with run_gateway() as (_, one), run_gateway() as (_, other), httpx.Client(timeout=120) as http:
        together = Barrier(4)

        def send(number: int, url: str, hook: str) -> Any:
            payload = but(but(OPENED, "issue.number", number), "organization", {"login": hook})
            request = sender.github(payload, delivery=f"{hook}-{number}")
            path = request.pop("url")
            together.wait(120)
            return http.post(url + path, **request).json()

        places = [(one, "a"), (other, "b"), (one, "c"), (other, "d")]
        with ThreadPoolExecutor(4) as pool:
            for number in range(1, rounds + 1):
                told = list(pool.map(lambda place, number=number: send(number, *place), places))  # type: ignore[misc]
                assert sorted(answer["status"] for answer in told) == ["accepted", *["duplicate"] * 3], told
                assert len({answer["task"] for answer in told}) == 1
    assert stored("SELECT count(*) FROM tasks") == [(rounds,)]
    assert stored("SELECT count(*) FROM event_log WHERE topic = 'penstock.tasks'") == [(rounds,)]


def test_an_issue_that_gets_its_label_again_starts_the_next_task_once_the_first_has_ended(
    make_client: Callable[..., TestClient],
    sender: Any,
    add_source: Callable[..., None],
    stored: Stored,
    database: Database,
) -> None:
    add_source()
    client = make_client(trigger_label="bug")
    first = client.request("POST", **sender.github(_labelled("2026-03-01T10:00:00Z"), delivery="d1")).json()
    while_open = client.request("POST", **sender.github(_labelled("2026-03-01T11:00:00Z"), delivery="d2"))
    assert while_open.status_code == 202
    assert while_open.json() == {
        "status": "accepted",
        "delivery": "github:d2",
        "task": first["task"],
        "reason": f"starts no other task: task {first['task']} for the same issue is still open",
    }
    assert len(changes(client)) == 2, "the change of the ticket itself is taken"
    _end_tasks(database)
    late = client.request("POST", **sender.github(_labelled("2026-03-01T10:00:00Z"), delivery="d3"))
    assert (late.status_code, late.json()["task"]) == (200, first["task"]), "the other hook's delivery came late"
    next_one = client.request("POST", **sender.github(_labelled("2026-03-02T10:00:00Z"), delivery="d4")).json()
    assert next_one["status"] == "accepted"
    assert next_one["task"] != first["task"]
    assert stored("SELECT state FROM tasks ORDER BY created_at") == [("cancelled",), ("queued",)]
    assert stored("SELECT state FROM deliveries ORDER BY received_at") == [
        ("task",),
        ("change",),
        ("duplicate",),
        ("task",),
    ]


def test_an_issue_of_a_new_repository_with_a_former_name_starts_its_own_task(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored, database: Database
) -> None:
    add_source()
    client.request("POST", **sender.github(OPENED, delivery="d1"))
    _end_tasks(database)
    made_again = but(OPENED, "issue.created_at", "2026-05-01T00:00:00Z")
    assert client.request("POST", **sender.github(made_again, delivery="d2")).json()["status"] == "accepted"
    assert stored("SELECT count(*) FROM tasks") == [(2,)]


def test_an_event_that_was_ignored_at_first_starts_a_task_when_another_hook_reports_it(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    client.request("POST", **sender.github(OPENED, delivery="d1"))
    add_source()
    other = client.request("POST", **sender.github(OPENED, delivery="d2")).json()
    again = client.request("POST", **sender.github(OPENED, delivery="d1")).json()
    assert (other["status"], again["status"], again["task"]) == ("accepted", "duplicate", other["task"])
    assert stored("SELECT id, state, duplicates FROM deliveries ORDER BY id") == [
        ("github:d1", "duplicate", 0),
        ("github:d2", "task", 0),
    ]
    assert stored("SELECT count(*) FROM tasks") == [(1,)]
