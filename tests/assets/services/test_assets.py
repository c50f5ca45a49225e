"""A request for a service as Dagster runs it: from the task to a version that serves, or a question that says how."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, ResourceDefinition, materialize

from assets.attempt_run import run_tags
from assets.context.source.sources import add_source
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.services import assets
from core import questions, tasks
from core.events import DEFAULT_TEAM, OUTCOMES
from core.settings import Settings
from objects.catalogue import read_code, read_type

pytestmark = pytest.mark.services

SOURCE = """
def handle(state, message):
    return {"total": state["total"] + 1}, {"total": state["total"] + 1}
"""
MANIFEST = {
    "initial": {"total": 0},
    "methods": {"add": {"argument": {"type": "object", "additionalProperties": False}}},
}
SCENARIO = {"name": "adds", "steps": [{"call": "add", "answer": {"total": 1}}]}
BLOCKS = f"```python\n{SOURCE}\n```\n\n```json\n{json.dumps(MANIFEST)}\n```\n\n```json\n{json.dumps([SCENARIO])}\n```\n"
WRONG = BLOCKS.replace('"answer": {"total": 1}', '"answer": {"total": 2}')


@pytest.fixture
def platform(database_url: str, tmp_path: Path, sandbox: Any) -> Iterator[Platform]:
    settings = Settings(home=tmp_path / "home", allowed_roots=(tmp_path,), sandbox=sandbox.name)
    made = Platform(settings, database_url)
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path / "shop")], check=True)
    add_source(made.database, DEFAULT_TEAM, "shop", str(tmp_path / "shop"), roots=settings.roots)
    yield made
    made.close()


@pytest.fixture
def task(platform: Platform) -> Callable[..., uuid.UUID]:
    def make(body: str, title: str = "Make a service that keeps accounts") -> uuid.UUID:
        event = tasks.request_event(DEFAULT_TEAM, f"api:{uuid.uuid4()}", "/api", "shop", title=title)
        with platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.create_task(
                connection,
                platform.log,
                event=event,
                source="shop",
                title=title,
                body=body,
                options={"kind": "service"},
            )

    return make


def run(platform: Platform, task: uuid.UUID, attempt: int = 1, some: Any = None) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SOURCES.name or "", ["shop"])
        return materialize(
            some or [assets.code, assets.version],
            instance=instance,
            partition_key="shop",
            tags=run_tags(DEFAULT_TEAM, task, attempt),
            resources={"platform": ResourceDefinition.hardcoded_resource(platform)},
            raise_on_error=False,
        )


def found(platform: Platform, task: uuid.UUID) -> tuple[str, str | None]:
    with platform.database.team(DEFAULT_TEAM) as connection:
        one = tasks.get_task(connection, task)
    return one.state, one.reason


def serves(platform: Platform, kind: str) -> int | None:
    with platform.database.team(DEFAULT_TEAM) as connection:
        row = read_type(connection, kind)
    return row.active_version if row else None


def test_code_that_comes_with_a_request_is_tried_let_out_and_told_of(
    platform: Platform, task: Callable[..., uuid.UUID]
) -> None:
    identity = task(f"Service: account\n\n{BLOCKS}")
    assert run(platform, identity, some=[assets.code]).success
    with platform.database.system() as connection:  # the run was killed, and goes on elsewhere
        connection.execute("UPDATE attempts SET lease_until = clock_timestamp() - interval '1 second'")
    assert run(platform, identity).success
    assert (found(platform, identity)[0], serves(platform, "account")) == ("resolved", 1)
    with platform.database.team(DEFAULT_TEAM) as connection:
        code = read_code(connection, "account", 1)
        row = connection.execute("SELECT body ->> 'report' FROM publications").fetchone()
        verdict = connection.execute("SELECT body FROM verdicts").fetchone()
    assert code and code.author == f"task {identity}" and code.scenarios == [SCENARIO]
    assert row and code.sha256 in row[0] and "version 1 serves all keys" in row[0] and "`add` | changes" in row[0]
    assert verdict and verdict[0]["verdict"] == "pass" and code.sha256 in verdict[0]["proof"]
    outcome = platform.log.read(OUTCOMES, {}, limit=10).records[-1].event
    assert (outcome.data["work"], outcome.data["code"]) == ("service", code.sha256)


def test_without_code_and_model_the_task_asks_and_an_answer_with_code_is_let_out(
    platform: Platform, task: Callable[..., uuid.UUID]
) -> None:
    identity = task("Each account has a total.\n\nService: account")
    assert run(platform, identity).success
    state, reason = found(platform, identity)
    assert state == "waiting" and reason and "penstock object submit account" in reason and "handle(state" in reason
    for attempt, said in ((2, WRONG), (3, BLOCKS)):
        with platform.database.team(DEFAULT_TEAM) as connection:
            questions.answer(connection, platform.log, identity, "ada", said)
        assert run(platform, identity, attempt).success
        if said == WRONG:
            state, reason = found(platform, identity)
            assert state == "waiting" and reason and "scenario: adds" in reason
            assert serves(platform, "account") is None
    assert (found(platform, identity)[0], serves(platform, "account")) == ("resolved", 1)


def test_a_task_that_nobody_can_be_asked_about_ends_with_the_question(
    platform: Platform, task: Callable[..., uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "days_to_wait", lambda task, target: 0.0)
    identity = task("no code")
    assert run(platform, identity).success
    state, reason = found(platform, identity)
    assert state == "unresolved" and reason and "keeps-accounts" in reason
    with platform.database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT body ->> 'report' FROM publications").fetchone()
    assert row and "PENSTOCK_CHAT_MODEL" in row[0]


def test_a_chat_model_writes_what_comes_without_code(
    platform: Platform, task: Callable[..., uuid.UUID], chat_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import core.chat

    def script(request: Any) -> Any:
        given = {"source": SOURCE, "manifest": json.dumps(MANIFEST), "scenarios": json.dumps([SCENARIO])}
        return chat_server.reply(json.dumps(given))

    chat_server.script = script
    spec = chat_server.spec()
    monkeypatch.setattr(core.chat, "open_chat", lambda name, folder: core.chat.open_chat_spec(spec))
    platform.settings = platform.settings.model_copy(update={"chat_model": "test"})
    identity = task("Each account has a total.", title="Make a service `account`")
    assert run(platform, identity).success
    assert (found(platform, identity)[0], serves(platform, "account")) == ("resolved", 1)
    with platform.database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT body ->> 'report' FROM publications").fetchone()
    assert row and "from test, draft 1" in row[0]


def test_a_name_that_is_taken_by_a_type_of_penstocks_is_a_question(
    platform: Platform, task: Callable[..., uuid.UUID]
) -> None:
    identity = task(f"Service: register\n\n{BLOCKS}")
    assert run(platform, identity).success
    state, reason = found(platform, identity)
    assert state == "waiting" and reason and "comes with Penstock" in reason and "Service: register-2" in reason
