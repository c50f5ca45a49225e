"""An issue at a real forge becomes a pull request there, which is reviewed, added to and merged: Gitea's own webhook,
real Kafka, the sandbox, git's push."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import RunningPlatform, make_repository

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first run builds Gitea

NAME = "penstock/counter"
EVENTS = ["issues", "issue_comment", "pull_request", "pull_request_review", "push"]
AVERAGE = """

def average(values):
    \"\"\"The mean of some numbers; 0 for none.\"\"\"
    if not values:
        return 0
    return sum(values) // len(values)
"""
REVIEW = """The average is wrong too:

    >>> from shop import average
    >>> average([1, 2])
    1.5
"""


def test_an_issue_becomes_one_pull_request_which_closes_it(
    start_platform: Callable[..., RunningPlatform], kafka: Any, gitea: Any, tmp_path: Path
) -> None:
    at = f"/repos/{NAME}"
    gitea.api("POST", "/user/repos", {"name": "counter", "default_branch": "main"})
    seed = make_repository(tmp_path / "seed", more=AVERAGE)
    address = f"{gitea.url}/{NAME}.git"
    push = address.replace("://", f"://penstock:{gitea.token}@")
    subprocess.run(["git", "-C", str(seed), "push", "-q", push, "main"], check=True, timeout=600)

    person = {"username": "carol", "email": "carol@example.org", "password": "a-long-Passw0rd"}
    gitea.api("POST", "/admin/users", {**person, "must_change_password": False})
    gitea.api("PUT", f"{at}/collaborators/carol", {"permission": "write"})

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

    gitea.api("POST", f"{at}/pulls/{pull['number']}/reviews?sudo=carol", {"event": "REQUEST_CHANGES", "body": REVIEW})

    def answers() -> list[str]:
        return [comment["body"] for comment in gitea.api("GET", f"{at}/issues/{pull['number']}/comments")]

    platform.wait_for("an answer to the review", lambda: answers() != [], 300)
    assert answers()[0].startswith("> The average is wrong too:\n\nThe branch has a new commit.")
    commits = gitea.api("GET", f"{at}/pulls/{pull['number']}/commits")
    assert [commit["commit"]["author"]["name"] for commit in commits] == ["Penstock"] * 2
    assert len(gitea.api("GET", f"{at}/pulls?state=all")) == 1
    assert [row[0] for row in platform.rows("SELECT state FROM feedback")] == ["answered"]

    [(verdict,)] = platform.rows("SELECT verdict FROM verdicts WHERE attempt = 1")
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
