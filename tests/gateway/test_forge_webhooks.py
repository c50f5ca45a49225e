"""Webhooks of GitLab, Gitea and Jira, and the ticket changes of all services."""

import copy
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core.credentials import Credentials
from core.events import DEFAULT_TEAM, task_id
from core.signatures import sign_gitea, sign_github, sign_standard
from core.tickets import TicketChange
from gateway import gitea, gitlab, jira
from gateway.problems import Refused

DATA = Path(__file__).parents[1] / "data" / "webhooks" / "github"
Stored = Callable[[str], list[tuple[Any, ...]]]

GITLAB_ISSUE: dict[str, Any] = {
    "object_kind": "issue",
    "event_type": "issue",
    "user": {"id": 51, "name": "Ada", "username": "ada"},
    "project": {"id": 1, "path_with_namespace": "Group/Sub/Shop", "web_url": "https://gitlab.example/group/sub/shop"},
    "object_attributes": {
        "id": 301,
        "iid": 23,
        "title": "Total is wrong",
        "description": "It should be 3.",
        "author_id": 51,
        "state": "opened",
        "action": "open",
        "confidential": False,
        "url": "https://gitlab.example/group/sub/shop/-/issues/23",
        "created_at": "2026-03-01 10:00:00 UTC",
        "updated_at": "2026-03-01T10:00:01Z",
        "labels": [{"title": "bug"}],
    },
    "labels": [{"title": "bug"}],
    "assignees": [{"username": "bob"}],
    "changes": {"labels": {"previous": [], "current": [{"title": "bug"}]}},
}
GITLAB_NOTE: dict[str, Any] = {
    "object_kind": "note",
    "event_type": "note",
    "user": {"id": 7, "username": "eve"},
    "project": GITLAB_ISSUE["project"],
    "object_attributes": {
        "id": 1241,
        "note": "Same here.",
        "noteable_type": "Issue",
        "author_id": 7,
        "system": False,
        "action": "create",
        "url": "https://gitlab.example/group/sub/shop/-/issues/23#note_1241",
        "created_at": "2026-03-02 10:00:00 UTC",
        "updated_at": "2026-03-02 10:00:00 UTC",
    },
    "issue": {
        "iid": 23,
        "title": "Total is wrong",
        "description": "It should be 3.",
        "author_id": 51,
        "state": "opened",
        "labels": [{"title": "bug"}],
        "updated_at": "2026-03-02 10:00:00 UTC",
    },
}
GITEA_ISSUE: dict[str, Any] = {
    "action": "opened",
    "number": 5,
    "issue": {
        "id": 90,
        "number": 5,
        "title": "Total is wrong",
        "body": "It should be 3.",
        "user": {"id": 2, "login": "ada"},
        "labels": [{"name": "bug"}],
        "assignees": None,
        "state": "open",
        "pull_request": None,
        "html_url": "http://gitea.example/acme/shop/issues/5",
        "created_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T10:00:00+01:00",
    },
    "repository": {"id": 1, "full_name": "acme/shop"},
    "sender": {"id": 2, "login": "ada"},
}
JIRA_ISSUE: dict[str, Any] = {
    "timestamp": 1772359200000,
    "webhookEvent": "jira:issue_updated",
    "issue_event_type_name": "issue_generic",
    "user": {"accountId": "a1", "displayName": "Ada"},
    "issue": {
        "id": "10002",
        "self": "https://acme.atlassian.net/rest/api/2/10002",
        "key": "SHOP-7",
        "fields": {
            "summary": "Total is wrong",
            "description": "It should be 3.",
            "status": {"name": "In Progress", "statusCategory": {"key": "indeterminate"}},
            "labels": ["bug"],
            "reporter": {"accountId": "a1", "displayName": "Ada"},
            "assignee": {"accountId": "b2", "displayName": "Bob"},
            "created": "2026-03-01T10:00:00.000+0000",
            "updated": "2026-03-01T12:00:00.000+0200",
        },
    },
    "changelog": {"items": [{"field": "status", "fromString": "To Do", "toString": "In Progress"}]},
}


