"""A real Gitea without any webhook: a sweep finds what happened there, who did it, and where the branch is."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import Forge, add_source
from assets.context.tickets import inbox
from assets.platform import Platform
from assets.sweeps.organisations import enrol, register
from assets.sweeps.sweep import sweep_due
from core.credentials import ensure_secrets
from core.database import Database
from core.events import CHANGES, DEFAULT_TEAM
from core.intake import CHANGED
from core.settings import Settings
from core.tickets import TICKET_CHANGED
from tests.assets.sweeps.conftest import gateway

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first run builds it

AT = "/repos/penstock/sweep"


def _commit(gitea: Any, name: str) -> str:
    change = {"content": base64.b64encode(b"x = 1\n").decode(), "message": name, "branch": "main"}
    made = gitea.api("POST", f"{AT}/contents/{name}", change)
    return str(made["commit"]["sha"])


def test_what_happened_at_a_real_forge_is_found_without_webhooks(
    gitea: Any, database: Database, database_url: str, tmp_path: Path
) -> None:
    gitea.api("POST", "/user/repos", {"name": "sweep", "auto_init": True, "default_branch": "main"})
    rules = ("labelled:penstock", "assigned:penstock", "mentioned:helper")
    settings = Settings(home=tmp_path, gitea_token=SecretStr(gitea.token), start_rules=rules)
    platform = Platform(settings, database_url)
    forge = Forge("gitea", gitea.url)
    location = f"{gitea.url}/penstock/sweep.git"
    add_source(database, DEFAULT_TEAM, "sweep", location, repository="penstock/sweep", forge=forge)
    refresh(database, DEFAULT_TEAM, "sweep", mirrors=platform.mirrors, roots=())
    label = gitea.api("POST", f"{AT}/labels", {"name": "penstock", "color": "#ff0000"})["id"]

    def issue(title: str, **more: Any) -> str:
        return f"/issues/{gitea.api('POST', f'{AT}/issues', {'title': title, 'body': 'It fails.', **more})['number']}"

    labelled, opened_with, assigned, mentioned, untouched = (
        issue("Labelled"),
        issue("With a label", labels=[label]),
        issue("Assigned"),
        issue("Mentioned"),
        issue("Untouched"),
    )
    gitea.api("POST", f"{AT}{labelled}/labels", {"labels": [label]})
    gitea.api("DELETE", f"{AT}{labelled}/labels/{label}")
    gitea.api("PATCH", f"{AT}{assigned}", {"assignees": ["penstock"]})
    gitea.api("POST", f"{AT}{mentioned}/comments", {"body": "@helper, look"})
    gitea.api("POST", f"{AT}{untouched}/comments", {"body": "/penstock retry"})
    head = _commit(gitea, "new.py")
    swept = list(sweep_due(platform, forced=True))
    assert [(one.error, one.whole, one.problems) for one in swept] == [(None, True, ())] * 2
    records = platform.log.read(CHANGES, {}, limit=500).records
    assert [one.event.data["after"] for one in records if one.event.type == CHANGED] == [head]
    inbox.accept(database, (one.event for one in records if one.event.type == TICKET_CHANGED))
    with database.team(DEFAULT_TEAM) as connection:
        assert inbox.drain(connection, DEFAULT_TEAM, "sweep").refused == 0
        started = connection.execute("SELECT title, starter FROM tasks ORDER BY title").fetchall()
        commands = connection.execute("SELECT ticket_key, author, command FROM commands").fetchall()
        tickets = connection.execute("SELECT title, labels, assignees FROM tickets ORDER BY title").fetchall()
    assert started == [(title, "penstock") for title in ("Assigned", "Labelled", "Mentioned", "With a label")]
    assert commands == [(untouched.replace("/issues/", "#"), "penstock", "retry")]
    assert opened_with
    assert tickets == [
        ("Assigned", [], ["penstock"]),
        ("Labelled", [], []),
        ("Mentioned", [], []),
        ("Untouched", [], []),
        ("With a label", ["penstock"], []),
    ]
    again = [one.stored.missed for one in sweep_due(platform, forced=True)]
    assert again == [0, 0]
    _webhooks_and_sweeps_agree(gitea, platform, label)
    done = enrol(platform, register(database, DEFAULT_TEAM, "penstock", "gitea", gitea.url, only=("*/sweep",)))
    assert (done.added, done.error) == ((), None), "its only repository has a source"
    platform.close()


def _webhooks_and_sweeps_agree(gitea: Any, platform: Platform, label: int) -> None:
    """What real webhooks have brought is what the service's history shows, so that a sweep adds nothing to it."""
    database, credentials = platform.database, ensure_secrets(platform.settings, platform.database)
    before = _count(platform, "tasks")
    settings = platform.settings.model_copy(update={"gateway_port": 0})
    with gateway(settings, platform, credentials) as url:
        config = {"url": f"{url}/webhooks/gitea", "content_type": "json", "secret": credentials.gitea_secrets[0]}
        events = ["issues", "issue_assign", "issue_label", "issue_comment"]
        gitea.api("POST", f"{AT}/hooks", {"type": "gitea", "active": True, "events": events, "config": config})
        paths = [f"/issues/{gitea.api('POST', f'{AT}/issues', {'title': title})['number']}" for title in "ABC"]
        gitea.api("POST", f"{AT}{paths[0]}/labels", {"labels": [label]})
        gitea.api("PATCH", f"{AT}{paths[1]}", {"assignees": ["penstock"]})
        gitea.api("POST", f"{AT}{paths[2]}/comments", {"body": "@helper, look\n\n/penstock retry"})
        deadline = time.monotonic() + 300
        while _count(platform, "deliveries WHERE id LIKE 'gitea:%'") < 6:
            assert time.monotonic() < deadline, "the webhooks do not arrive"
            time.sleep(0.1)
    assert _count(platform, "tasks") == before + 2
    # This version does not say which label an issue got, so a sweep is due at once.
    assert [(one.stored.tasks, one.error) for one in sweep_due(platform)] == [(1, None)]
    with database.system() as connection:  # as if they had ended: only the event itself keeps others from starting
        connection.execute("UPDATE tasks SET state = 'cancelled' WHERE state = 'queued'")
    records = platform.log.read(CHANGES, {}, limit=500).records
    inbox.accept(database, (one.event for one in records if one.event.type == TICKET_CHANGED))
    with database.team(DEFAULT_TEAM) as connection:
        inbox.drain(connection, DEFAULT_TEAM, "sweep")
    assert [(one.stored.missed, one.error) for one in sweep_due(platform, forced=True)] == [(0, None)] * 2
    assert _count(platform, "tasks") == before + 3


def _count(platform: Platform, what: str) -> int:
    with platform.database.team(DEFAULT_TEAM) as connection:
        row = connection.execute(f"SELECT count(*) FROM {what}".encode()).fetchone()  # noqa: S608
    return int(row[0]) if row else 0
