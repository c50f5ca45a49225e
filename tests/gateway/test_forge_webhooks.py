"""Webhooks of GitLab, Gitea and Jira, and the ticket changes of all services."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.credentials import Credentials
from core.events import DEFAULT_TEAM, task_id
from core.signatures import sign_standard
from tests.gateway.forge_cases import (
    DATA,
    GITEA_ISSUE,
    GITLAB_ISSUE,
    GITLAB_NOTE,
    JIRA_ISSUE,
    Forges,
    Stored,
    but,
    changes,
)


def test_a_gitlab_issue_opened_starts_a_task_and_is_a_ticket_change_in_one_transaction(
    client: TestClient, forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "group/sub/shop")
    answer = client.request("POST", **forges.gitlab(GITLAB_ISSUE, "d1"))
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "accepted",
        "delivery": "gitlab:d1",
        "task": str(task_id(DEFAULT_TEAM, "gitlab:d1")),
    }
    assert stored("SELECT title, author, url FROM tasks") == [
        ("Total is wrong", "ada", "https://gitlab.example/group/sub/shop/-/issues/23")
    ]
    [change] = changes(client)
    assert (change.project, change.key, change.kind, change.action) == ("group/sub/shop", "#23", "issue", "issue.open")
    assert change.ticket is not None
    assert (change.ticket.author, change.ticket.labels, change.ticket.assignees) == ("ada", ("bug",), ("bob",))
    assert str(change.ticket.updated_at) == "2026-03-01 10:00:01+00:00"
    assert client.request("POST", **forges.gitlab(GITLAB_ISSUE, "d1")).status_code == 200
    assert len(changes(client)) == 1


def test_a_github_issue_opened_is_both_a_task_and_a_ticket_change(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    payload = (DATA / "issues" / "opened.payload.json").read_bytes()
    assert client.request("POST", **sender.github(payload, delivery="d1")).json()["task"]
    [change] = changes(client)
    assert (change.service, change.project, change.key) == ("github", "codertocat/hello-world", "#1")
    assert change.ticket is not None
    assert change.ticket.title == "Spelling error in the README file"
    assert stored("SELECT state FROM deliveries") == [("task",)]


def test_a_github_comment_has_its_own_author_and_the_ticket_keeps_its_own(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    payload = (DATA / "issue_comment" / "created.payload.json").read_bytes()
    answer = client.request("POST", **sender.github(payload, event="issue_comment", delivery="d1"))
    assert answer.json() == {"status": "accepted", "delivery": "github:d1"}
    [change] = changes(client)
    assert change.comment is not None
    assert (change.comment.id, change.comment.author, change.comment.association) == (
        "492700400",
        "Codertocat",
        "owner",
    )
    assert stored("SELECT state, task_id FROM deliveries") == [("change", None)]


def test_a_gitlab_note_is_a_change_of_its_ticket_and_starts_nothing(
    client: TestClient, forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "group/sub/shop")
    client.request("POST", **forges.gitlab(GITLAB_NOTE))
    [change] = changes(client)
    assert change.comment is not None
    assert change.ticket is not None
    assert (change.key, change.comment.id, change.comment.body, change.comment.author) == (
        "#23",
        "1241",
        "Same here.",
        "eve",
    )
    assert (change.ticket.author, change.ticket.author_id) == (None, "51"), "the actor is not the author"
    assert stored("SELECT count(*) FROM tasks") == [(0,)]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("object_attributes.system", True, "starts no work"),
        ("object_attributes.noteable_type", "Commit", "starts no work"),
        ("object_kind", "pipeline", "pipeline.create starts no work"),
    ],
)
def test_gitlab_events_that_are_not_about_tickets_are_recorded_with_the_reason(
    client: TestClient, forges: Forges, stored: Stored, path: str, value: Any, says: str
) -> None:
    answer = client.request("POST", **forges.gitlab(but(GITLAB_NOTE, path, value))).json()
    assert answer["status"] == "ignored"
    assert says in answer["reason"]
    assert stored("SELECT state FROM deliveries") == [("ignored",)]


def test_a_confidential_issue_starts_no_work_and_is_hidden(
    client: TestClient, forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "group/sub/shop")
    client.request("POST", **forges.gitlab(but(GITLAB_ISSUE, "object_attributes.confidential", True)))
    client.request("POST", **forges.gitlab(but(GITLAB_NOTE, "event_type", "confidential_note")))
    hidden, noted = changes(client)
    assert hidden.ticket is not None
    assert hidden.ticket.hidden
    assert noted.comment is not None
    assert noted.comment.hidden
    assert stored("SELECT count(*) FROM tasks") == [(0,)]


@pytest.mark.parametrize(("label", "tasks"), [("BUG", 1), ("other", 0)])
def test_with_a_trigger_label_a_gitlab_issue_given_it_starts_work(
    make_client: Callable[..., TestClient],
    forges: Forges,
    add_source: Callable[..., None],
    stored: Stored,
    label: str,
    tasks: int,
) -> None:
    add_source("shop", "group/sub/shop")
    client = make_client(trigger_label=label)
    client.request("POST", **forges.gitlab(but(GITLAB_ISSUE, "object_attributes.action", "update")))
    assert stored("SELECT count(*) FROM tasks") == [(tasks,)]
    assert len(changes(client)) == 1


def test_gitlab_signing_tokens_are_standard_webhooks(
    settings: Any, database: Any, add_source: Callable[..., None]
) -> None:
    from gateway.app import create_app

    key = "whsec_c2VjcmV0IGtleQ=="
    known = Credentials("pst_x", ("a",), ("whsec_eHh4",), gitlab_secrets=(key, "plain"))
    client = TestClient(create_app(settings, database, known))
    request = Forges(known).gitlab(GITLAB_ISSUE, token="nothing of ours")
    request["headers"].pop("X-Gitlab-Token")
    request["headers"] |= {"webhook-id": "m1", "webhook-timestamp": str(int(time.time()))}
    signature = sign_standard(key, "m1", int(request["headers"]["webhook-timestamp"]), request["content"])
    signed = {**request, "headers": {**request["headers"], "webhook-signature": signature}}
    assert client.request("POST", **signed).json()["delivery"] == "gitlab:m1"
    assert client.request("POST", **{**signed, "content": b"{}"}).json()["code"] == "signature-wrong"
    assert client.request("POST", **request).json()["code"] == "signature-missing"
    assert client.request("POST", **Forges(known).gitlab(GITLAB_ISSUE, token=key)).status_code == 401
    assert client.request("POST", **Forges(known).gitlab(GITLAB_ISSUE, token="plain")).status_code == 202


def test_a_gitlab_delivery_without_an_id_is_identified_by_its_body(client: TestClient, forges: Forges) -> None:
    first = client.request("POST", **forges.gitlab(GITLAB_NOTE))
    again = client.request("POST", **forges.gitlab(GITLAB_NOTE))
    other = client.request("POST", **forges.gitlab(but(GITLAB_NOTE, "object_attributes.id", 1242)))
    assert [answer.status_code for answer in (first, again, other)] == [202, 200, 202]
    digest = hashlib.sha256(json.dumps(GITLAB_NOTE).encode()).hexdigest()
    assert first.json()["delivery"] == f"gitlab:sha256-{digest}"


def test_gitea_issues_comments_and_pushes_are_accepted(
    client: TestClient, forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "acme/shop")
    assert client.request("POST", **forges.gitea(GITEA_ISSUE, delivery="d1")).json()["task"]
    comment = {"id": 8, "body": "Yes.", "user": {"id": 3, "login": "eve"}, "created_at": "2026-03-02T10:00:00Z"}
    payload = {**GITEA_ISSUE, "action": "created", "comment": comment, "is_pull": False}
    client.request("POST", **forges.gitea(payload, "issue_comment"))
    opened, commented = changes(client)
    assert (opened.service, opened.key) == ("gitea", "#5")
    assert opened.ticket is not None
    assert str(opened.ticket.updated_at) == "2026-03-01 09:00:00+00:00"
    assert commented.comment is not None
    assert commented.comment.author_id == "3"
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": "a" * 40, "repository": {"full_name": "acme/shop"}}
    client.request("POST", **forges.gitea(push, "push", "p1"))
    assert stored("SELECT kind, state FROM deliveries WHERE id = 'gitea:p1'") == [("push", "change")]


def test_github_signatures_of_gitea_are_accepted_unless_its_own_signature_is_wrong(
    client: TestClient, forges: Forges
) -> None:
    request = forges.gitea(GITEA_ISSUE)
    right = request["headers"].pop("X-Gitea-Signature")
    assert client.request("POST", **request).json()["code"] == "signature-missing"
    request["headers"]["X-Hub-Signature-256"] = f"sha256={right}"
    assert client.request("POST", **request).status_code == 202
    request["headers"]["X-Gitea-Signature"] = "0" * 64
    assert client.request("POST", **request).json()["code"] == "signature-wrong"


@pytest.mark.parametrize(
    ("source", "payload"), [("gitlab", GITLAB_ISSUE), ("gitea", GITEA_ISSUE), ("jira", JIRA_ISSUE)]
)
def test_signatures_of_penstock_send_are_accepted(
    client: TestClient, credentials: Credentials, source: str, payload: dict[str, Any]
) -> None:
    from dagster_project.cli.send import _signed

    body = json.dumps(payload).encode()
    headers = _signed(credentials, source, "issues", "d1", body) | {"Content-Type": "application/json"}
    answer = client.post(f"/webhooks/{source}", content=body, headers=headers)
    assert (answer.status_code, answer.json()["delivery"]) == (202, f"{source}:d1")