class Forges:
    """Requests as each service signs them."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def gitlab(self, payload: Any, delivery: str | None = None, token: str | None = None) -> dict[str, Any]:
        headers = {"X-Gitlab-Event": "Issue Hook", "X-Gitlab-Token": token or self.credentials.gitlab_secrets[0]}
        if delivery:
            headers["Idempotency-Key"] = delivery
        return self._request("gitlab", payload, headers)

    def gitea(self, payload: Any, event: str = "issues", delivery: str | None = None) -> dict[str, Any]:
        request = self._request("gitea", payload, {"X-Gitea-Event": event})
        request["headers"] |= {
            "X-Gitea-Delivery": delivery or str(uuid.uuid4()),
            "X-Gitea-Signature": sign_gitea(self.credentials.gitea_secrets[0], request["content"]),
        }
        return request

    def jira(self, payload: Any, delivery: str | None = None) -> dict[str, Any]:
        request = self._request("jira", payload, {})
        request["headers"]["X-Hub-Signature"] = sign_github(self.credentials.jira_secrets[0], request["content"])
        if delivery:
            request["headers"]["X-Atlassian-Webhook-Identifier"] = delivery
        return request

    def _request(self, origin: str, payload: Any, headers: dict[str, str]) -> dict[str, Any]:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return {
            "url": f"/webhooks/{origin}",
            "content": body,
            "headers": {"Content-Type": "application/json", **headers},
        }


@pytest.fixture
def forges(credentials: Credentials) -> Forges:
    return Forges(credentials)


@pytest.fixture
def link(database: Any, add_source: Callable[..., None]) -> Callable[..., None]:
    """A source that takes the tickets of a project."""

    def link(service: str, project: str, source: str = "shop") -> None:
        add_source(source, None)
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO ticket_projects (team_id, service, project, source) VALUES (%s, %s, %s, %s)",
                (DEFAULT_TEAM, service, project, source),
            )

    return link


def changes(client: TestClient) -> list[TicketChange]:
    """The ticket changes on the log, each of which must be complete without the body that it came in."""
    log = client.app.state.gateway.log  # type: ignore[attr-defined]
    records = log.read("penstock.changes", {}).records
    assert all(record.event.type == "penstock.ticket.changed" for record in records)
    return [TicketChange.model_validate(record.event.data["change"]) for record in records]


def but(payload: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The payload with another value at a path."""
    changed = copy.deepcopy(payload)
    *parents, name = path.split(".")
    holder = changed
    for parent in parents:
        holder = holder[parent]
    holder[name] = value
    return changed


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


