"""A task solved by a chat model as Dagster runs it: index searched, use shown, a dead server relaunches the attempt."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, ResourceDefinition, materialize

from assets.attempt_run import run_tags
from assets.context.assets import task_context
from assets.context.source.sources import add_source
from assets.executions.assets import execution
from assets.partitions import SOURCES
from assets.plans.assets import plan
from assets.platform import Platform
from core import tasks
from core.events import DEFAULT_TEAM
from core.settings import Settings
from sandbox.protocol import Sandbox

from .conftest import GIT

SHOP = "def cheapest(lines):\n    return max(lines)\n"
TESTS = "from shop import cheapest\n\n\ndef test_cheapest():\n    assert cheapest([2, 7]) == 2\n"
CALLS = (
    (("search", {"query": "cheapest \x00"}), ("shell", {"command": "\ud800 \x00"})),
    (("edit", {"path": "shop.py", "old": "max(lines)", "new": "min(lines)"}), ("run_tests", {})),
)


@pytest.fixture
def platform(database_url: str, tmp_path: Path, chat_server: Any, bubblewrap: Sandbox) -> Iterator[Platform]:
    repository = tmp_path / "shop"
    repository.mkdir()
    (repository / "shop.py").write_text(SHOP)
    (repository / "test_shop.py").write_text(TESTS)
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run(["git", *command], cwd=repository, env=GIT, check=True)
    described = tmp_path / "models" / "mine"
    described.mkdir(parents=True)
    (described / "chat.toml").write_text(
        f'provider = "openai"\nurl = "{chat_server.url}/v1"\nmodel = "scripted"\nretries = 0\n'
    )
    settings = Settings(
        home=tmp_path / "home", embedding_model="hashing", allowed_roots=(tmp_path,), models=tmp_path / "models",
        engine="model", chat_model="mine",
    )  # fmt: skip
    made = Platform(settings, database_url)
    made.sandbox = bubblewrap
    add_source(made.database, DEFAULT_TEAM, "shop", str(repository), roots=settings.roots)
    yield made
    made.close()


@pytest.fixture
def task(platform: Platform) -> uuid.UUID:
    title = "cheapest() gives the dearest"
    request = tasks.request_event(DEFAULT_TEAM, "github:1", "/github", "shop", title=title)
    with platform.database.team(DEFAULT_TEAM) as connection:
        return tasks.create_task(connection, platform.log, event=request, source="shop", title=title)


def run(platform: Platform, task: uuid.UUID) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SOURCES.name or "", ["shop"])
        return materialize(
            [task_context, plan, execution],
            instance=instance,
            partition_key="shop",
            tags=run_tags(DEFAULT_TEAM, task, 1),
            resources={"platform": ResourceDefinition.hardcoded_resource(platform)},
            raise_on_error=False,
        )


def test_the_settings_engine_solves_a_task_and_shows_its_use(
    platform: Platform, task: uuid.UUID, chat_server: Any
) -> None:
    chat_server.script = lambda asked: chat_server.reply(calls=CALLS[min(asked.answers, 1)])
    result = run(platform, task)
    assert result.success
    (event,) = result.asset_materializations_for_node("execution")
    shown: dict[str, Any] = {key: value.value for key, value in event.metadata.items()}
    assert (shown["engine"], shown["verdict"], shown["iterations"]) == ("model", "pass", 2)
    assert shown["model"]["steps"] == 2 and shown["model"]["model"].startswith("mine@sha256:")
    assert "Likeliest places:\nshop.py:" in chat_server.requests[1].turns[-2][1]


def test_a_dead_model_server_gives_the_attempt_back(platform: Platform, task: uuid.UUID, chat_server: Any) -> None:
    chat_server.always = "503"
    result = run(platform, task)
    assert not result.success
    with platform.database.team(DEFAULT_TEAM) as connection:
        assert tasks.get_task(connection, task).state == "running", "it is relaunched, not failed"


def test_the_engine_that_rules_chose_and_why_is_stored_and_shown(
    platform: Platform, task: uuid.UUID, chat_server: Any
) -> None:
    platform.settings = platform.settings.model_copy(
        update={"engine": "auto", "engine_rules": ("search:under-1s", "model:failing-test")}
    )
    chat_server.script = lambda asked: chat_server.reply(calls=CALLS[min(asked.answers, 1)])
    result = run(platform, task)
    assert result.success
    (event,) = result.asset_materializations_for_node("execution")
    why = "Engine model was chosen by the rule `model:failing-test`: a test of the repository fails."
    assert event.metadata["engine"].value == f"model: {why}"
    with platform.database.team(DEFAULT_TEAM) as connection:
        found = tasks.details(connection, task)
        entry = connection.execute(
            "SELECT body FROM trajectory WHERE task_id = %s AND kind = 'engine'", (task,)
        ).fetchone()
    stored = next(stage["body"] for stage in found["stages"] if stage["stage"] == "execution")
    assert (stored["engine"], stored["chosen"]) == ("model", why)
    assert entry is not None and entry[0] == {"engine": "model", "why": why}
