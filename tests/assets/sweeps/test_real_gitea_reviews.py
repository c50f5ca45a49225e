"""Reviews at a real Gitea: each is heard once, by its webhook, by a sweep, or by both."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import Forge, add_source
from assets.platform import Platform
from assets.sweeps.sweep import sweep_due
from core.credentials import ensure_secrets
from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from tests.assets.sweeps.conftest import BRANCH, gateway, store_publication

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first run builds it

AT = "/repos/penstock/reviewed"


def _heard(platform: Platform) -> list[str]:
    with platform.database.team(DEFAULT_TEAM) as connection:
        rows = connection.execute("SELECT body FROM feedback ORDER BY received_at, body").fetchall()
    return [str(row[0]) for row in rows]


def test_a_review_is_heard_once_whoever_brings_it(
    gitea: Any, database: Database, database_url: str, tmp_path: Path
) -> None:
    gitea.api("POST", "/user/repos", {"name": "reviewed", "auto_init": True, "default_branch": "main"})
    platform = Platform(Settings(home=tmp_path, gitea_token=SecretStr(gitea.token), gateway_port=0), database_url)
    location = f"{gitea.url}/penstock/reviewed.git"
    forge = Forge("gitea", gitea.url)
    add_source(database, DEFAULT_TEAM, "reviewed", location, repository="penstock/reviewed", forge=forge)
    refresh(database, DEFAULT_TEAM, "reviewed", mirrors=platform.mirrors, roots=())
    change = {
        "content": base64.b64encode(b"x = 2\n").decode(),
        "message": "Fix",
        "branch": "main",
        "new_branch": BRANCH,
    }
    gitea.api("POST", f"{AT}/contents/m.py", change)
    pull = gitea.api("POST", f"{AT}/pulls", {"title": "Fix", "body": "", "head": BRANCH, "base": "main"})
    store_publication(platform, "reviewed", "gitea:penstock/reviewed", pull["html_url"])
    reviews = f"{AT}/pulls/{pull['number']}/reviews"

    def review(body: str, event: str = "COMMENT") -> None:
        gitea.api("POST", reviews, {"event": event, "body": body})

    credentials = ensure_secrets(platform.settings, database)
    with gateway(platform.settings, platform, credentials) as url:
        config = {"url": f"{url}/webhooks/gitea", "content_type": "json", "secret": credentials.gitea_secrets[0]}
        wanted = {"type": "gitea", "active": True, "events": ["pull_request_review"], "config": config}
        hook = gitea.api("POST", f"{AT}/hooks", wanted)["id"]
        review("It must be 3.")
        pending = gitea.api(
            "POST", reviews, {"body": "Draft", "comments": [{"path": "m.py", "body": "Here", "new_position": 1}]}
        )
        time.sleep(7)  # longer than two times of one review may be apart
        gitea.api("POST", f"{reviews}/{pending['id']}", {"event": "COMMENT", "body": "See the line."})
        deadline = time.monotonic() + 300
        while len(_heard(platform)) < 2:
            assert time.monotonic() < deadline, "the webhooks do not arrive"
            time.sleep(0.1)
        gitea.api("DELETE", f"{AT}/hooks/{hook}")
    review("It must be 4.")
    for _ in range(2):
        assert [(one.error, one.problems) for one in sweep_due(platform, forced=True)] == [(None, ())] * 2
        assert _heard(platform) == ["It must be 3.", "See the line.", "It must be 4."]
    platform.close()