def test_a_github_comment_tells_who_wrote_it_and_whose_the_ticket_is(
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
def test_gitlab_events_about_no_ticket_are_recorded_with_the_reason(
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


def test_a_gitlab_delivery_without_an_id_goes_by_its_body(client: TestClient, forges: Forges) -> None:
    first = client.request("POST", **forges.gitlab(GITLAB_NOTE))
    again = client.request("POST", **forges.gitlab(GITLAB_NOTE))
    other = client.request("POST", **forges.gitlab(but(GITLAB_NOTE, "object_attributes.id", 1242)))
    assert [answer.status_code for answer in (first, again, other)] == [202, 200, 202]
    digest = hashlib.sha256(json.dumps(GITLAB_NOTE).encode()).hexdigest()
    assert first.json()["delivery"] == f"gitlab:sha256-{digest}"


def test_gitea_issues_comments_and_pushes_are_taken(
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


def test_the_signature_that_gitea_shares_with_github_is_enough_but_not_beside_a_wrong_one(
    client: TestClient, forges: Forges
) -> None:
    request = forges.gitea(GITEA_ISSUE)
    right = request["headers"].pop("X-Gitea-Signature")
    assert client.request("POST", **request).json()["code"] == "signature-missing"
    request["headers"]["X-Hub-Signature-256"] = f"sha256={right}"
    assert client.request("POST", **request).status_code == 202
    request["headers"]["X-Gitea-Signature"] = "0" * 64
    assert client.request("POST", **request).json()["code"] == "signature-wrong"


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


def test_a_jira_project_that_is_linked_to_no_source_is_ignored_with_the_reason(
    client: TestClient, forges: Forges
) -> None:
    answer = client.request("POST", **forges.jira(JIRA_ISSUE)).json()
    assert (answer["status"], answer["reason"]) == ("ignored", "project SHOP of jira is not a configured source")


def test_a_jira_issue_moved_to_another_project_tells_its_former_key(
    client: TestClient, forges: Forges, link: Callable[..., None]
) -> None:
    link("jira", "SHOP")
    moved = but(JIRA_ISSUE, "changelog", {"items": [{"field": "Key", "fromString": "OLD-3", "toString": "SHOP-7"}]})
    client.request("POST", **forges.jira(moved))
    assert changes(client)[0].moved_from == "OLD-3"


def test_a_jira_comment_for_some_roles_only_is_hidden_and_documents_become_words(
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


def test_bodies_are_bounded_whatever_a_comment_holds(
    client: TestClient, forges: Forges, add_source: Callable[..., None]
) -> None:
    add_source("shop", "group/sub/shop")
    client.request("POST", **forges.gitlab(but(GITLAB_NOTE, "object_attributes.note", "\x00\ud800é" * 200_000)))
    [change] = changes(client)
    assert change.comment is not None
    assert len((change.comment.body or "").encode()) < 66_000
    assert (change.comment.body or "").startswith("\ufffd\ufffdé")


@pytest.mark.parametrize(
    ("service", "payload", "path", "value", "field"),
    [
        ("gitlab", GITLAB_ISSUE, "object_attributes.iid", "x", "object_attributes.iid"),
        ("gitlab", GITLAB_ISSUE, "object_attributes.title", None, "object_attributes.title"),
        ("gitlab", GITLAB_ISSUE, "object_attributes.updated_at", "yesterday", "object_attributes.updated_at"),
        ("gitlab", GITLAB_ISSUE, "project.path_with_namespace", "shop", "project.path_with_namespace"),
        ("gitlab", GITLAB_ISSUE, "labels", [7], "labels.0"),
        ("gitlab", GITLAB_NOTE, "object_attributes.id", -1, "object_attributes.id"),
        ("gitea", GITEA_ISSUE, "issue.number", True, "issue.number"),
        ("gitea", GITEA_ISSUE, "issue.user", 3, "issue.user"),
        ("gitea", GITEA_ISSUE, "repository", None, "repository.full_name"),
        ("jira", JIRA_ISSUE, "webhookEvent", None, "webhookEvent"),
        ("jira", JIRA_ISSUE, "issue.key", "shop", "issue.key"),
        ("jira", JIRA_ISSUE, "issue.fields.description", 3, "issue.fields.description"),
    ],
)
def test_a_wrong_field_of_a_ticket_is_named(
    client: TestClient, forges: Forges, service: str, payload: dict[str, Any], path: str, value: Any, field: str
) -> None:
    answer = client.request("POST", **getattr(forges, service)(but(payload, path, value)))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("service", ["gitlab", "gitea", "jira"])
def test_unsigned_malformed_and_oversized_deliveries_leave_no_trace(
    make_client: Callable[..., TestClient], forges: Forges, stored: Stored, service: str
) -> None:
    client = make_client(max_body_bytes=2048)
    make = getattr(forges, service)
    unsigned = make({"a": 1})
    unsigned["headers"] = {"Content-Type": "application/json"}
    assert client.request("POST", **unsigned).status_code == 401
    assert client.request("POST", **make(b"{")).status_code == 400
    assert client.request("POST", **make(b'{"a": "%s"}' % (b"x" * 4096))).status_code == 413
    assert stored("SELECT count(*) FROM deliveries") == [(0,)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_PATHS = [
    (base, path)
    for base, payload in (
        ("gitlab", GITLAB_ISSUE),
        ("note", GITLAB_NOTE),
        ("gitea", GITEA_ISSUE),
        ("jira", JIRA_ISSUE),
    )
    for path in (
        *payload,
        *(f"{name}.{inner}" for name, value in payload.items() if isinstance(value, dict) for inner in value),
    )
]
_NORMALISE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "gitlab": lambda payload: gitlab.normalise(payload, trigger_label=None),
    "note": lambda payload: gitlab.normalise(payload, trigger_label="bug"),
    "gitea": lambda payload: gitea.normalise("issues", payload, trigger_label=None),
    "jira": jira.normalise,
}
_BASES = {"gitlab": GITLAB_ISSUE, "note": GITLAB_NOTE, "gitea": GITEA_ISSUE, "jira": JIRA_ISSUE}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(_PATHS), anything)
def test_any_value_at_any_place_gives_an_intent_or_names_a_field(where: tuple[str, str], value: Any) -> None:
    base, path = where
    payload = but(_BASES[base], path, value)
    (gitlab if base in ("gitlab", "note") else jira).describe(payload).encode()
    try:
        intent = _NORMALISE[base](payload)
    except Refused as refused:
        assert refused.status_code == 400
        assert refused.field
        return
    if hasattr(intent, "change"):
        text = intent.change.model_dump_json()
        assert "\x00" not in text
        assert "\\u0000" not in text
        text.encode()
        assert TicketChange.model_validate_json(text) == intent.change


@pytest.mark.parametrize(
    ("source", "payload"), [("gitlab", GITLAB_ISSUE), ("gitea", GITEA_ISSUE), ("jira", JIRA_ISSUE)]
)
def test_what_penstock_send_signs_is_accepted(
    client: TestClient, credentials: Credentials, source: str, payload: dict[str, Any]
) -> None:
    from dagster_project.cli.platform import _signed

    body = json.dumps(payload).encode()
    headers = _signed(credentials, source, "issues", "d1", body) | {"Content-Type": "application/json"}
    answer = client.post(f"/webhooks/{source}", content=body, headers=headers)
    assert (answer.status_code, answer.json()["delivery"]) == (202, f"{source}:d1")
