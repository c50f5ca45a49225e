"""The whole way of a question: a signed webhook, a run without a reproduction, a comment, and a pull request."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, materialize
from pydantic import SecretStr
from starlette.testclient import TestClient

from assets.attempt_run import run_tags
from assets.context.assets import task_context
from assets.context.source.sources import Forge, add_source
from assets.executions.assets import execution
from assets.plans.assets import plan
from assets.platform import Platform
from assets.results.assets import result
from assets.results.deliver import deliver
from core import tasks
from core.credentials import ensure_secrets
from core.events import DEFAULT_TEAM
from core.health.ledger import read_ledger
from core.settings import Settings
from core.signatures import sign_github
from deploy.fake_forge import FakeForge
from gateway.app import create_app

NAME = "acme/shop"
SHOP = '''def discount(quantity):
    """One percent for each full ten items, at most twenty."""
    return min(quantity // 10, 20)


def total(prices, quantity):
    """The sum to pay, in cents, after the discount."""
    gross = sum(prices) + quantity
    return gross - gross * discount(quantity) // 100
'''
TESTS = "from shop import discount\n\n\ndef test_the_discount_is_capped():\n    assert discount(1000) == 20\n"
ANSWER = """> Penstock has a question.

This one:

    >>> from shop import total
    >>> total([100], 10)
    990
    >>> total([250], 1)
    250
"""


class Shop:
    """A repository at the fake forge whose only failing call no test shows, and the platform that follows it."""

    def __init__(self, forge: FakeForge, platform: Platform, client: TestClient, secret: str) -> None:
        self.forge, self.platform, self.client, self.secret = forge, platform, client, secret
        self.instance = DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("sources", ["shop"])
        self.issue = forge.add_issue(NAME, "Total is wrong for several items", "It is far too small.", author="ada")

    def send(self, event: str, action: str, delivery: str, **more: Any) -> dict[str, Any]:
        payload = {
            "action": action,
            "issue": {
                "number": self.issue.number,
                "title": self.issue.title,
                "body": self.issue.body,
                "state": "open",
                "html_url": f"{self.forge.url}/{NAME}/issues/{self.issue.number}",
                "user": {"login": "ada", "id": self.forge.add_user("ada").id},
                "labels": [],
            },
            "repository": {"full_name": NAME, "id": 9},
            "sender": {"login": "ada", "id": self.forge.add_user("ada").id},
            **more,
        }
        body = json.dumps(payload).encode()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign_github(self.secret, body),
            "Content-Type": "application/json",
        }
        answer = self.client.post("/webhooks/github", content=body, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        told: dict[str, Any] = answer.json()
        return told

    def say(self, text: str, author: str = "ada", deliveries: int = 1) -> None:
        user = self.forge.add_user(author)
        said = self.forge.add_comment(NAME, self.issue.number, text, author=author)
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        comment = {"id": said.id, "body": text, "user": {"login": author, "id": user.id}, "created_at": at}
        for _ in range(deliveries):
            self.send("issue_comment", "created", f"comment-{said.id}", comment=comment)

    def run(self, task: uuid.UUID, attempt: int) -> Any:
        return materialize(
            [task_context, plan, execution, result],
            instance=self.instance,
            partition_key="shop",
            tags=run_tags(DEFAULT_TEAM, task, attempt),
            resources={"platform": self.platform},
        )

    def tags(self, run: Any) -> dict[str, str]:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return dict(found.tags)

    def deliver(self) -> None:
        with self.platform.database.system() as connection:
            connection.execute("UPDATE status_comments SET next_try_at = now()")
        deliver(self.platform)

    def comments(self) -> list[str]:
        return [comment.body for comment in self.issue.comments if comment.author.login == "penstock-bot"]

    def task(self, identity: uuid.UUID) -> tasks.Task:
        with self.platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.get_task(connection, identity)


@pytest.fixture
def shop(database_url: str, tmp_path: Path, sandbox: Any) -> Iterator[Shop]:
    folder = tmp_path / "seed"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(TESTS)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "A shop"]):
        subprocess.run(["git", "-C", str(folder), *arguments], env=environment, check=True, timeout=600)
    with FakeForge(tmp_path / "forge") as forge:
        forge.add_repository(NAME, folder)
        forge.add_user("penstock-bot")
        token = forge.add_token("penstock-bot")
        forge.grant(NAME, "penstock-bot", "write")
        forge.grant(NAME, "ada", "write")
        forge.add_user("mallory")
        settings = Settings(
            home=tmp_path / "home",
            embedding_model="hashing",
            allowed_roots=(tmp_path,),
            github_token=SecretStr(token),
            forge_write_seconds=0,
        )
        platform = Platform(settings, database_url)
        add_source(
            platform.database,
            DEFAULT_TEAM,
            "shop",
            forge.git_url(NAME),
            repository=NAME,
            forge=Forge("github", forge.url),
        )
        credentials = ensure_secrets(settings, platform.database)
        with TestClient(create_app(settings, platform.database, credentials)) as client:
            made = Shop(forge, platform, client, credentials.github_secrets[0])
            yield made
            made.instance.dispose()
        platform.reader.close()
        platform.close()


def test_an_answer_turns_an_issue_that_nothing_reproduces_into_a_pull_request(shop: Shop) -> None:
    task = uuid.UUID(shop.send("issues", "opened", "opened-1")["task"])
    run = shop.run(task, 1)
    assert run.success
    [made] = run.asset_materializations_for_node("result")
    assert made.metadata["state"].value == "waiting"
    [check] = [one for one in run.get_asset_check_evaluations() if one.check_name == "resolved"]
    assert (check.passed, check.severity.value) == (False, "WARN")
    tags = shop.tags(run)
    assert (tags["issue"], tags["outcome"]) == (f"#{shop.issue.number} {shop.issue.title}"[:80], "waiting")
    assert "shows no call" in str(made.metadata["question"].value)
    shop.deliver()
    [asked] = shop.comments()
    assert asked.startswith("Penstock has a question. The issue shows no call of the program")
    assert shop.task(task).state == "waiting"

    shop.say("Me too.", "mallory")
    shop.deliver()
    assert shop.task(task).state == "waiting"
    shop.say(ANSWER, deliveries=100)
    shop.deliver()
    assert (shop.task(task).state, shop.task(task).attempt) == ("queued", 2)

    run = shop.run(task, 2)
    assert run.success
    assert shop.tags(run)["outcome"].startswith("resolved")
    shop.deliver()
    [pull] = shop.forge.repository(NAME).pulls
    assert pull.head == f"penstock/{task}-2"
    assert f"Closes #{shop.issue.number}" in pull.body
    assert shop.task(task).state == "resolved"
    assert [text.partition(":")[0].partition(".")[0] for text in shop.comments()] == [
        "Penstock has a question",
        "Penstock proposes a patch",
    ]
    with shop.platform.database.system() as connection:
        found = read_ledger(connection)
    assert found.balanced and found.outcomes["published"] == 1
