"""Payloads as GitLab, Gitea and Jira send them, and a sender that signs as each does."""

import copy
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from core.credentials import Credentials
from core.signatures import sign_gitea, sign_github
from core.tickets import TicketChange

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
