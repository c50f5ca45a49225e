"""A real Gitea: its webhooks to a real gateway, and the import of what was there before them."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from assets.context.tickets import inbox
from assets.context.tickets.importing import import_tickets, link_project
from assets.context.tickets.index import index_tickets
from assets.context.tickets.search import search_tickets
from core.credentials import Credentials
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, DEFAULT_TEAM
from core.tickets import TICKET_CHANGED, Service

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first run builds it

REPOSITORY = "penstock/shop"
EVENTS = [
    "issues", "issue_assign", "issue_label", "issue_milestone", "issue_comment", "pull_request",
    "pull_request_label", "pull_request_comment", "pull_request_review", "push",
]  # fmt: skip


def _until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return found


def test_tickets_of_a_real_forge_arrive_by_import_and_by_webhook(
    gitea: Any,
    serve: Callable[..., Any],
    credentials: Credentials,
    database: Database,
    add_source: Callable[..., None],
    stored: Callable[[str], list[tuple[Any, ...]]],
) -> None:
    at = f"/repos/{REPOSITORY}"
    gitea.api("POST", "/user/repos", {"name": "shop", "auto_init": True, "default_branch": "main"})
    old = gitea.api("POST", f"{at}/issues", {"title": "Total is wrong", "body": "It adds the discount twice."})
    gitea.api("POST", f"{at}/issues/{old['number']}/comments", {"body": "Restarting memcached does not help."})
    add_source("shop", REPOSITORY)

    link = link_project(database, DEFAULT_TEAM, "shop", Service.GITEA, None, gitea.url)
    imported = import_tickets(database, DEFAULT_TEAM, link, token=gitea.token)
    assert (imported.complete, imported.skipped, imported.index.status.total) == (True, (), 1)
    assert [hit.key for hit in search_tickets(database, DEFAULT_TEAM, "shop", "memcached")] == ["#1"]

    def kinds() -> dict[str, int]:
        return dict(stored("SELECT kind, count(*) FROM deliveries WHERE state <> 'ignored' GROUP BY 1"))  # type: ignore[arg-type]

    with serve() as url:
        config = {"url": f"{url}/webhooks/gitea", "content_type": "json", "secret": credentials.gitea_secrets[0]}
        gitea.api("POST", f"{at}/hooks", {"type": "gitea", "active": True, "events": EVENTS, "config": config})
        number = gitea.api("POST", f"{at}/issues", {"title": "Login is slow", "body": "Ten seconds."})["number"]
        label = gitea.api("POST", f"{at}/labels", {"name": "bug", "color": "#ff0000"})["id"]
        gitea.api("POST", f"{at}/issues/{number}/labels", {"labels": [label]})
        kept = gitea.api("POST", f"{at}/issues/{number}/comments", {"body": "Only with postgresql."})
        gone = gitea.api("POST", f"{at}/issues/{number}/comments", {"body": "Try walruses."})
        _until(lambda: kinds().get("issue_comment.created") == 2)
        gitea.api("PATCH", f"{at}/issues/comments/{kept['id']}", {"body": "Only with sqlite."})
        gitea.api("DELETE", f"{at}/issues/comments/{gone['id']}")
        change = {
            "content": base64.b64encode(b"x").decode(),
            "message": "Fix it",
            "new_branch": "fix",
            "branch": "main",
        }
        gitea.api("POST", f"{at}/contents/fix.txt", change)
        wanted = {"title": "Make login quick", "body": f"Fixes #{number}", "head": "fix", "base": "main"}
        pull = gitea.api("POST", f"{at}/pulls", wanted)["number"]
        _until(lambda: gitea.api("GET", f"{at}/pulls/{pull}")["mergeable"])
        gitea.api("POST", f"{at}/pulls/{pull}/merge", {"Do": "merge"})
        _until(lambda: kinds().get("pull_request.closed") and kinds().get("issue_comment.deleted"))
        _until(lambda: gitea.api("GET", f"{at}/issues/{number}")["state"] == "closed" and kinds().get("issues.closed"))

    assert stored("SELECT title, author FROM tasks") == [("Login is slow", "penstock")], "an issue opened is work"
    log = PostgresLog(database)
    records = log.read(CHANGES, {}, limit=500).records
    log.close()
    inbox.accept(database, (record.event for record in records if record.event.type == TICKET_CHANGED))
    report = index_tickets(database, DEFAULT_TEAM, "shop")
    assert report.changes.refused == 0
    tickets = {
        key: rest
        for key, *rest in stored(
            "SELECT key, kind, state, labels, closes, commit IS NOT NULL FROM tickets ORDER BY key"
        )
    }
    assert tickets == {
        "#1": ["issue", "open", [], [], False],
        f"#{number}": ["issue", "closed", ["bug"], [], False],
        f"#{pull}": ["pull request", "merged", [], [f"#{number}"], True],
    }
    [hit] = search_tickets(database, DEFAULT_TEAM, "shop", "sqlite")
    assert (hit.key, hit.part, hit.closed_by[0].partition(" at ")[0]) == (f"#{number}", str(kept["id"]), f"#{pull}")
    assert search_tickets(database, DEFAULT_TEAM, "shop", "postgresql walruses") == []

    again = import_tickets(database, DEFAULT_TEAM, link, token=gitea.token, everything=True)
    assert (again.complete, again.skipped, again.index.chunks_new) == (True, (), 0)
    assert {key: rest for key, *rest in stored("SELECT key, kind, state, labels FROM tickets")} == {
        key: rest[:3] for key, rest in tickets.items()
    }
