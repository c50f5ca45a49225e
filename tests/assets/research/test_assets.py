"""A question as Dagster runs it: from the task to what is stored, published and shown."""

import uuid
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, ExecuteInProcessResult, ResourceDefinition, materialize

from assets.attempt_run import run_tags
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.research import assets
from core import tasks
from core.events import DEFAULT_TEAM, OUTCOMES

ALL = [assets.question, assets.decomposition, assets.search, assets.analysis, assets.synthesis, assets.report]


def run(platform: Platform, task: uuid.UUID, some: list[Any] = ALL) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SOURCES.name or "", ["lake"])
        return materialize(
            some,
            instance=instance,
            partition_key="lake",
            tags=run_tags(DEFAULT_TEAM, task, 1),
            resources={"platform": ResourceDefinition.hardcoded_resource(platform)},
            raise_on_error=False,
        )


def state(platform: Platform, task: uuid.UUID) -> tuple[str, str | None]:
    with platform.database.team(DEFAULT_TEAM) as connection:
        found = tasks.get_task(connection, task)
    return found.state, found.reason


def test_a_question_becomes_a_report_that_is_sent_and_shown(platform: Platform, task: Any) -> None:
    identity = task("Why was the Oster dam built?")
    result = run(platform, identity)
    assert result.success
    (event,) = result.asset_materializations_for_node("research__report")
    shown = {key: value.value for key, value in event.metadata.items()}
    assert "flooded every spring" in str(shown["report"]) and shown["verdict"] == "pass"
    assert "flooded every spring" in Path(str(shown["page"])).read_text()
    assert state(platform, identity)[0] == "resolved"
    with platform.database.team(DEFAULT_TEAM) as connection:
        found = tasks.details(connection, identity)
    assert found["verdict"]["verdict"] == "pass" and len(found["publications"]) == 1
    outcome = platform.log.read(OUTCOMES, {}, limit=10).records[-1].event
    assert outcome.data["work"] == "research" and outcome.data["answered"]


def test_a_run_that_was_killed_goes_on_where_it_was(platform: Platform, task: Any) -> None:
    identity = task()
    assert run(platform, identity, ALL[:3]).success
    with platform.database.system() as connection:  # as the reconciler finds it
        connection.execute("UPDATE attempts SET lease_until = clock_timestamp() - interval '1 second'")
    result = run(platform, identity)
    assert result.success
    (event,) = result.asset_materializations_for_node("research__search")
    assert event.metadata["searched_here"].value == 0
    assert state(platform, identity)[0] == "resolved"


def test_an_unanswered_question_ends_unresolved_with_a_report(platform: Platform, task: Any) -> None:
    identity = task("What did the Oster dam cost?", "docs", "nothing-of-that-name")
    assert run(platform, identity).success
    kind, reason = state(platform, identity)
    assert kind == "unresolved" and "do not answer" in str(reason)
    with platform.database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT body ->> 'report' FROM publications").fetchone()
    assert row is not None and "nothing-of-that-name is no corpus" in row[0]


def test_what_is_no_question_fails(platform: Platform, task: Any) -> None:
    identity = task("?!")
    assert not run(platform, identity).success
    assert state(platform, identity) == (
        "failed",
        'the question is empty: ask something, as in "How long are events kept?"',
    )


def test_a_cancelled_task_stops(platform: Platform, task: Any) -> None:
    identity = task()
    assert run(platform, identity, ALL[:2]).success
    with platform.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, platform.log, identity)
    assert not run(platform, identity).success
    assert state(platform, identity)[0] == "cancelled"
