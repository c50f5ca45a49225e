"""Webhooks of Jira: transitions, moves and comments for some roles only."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from tests.gateway.forge_cases import JIRA_ISSUE, Forges, Stored, but, changes


def test_a_jira_transition_is_a_change_of_the_source_that_its_project_is_linked_to(
    client: TestClient, forges: Forges, link: Callable[..., None], stored: Stored
) -> None:
    link("jira", "SHOP")
    answer = client.request("POST", **forges.jira(JIRA_ISSUE, "d1"))
    assert answer.json() == {"status": "accepted", "delivery": "jira:d1"}
    [change] = changes(client)
    assert change.ticket is not None
    assert (change.key, change.project, change.ticket.state, change.ticket.status) == (
        "SHOP-7",
        "SHOP",
        "open",
        "In Progress",
    )
    assert change.ticket.url == "https://acme.atlassian.net/browse/SHOP-7"
    assert client.request("POST", **forges.jira(JIRA_ISSUE, "d1")).status_code == 200
    assert stored("SELECT count(*) FROM tasks") == [(0,)]


def test_an_unlinked_jira_project_is_ignored_with_the_reason(client: TestClient, forges: Forges) -> None:
    answer = client.request("POST", **forges.jira(JIRA_ISSUE)).json()
    assert (answer["status"], answer["reason"]) == ("ignored", "project SHOP of jira is not a configured source")


def test_a_jira_issue_moved_to_another_project_keeps_its_former_key(
    client: TestClient, forges: Forges, link: Callable[..., None]
) -> None:
    link("jira", "SHOP")
    moved = but(JIRA_ISSUE, "changelog", {"items": [{"field": "Key", "fromString": "OLD-3", "toString": "SHOP-7"}]})
    client.request("POST", **forges.jira(moved))
    assert changes(client)[0].moved_from == "OLD-3"


def test_a_restricted_jira_comment_is_hidden_and_documents_become_plain_text(
    client: TestClient, forges: Forges, link: Callable[..., None]
) -> None:
    link("jira", "SHOP")
    document = {
        "type": "doc",
        "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": "See "}, {"type": "text", "text": "total"}]},
            {"type": "paragraph", "content": [{"type": "mention", "attrs": {"text": "@ada"}}]},
        ],
    }
    payload = {
        "webhookEvent": "comment_created",
        "comment": {
            "id": "77",
            "body": document,
            "author": {"accountId": "c3", "displayName": "Eve"},
            "visibility": {"type": "role", "value": "Administrators"},
        },
        "issue": {"key": "SHOP-7", "fields": {"summary": "Total is wrong"}},
    }
    client.request("POST", **forges.jira(payload))
    [change] = changes(client)
    assert change.comment is not None
    assert (change.comment.body, change.comment.hidden) == ("See total\n@ada", True)


@pytest.mark.parametrize(("body", "looks"), [("/penstock start", True), ("@penstock, please", True), ("a word", False)])
def test_a_comment_on_an_issue_that_it_says_too_little_of_makes_the_next_sweep_due(
    make_client: Callable[..., TestClient],
    forges: Forges,
    link: Callable[..., None],
    database: Database,
    stored: Stored,
    body: str,
    looks: bool,
) -> None:
    link("jira", "SHOP")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sweeps (team_id, service, project, source, since, next_at) "
            "SELECT team_id, 'jira', 'SHOP', source, now(), now() + interval '9 minutes' FROM ticket_projects"
        )
    client = make_client(start_rules=("command [SHOP]", "mentioned:penstock [SHOP]"))
    payload = {
        "webhookEvent": "comment_created",
        "comment": {"id": "78", "body": body, "author": {"accountId": "c3", "displayName": "Eve"}},
        "issue": {"key": "SHOP-7", "fields": {"summary": "Total is wrong"}},
    }
    client.request("POST", **forges.jira(payload))
    assert stored("SELECT next_at <= now() FROM sweeps") == [(looks,)]
    assert stored("SELECT count(*) FROM tasks") == [(0,)]
