"""Payloads as Bitbucket Cloud sends them, and every kind of event that it documents."""

import json
import uuid
from typing import Any

from core.signatures import sign_github

PULLS = ("created", "updated", "approved", "unapproved", "changes_request_created", "changes_request_removed")
ENDS = ("fulfilled", "rejected")
COMMENTS = ("created", "updated", "deleted", "resolved", "reopened")
KINDS = (
    *(f"pullrequest:{what}" for what in (*PULLS, *ENDS)),
    *(f"pullrequest:comment_{what}" for what in COMMENTS),
    *(f"repo:{what}" for what in ("push", "fork", "updated", "transfer", "created", "deleted", "imported")),
    *(f"repo:commit_{what}" for what in ("comment_created", "status_created", "status_updated")),
    *(f"issue:{what}" for what in ("created", "updated", "comment_created")),
    "project:updated",
)
UUID = "{2b922c6d-3824-4e91-a7be-90c8b8392f84}"
BRANCH = "penstock/11111111-2222-5333-8444-555555555555"


def account(name: str, number: int, **more: Any) -> dict[str, Any]:
    found = "{" + str(uuid.UUID(int=number)) + "}"
    return {
        "display_name": name.title(),
        "links": {"html": {"href": f"https://bitbucket.org/{found}/"}},
        "type": "user",
        "uuid": found,
        "account_id": f"557058:{number}",
        "nickname": name,
        **more,
    }


ADA, EVE = account("ada", 1), account("eve", 2)
ROBOT = account("builds", 3, type="AppUser", nickname=None)


def repository(full_name: str = "Acme/Shop", identity: str | None = UUID) -> dict[str, Any]:
    return {
        "type": "repository",
        "full_name": full_name,
        "links": {"html": {"href": f"https://bitbucket.org/{full_name.lower()}"}},
        "name": "Shop",
        "scm": "git",
        "website": None,
        "owner": {"display_name": "Acme", "type": "team", "uuid": "{612f7b18-b167-4bff-8ee9-d43570117ff1}"},
        "is_private": True,
        "uuid": identity,
        "parent": None,
    }


def _end(branch: str) -> dict[str, Any]:
    return {"branch": {"name": branch}, "commit": {"type": "commit", "hash": "a" * 12}, "repository": repository()}


def pull(**more: Any) -> dict[str, Any]:
    return {
        "type": "pullrequest",
        "id": 7,
        "title": "Fix: the total",
        "description": "It was 1.\n\n[//]: # (penstock task=x attempt=1)",
        "state": "OPEN",
        "draft": False,
        "author": ADA,
        "source": _end(BRANCH),
        "destination": _end("main"),
        "merge_commit": None,
        "closed_by": None,
        "reason": "",
        "created_on": "2026-03-01T10:00:00.123456+00:00",
        "updated_on": "2026-03-01T12:00:00.654321+02:00",
        "links": {"html": {"href": "https://bitbucket.org/acme/shop/pull-requests/7"}},
        **more,
    }


def comment(text: str | None = "It must be 3.", **more: Any) -> dict[str, Any]:
    return {
        "id": 419169807,
        "content": {"type": "rendered", "raw": text, "markup": "markdown", "html": ""},
        "user": EVE,
        "deleted": False,
        "pending": False,
        "type": "pullrequest_comment",
        "created_on": "2026-03-02T10:00:00+00:00",
        "updated_on": "2026-03-02T10:00:00+00:00",
        "links": {"html": {"href": "https://bitbucket.org/acme/shop/pull-requests/7/_/diff#comment-419169807"}},
        "pullrequest": {"type": "pullrequest", "id": 7},
        **more,
    }


def inline(text: str = "It must be 3.", **more: Any) -> dict[str, Any]:
    return comment(text, inline={"path": "m.py", "from": None, "to": 4}, **more)


def about(pullrequest: dict[str, Any] | None = None, actor: Any = ADA, **more: Any) -> dict[str, Any]:
    return {"repository": repository(), "actor": actor, "pullrequest": pullrequest or pull(), **more}


def pushed(*changes: tuple[str | None, str | None], name: str = "main", kind: str = "branch") -> dict[str, Any]:
    """`changes` are (before, after)."""

    def ref(commit: str | None) -> dict[str, Any] | None:
        return {"type": kind, "name": name, "target": {"type": "commit", "hash": commit}} if commit else None

    found = [{"old": ref(old), "new": ref(new), "commits": [], "truncated": False} for old, new in changes]
    return {"repository": repository(), "actor": ADA, "push": {"changes": found}}


def status(**more: Any) -> dict[str, Any]:
    held = {
        "key": "3343801",
        "type": "build",
        "state": "FAILED",
        "name": "Pipeline #4",
        "refname": BRANCH,
        "commit": {"type": "commit", "hash": "a" * 40},
        "url": "https://bitbucket.org/acme/shop/pipelines/results/4",
        "description": "",
        "links": {"commit": {"href": f"https://api.bitbucket.org/2.0/repositories/acme/shop/commit/{'a' * 40}"}},
    }
    return {"repository": repository(), "actor": ADA, "commit_status": held | more}


def sample(event: str) -> dict[str, Any]:
    """A payload of any kind."""
    subject, _, what = event.partition(":")
    if subject == "pullrequest":
        return about(comment=comment()) if what.startswith("comment_") else about()
    if event == "repo:push":
        return pushed((None, "b" * 40))
    if what.startswith("commit_status"):
        return status()
    if event == "repo:updated":
        return {"repository": repository(), "actor": ADA, "changes": {"description": {"old": "", "new": "x"}}}
    return {"repository": repository(), "actor": ADA}


def request(
    secret: str, payload: Any, event: str = "pullrequest:created", delivery: str | None = None
) -> dict[str, Any]:
    """A delivery, signed with a secret."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Event-Key": event,
        "X-Hook-UUID": "6dd80e2a-9f0e-4ea3-a1ea-8b0a7d0eb3ac",
        "X-Request-UUID": delivery or str(uuid.uuid4()),
        "X-Attempt-Number": "1",
        "X-Hub-Signature": sign_github(secret, body),
    }
    return {"url": "/webhooks/bitbucket", "content": body, "headers": headers}
