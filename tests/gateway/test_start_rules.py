"""Each kind of rule starts one task by the webhooks of each service, for whoever caused the event."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from tests.gateway.forge_cases import GITEA_ISSUE, GITLAB_ISSUE, GITLAB_NOTE, JIRA_ISSUE, Forges, Stored, but

SHOPS = {"github": "acme/shop", "gitea": "acme/shop", "gitlab": "group/sub/shop"}
EVE = {"id": 9, "login": "eve"}


def _github(action: str, **more: Any) -> dict[str, Any]:
    payload: dict[str, Any] = copy.deepcopy(GITEA_ISSUE)
    payload |= {"action": action, "sender": EVE, **more}
    payload["issue"] |= {"updated_at": "2026-03-05T10:00:00Z", "assignees": [{"login": "helper", "id": 4}]}
    return payload


def _comment(body: str) -> dict[str, Any]:
    at = "2026-03-05T10:00:00Z"
    return {"id": 70, "body": body, "user": EVE, "created_at": at, "updated_at": at}


def _gitlab_assigned() -> dict[str, Any]:
    changed = {
        "assignees": {"previous": [{"username": "bob"}], "current": [{"username": "bob"}, {"username": "helper"}]}
    }
    payload = but(but(GITLAB_ISSUE, "changes", changed), "object_attributes.action", "update")
    return payload | {"user": {"id": 9, "username": "eve"}}


def _gitlab_note(body: str) -> dict[str, Any]:
    return but(GITLAB_NOTE, "object_attributes.note", body) | {"user": {"id": 9, "username": "eve"}}


CASES = [
    ("github", "issues", _github("assigned", assignee={"login": "helper", "id": 4}), "assigned:helper"),
    ("github", "issue_comment", _github("created", comment=_comment("@penstock, please")), "mentioned:penstock"),
    ("github", "issue_comment", _github("created", comment=_comment("Please:\n/penstock start")), "command"),
    ("gitlab", "note", _gitlab_note("/penstock start"), "command"),
    ("gitea", "issues", _github("assigned"), "assigned:helper"),
    ("gitea", "issue_comment", _github("created", comment=_comment("@penstock, please")), "mentioned:penstock"),
    ("gitlab", "issue", _gitlab_assigned(), "assigned:helper"),
    ("gitlab", "note", _gitlab_note("@penstock, please"), "mentioned:penstock"),
]


def _send(client: TestClient, forges: Forges, sender: Any, service: str, event: str, payload: Any, name: str) -> Any:
    if service == "github":
        return client.request("POST", **sender.github(payload, event=event, delivery=name)).json()
    if service == "gitea":
        return client.request("POST", **forges.gitea(payload, event=event, delivery=name)).json()
    return client.request("POST", **getattr(forges, service)(payload, delivery=name)).json()


@pytest.mark.parametrize(("service", "event", "payload", "rule"), CASES)
def test_a_rule_starts_one_task_for_whoever_caused_the_event(
    make_client: Callable[..., TestClient],
    forges: Forges,
    sender: Any,
    add_source: Callable[..., None],
    stored: Stored,
    service: str,
    event: str,
    payload: dict[str, Any],
    rule: str,
) -> None:
    add_source("shop", SHOPS[service])
    client = make_client(start_rules=(rule,))
    told = [_send(client, forges, sender, service, event, payload, name) for name in ("d1", "d2")]
    assert [one["status"] for one in told] == ["accepted", "duplicate"], told
    assert stored("SELECT title, starter, starter_id FROM tasks") == [("Total is wrong", "eve", "9")]
    others = make_client(start_rules=("labelled:else", f"{rule} [other/*]"))
    assert "task" not in _send(others, forges, sender, service, event, but(payload, "x", 1), "d3")


@pytest.mark.parametrize(
    "body", ["see `@penstock`", "> @penstock said so", "nobody", "> /penstock start", "/penstock retry"]
)
def test_what_is_only_quoted_starts_nothing(
    make_client: Callable[..., TestClient],
    sender: Any,
    add_source: Callable[..., None],
    stored: Stored,
    body: str,
) -> None:
    add_source("shop", "acme/shop")
    client = make_client(start_rules=("mentioned:penstock", "command"))
    payload = _github("created", comment=_comment(body))
    client.request("POST", **sender.github(payload, event="issue_comment", delivery="d1"))
    edited = _github("edited", comment=_comment("@penstock\n\n/penstock start"))
    client.request("POST", **sender.github(edited, event="issue_comment", delivery="d2"))
    of_pull = _github("created", comment=_comment("@penstock"))
    of_pull["issue"]["pull_request"] = {"url": "https://example.org"}
    client.request("POST", **sender.github(of_pull, event="issue_comment", delivery="d3"))
    by_bot = _github("created", comment=_comment("@penstock\n/penstock start"), sender={"login": "ci[bot]", "id": 5})
    client.request("POST", **sender.github(by_bot, event="issue_comment", delivery="d4"))
    assert stored("SELECT count(*) FROM tasks") == [(0,)]
    assert stored("SELECT count(*) FROM deliveries") == [(4,)]


def _link_jira(database: Database) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source) VALUES (%s, 'jira', 'SHOP', 'shop')",
            (DEFAULT_TEAM,),
        )


@pytest.mark.parametrize(
    ("rules", "starts"),
    [
        (("transition:in progress",), True),
        (("transition:In Progress [SHOP]",), True),
        (("transition:In Progress [OTHER]",), False),
        (("transition:Done",), False),
        ((), False),
    ],
)
def test_a_transition_of_a_jira_issue_starts_a_task_at_the_source_of_its_project(
    make_client: Callable[..., TestClient],
    forges: Forges,
    add_source: Callable[..., None],
    stored: Stored,
    database: Database,
    rules: tuple[str, ...],
    starts: bool,
) -> None:
    add_source("shop", "acme/shop")
    _link_jira(database)
    client = make_client(start_rules=rules)
    for name in ("d1", "d2"):
        client.request("POST", **forges.jira(JIRA_ISSUE, delivery=name))
    client.request("POST", **forges.jira(but(JIRA_ISSUE, "changelog", {"items": []}), delivery="d3"))
    expected = [("shop", "Total is wrong", "SHOP-7", "Ada", "a1")] if starts else []
    assert stored("SELECT source, title, ticket_key, starter, starter_id FROM tasks") == expected


def test_a_restricted_jira_issue_starts_nothing(
    make_client: Callable[..., TestClient],
    forges: Forges,
    add_source: Callable[..., None],
    stored: Stored,
    database: Database,
) -> None:
    add_source("shop", "acme/shop")
    _link_jira(database)
    client = make_client(start_rules=("transition:In Progress",))
    client.request("POST", **forges.jira(but(JIRA_ISSUE, "issue.fields.security", {"name": "Staff"}), delivery="d1"))
    assert stored("SELECT count(*) FROM tasks") == [(0,)]


def test_two_reports_of_an_event_with_slightly_different_times_start_one_task(
    make_client: Callable[..., TestClient],
    forges: Forges,
    add_source: Callable[..., None],
    stored: Stored,
    database: Database,
) -> None:
    add_source("shop", "group/sub/shop")
    client = make_client()
    times = ("2026-03-01 10:00:00 UTC", "2026-03-01T10:00:00.732Z", "2026-03-01T10:00:29Z")
    for at in times:
        payload = but(GITLAB_ISSUE, "object_attributes.created_at", at)
        client.request("POST", **forges.gitlab(payload, delivery=at.replace(" ", "_")))
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute("UPDATE tasks SET state = 'cancelled' WHERE state = 'queued'")
    assert stored("SELECT state FROM deliveries ORDER BY received_at") == [("task",), ("duplicate",), ("duplicate",)]
    later = but(GITLAB_ISSUE, "object_attributes.created_at", "2026-03-01T10:05:00Z")
    client.request("POST", **forges.gitlab(later, delivery="later"))
    assert stored("SELECT count(*) FROM tasks") == [(2,)], "another issue, of a repository with a former name"


def test_a_label_whose_name_looks_like_a_time_does_not_confuse_the_comparison(
    make_client: Callable[..., TestClient], forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "group/sub/shop")
    for label in ("x at y", "x", "x at 2026-03-01"):
        client = make_client(trigger_label=label)
        changed = {"labels": {"previous": [], "current": [{"title": label}]}}
        payload = but(but(GITLAB_ISSUE, "changes", changed), "object_attributes.iid", 23)
        assert client.request("POST", **forges.gitlab(payload, delivery=label.replace(" ", "_"))).status_code == 202
    assert stored("SELECT count(*) FROM tasks") == [(1,)]


@pytest.mark.parametrize(
    ("payload", "rule", "looks"),
    [
        (_github("label_updated"), "labelled:bug", True),
        (_github("label_updated"), "labelled:other", False),
        (_github("label_updated", changes={"added_labels": [{"name": "later"}]}), "labelled:bug", False),
        (_github("label_cleared"), "labelled:bug", False),
        (_github("assigned"), "assigned:bob", False),
    ],
)
def test_an_event_of_gitea_that_does_not_say_what_is_new_makes_the_next_sweep_due(
    make_client: Callable[..., TestClient],
    forges: Forges,
    add_source: Callable[..., None],
    stored: Stored,
    database: Database,
    payload: dict[str, Any],
    rule: str,
    looks: bool,
) -> None:
    add_source("shop", "acme/shop")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sweeps (team_id, service, project, source, since, next_at) "
            "VALUES (%s, 'gitea', 'acme/shop', 'shop', now(), now() + interval '9 minutes')",
            (DEFAULT_TEAM,),
        )
    client = make_client(start_rules=(rule,))
    told = client.request("POST", **forges.gitea(payload, delivery="d1")).json()
    assert stored("SELECT next_at <= now() FROM sweeps") == [(looks,)]
    assert ("does not say" in told.get("reason", "")) == looks
    assert stored("SELECT count(*) FROM tasks") == [(0,)]


def test_of_several_assignees_in_gitea_the_new_one_is_looked_up(
    make_client: Callable[..., TestClient], forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "acme/shop")
    client = make_client(start_rules=("assigned:helper",))
    payload = _github("assigned")
    payload["issue"]["assignees"].append({"login": "bob", "id": 5})
    assert "does not say" in client.request("POST", **forges.gitea(payload, delivery="d1")).json()["reason"]
    assert stored("SELECT count(*) FROM tasks") == [(0,)]
