"""An issue at a real forge becomes a pull request there: Gitea's own webhook, real Kafka, the sandbox, git's push."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import RunningPlatform, make_repository

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first run builds Gitea

NAME = "penstock/counter"
EVENTS = ["issues", "issue_comment", "pull_request", "push"]


def test_an_issue_becomes_one_pull_request_which_closes_it(
    start_platform: Callable[..., RunningPlatform], kafka: Any, gitea: Any, tmp_path: Path
) -> None:
    at = f"/repos/{NAME}"
    gitea.api("POST", "/user/repos", {"name": "counter", "default_branch": "main"})
    seed = make_repository(tmp_path / "seed")
    address = f"{gitea.url}/{NAME}.git"
    push = address.replace("://", f"://penstock:{gitea.token}@")
    subprocess.run(["git", "-C", str(seed), "push", "-q", push, "main"], check=True, timeout=600)

    platform = start_platform(
        PENSTOCK_EVENT_LOG="kafka", PENSTOCK_KAFKA_BOOTSTRAP=kafka.bootstrap, PENSTOCK_GITEA_TOKEN=gitea.token
    )
    platform.cli("index", "add", "counter", address, "--repository", NAME, "--forge", "gitea")
    secret = (platform.home / "secrets" / "gitea-webhook-secret").read_text().strip()
    config = {"url": f"{platform.state['gateway']}/webhooks/gitea", "content_type": "json", "secret": secret}
    gitea.api("POST", f"{at}/hooks", {"type": "gitea", "active": True, "events": EVENTS, "config": config})

    text = "`total([100], 10)` should be 990 but it is 109: the quantity is added to the price."
    number = gitea.api("POST", f"{at}/issues", {"title": "Total is wrong for several items", "body": text})["number"]

    def comments() -> list[str]:
        return [comment["body"] for comment in gitea.api("GET", f"{at}/issues/{number}/comments")]

    platform.wait_for("a comment with the result", lambda: any("proposes a patch" in c for c in comments()), 300)
    [pull] = gitea.api("GET", f"{at}/pulls?state=all")
    assert pull["base"]["ref"] == "main"
    assert f"Closes #{number}" in pull["body"]
    assert pull["head"]["ref"].startswith("penstock/")
    assert "proposes a patch" in comments()[-1]
    assert pull["html_url"] in comments()[-1]
    assert len(comments()) == 1
    [(state, target, location)] = platform.rows("SELECT state, target, location FROM publications")
    assert (state, target, location) == ("published", f"gitea:{NAME}", pull["html_url"])

    [(verdict,)] = platform.rows("SELECT verdict FROM verdicts")
    assert pull["title"].startswith("WIP: ") == (verdict == "draft")
    title = {"title": pull["title"].removeprefix("WIP: ")}
    gitea.api("PATCH", f"{at}/pulls/{pull['number']}", title)  # reviewed

    # Penstock's own push, pull request and comment come back as webhooks, and start nothing.
    platform.wait_for("Gitea is mergeable", lambda: gitea.api("GET", f"{at}/pulls/{pull['number']}")["mergeable"], 300)
    gitea.api("POST", f"{at}/pulls/{pull['number']}/merge", {"Do": "merge"})
    platform.wait_for("the issue is closed", lambda: gitea.api("GET", f"{at}/issues/{number}")["state"] == "closed", 60)
    assert list(platform.tasks().values()) == ["resolved"]
    shown = platform.cli("task", "show", next(iter(platform.tasks()))).stdout
    assert pull["html_url"] in shown
