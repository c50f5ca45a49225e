"""The sensor that retries failed and forgotten sources, on a real database and an ephemeral Dagster instance."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AddDynamicPartitionsRequest,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SensorResult,
    build_sensor_context,
)
from dagster._core.test_utils import create_run_for_test

from assets.context.store.versions import index_version_name
from assets.platform import Platform
from core.events import CHANGES, DEFAULT_TEAM, Event
from core.settings import Settings
from sensors import stale
from sensors.changes import REFRESH_JOB
from sensors.stale import LONGEST_PAUSE, pause, stale_source_sensor


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path), database_url)
    with made.database.system() as connection:
        for name in ("fine", "failing", "left", "new"):
            connection.execute(
                "INSERT INTO sources (team_id, name, location) VALUES (%s, %s, 'x')", (DEFAULT_TEAM, name)
            )
    yield made
    made.close()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def tried(platform: Platform, source: str, ago: float, failures: int) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    with platform.database.system() as connection:
        connection.execute(
            "INSERT INTO source_refreshes (team_id, source, tried_at, failed_at, failures, error) "
            "VALUES (%s, %s, %s, %s, %s, 'gone') ON CONFLICT (team_id, source) "
            "DO UPDATE SET tried_at = excluded.tried_at, failures = excluded.failures",
            (DEFAULT_TEAM, source, at, at if failures else None, failures),
        )


def tick(platform: Platform, instance: DagsterInstance) -> list[RunRequest]:
    result = stale_source_sensor(build_sensor_context(instance=instance), platform=platform)
    return list(result.run_requests or []) if isinstance(result, SensorResult) else []


def test_a_source_that_failed_is_tried_again_after_a_pause_that_grows(
    platform: Platform, instance: DagsterInstance
) -> None:
    tried(platform, "fine", 9999, 0)
    for failures in (1, 2, 5, 30):
        tried(platform, "failing", pause(failures) - 5, failures)
        assert tick(platform, instance) == []
        tried(platform, "failing", pause(failures) + 1, failures)
        (request,) = tick(platform, instance)
        assert request.partition_key == "failing"
    assert pause(1) < pause(2) < pause(5) <= pause(30) == LONGEST_PAUSE


def test_a_change_that_found_no_run_is_picked_up(
    platform: Platform, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.log.append(
        [(CHANGES, Event(id="github:1", source="/github", type="penstock.source.changed", subject="left"))]
    )
    assert tick(platform, instance) == [], "it has only just come"
    monkeypatch.setattr(stale, "GRACE_SECONDS", 0.0001)
    (request,) = tick(platform, instance)
    assert request.partition_key == "left"


def test_a_source_that_is_being_refreshed_is_left_alone(platform: Platform, instance: DagsterInstance) -> None:
    tried(platform, "failing", 9999, 1)
    (request,) = tick(platform, instance)
    (again,) = tick(platform, instance)
    assert request.run_key == again.run_key, "one run a pause"
    create_run_for_test(
        instance,
        job_name=REFRESH_JOB,
        status=DagsterRunStatus.STARTED,
        tags={"dagster/partition": "failing"},
    )
    assert tick(platform, instance) == []


def indexed(platform: Platform, source: str, version: int) -> None:
    with platform.database.system() as connection:
        connection.execute(
            "INSERT INTO index_versions (team_id, source, version, commit, branch, config, files, chunks, skipped) "
            "VALUES (%s, %s, %s, %s, 'main', 'x', 1, 1, 0)",
            (DEFAULT_TEAM, source, version, f"{version:040x}"),
        )
        connection.execute(
            "INSERT INTO source_indexes (team_id, source, version) VALUES (%s, %s, %s) "
            "ON CONFLICT (team_id, source) DO UPDATE SET version = excluded.version",
            (DEFAULT_TEAM, source, version),
        )


def look(platform: Platform, instance: DagsterInstance, cursor: str | None = None) -> SensorResult:
    result = stale_source_sensor(build_sensor_context(instance=instance, cursor=cursor), platform=platform)
    assert isinstance(result, SensorResult)
    for request in result.dynamic_partitions_requests or []:
        change = instance.add_dynamic_partitions if isinstance(request, AddDynamicPartitionsRequest) else None
        if change:
            change(request.partitions_def_name, request.partition_keys)
        else:
            for key in request.partition_keys:
                instance.delete_dynamic_partition(request.partitions_def_name, key)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return result


def test_partitions_follow_the_sources(platform: Platform, instance: DagsterInstance) -> None:
    look(platform, instance)
    assert set(instance.get_dynamic_partitions("sources")) == {"fine", "failing", "left", "new"}
    assert not look(platform, instance).dynamic_partitions_requests
    with platform.database.system() as connection:
        connection.execute("DELETE FROM sources WHERE name = 'left'")
    create_run_for_test(
        instance, job_name="resolve_task", status=DagsterRunStatus.STARTED, tags={"dagster/partition": "left"}
    )
    look(platform, instance)
    assert "left" in instance.get_dynamic_partitions("sources"), "a run works on it"
    (run,) = instance.get_runs()
    instance.delete_run(run.run_id)
    look(platform, instance)
    assert set(instance.get_dynamic_partitions("sources")) == {"fine", "failing", "new"}


def test_an_index_that_a_command_made_is_shown_once(platform: Platform, instance: DagsterInstance) -> None:
    indexed(platform, "fine", 1)
    first = look(platform, instance)
    (event,) = first.asset_events
    assert isinstance(event, AssetMaterialization)
    assert (event.partition, event.metadata["index_version"].value) == ("fine", index_version_name("fine", 1))
    assert look(platform, instance, first.cursor).asset_events == []
    assert look(platform, instance, None).asset_events == [], "a lost cursor repeats nothing"
    indexed(platform, "fine", 2)
    (event,) = look(platform, instance, first.cursor).asset_events
    assert event.metadata["index_version"].value == index_version_name("fine", 2)


def test_an_index_that_a_run_makes_is_left_to_it(platform: Platform, instance: DagsterInstance) -> None:
    indexed(platform, "fine", 1)
    run = create_run_for_test(
        instance, job_name=REFRESH_JOB, status=DagsterRunStatus.STARTED, tags={"dagster/partition": "fine"}
    )
    busy = look(platform, instance)
    assert busy.asset_events == []
    instance.report_runless_asset_event(
        AssetMaterialization(
            "context_index", partition="fine", metadata={"index_version": index_version_name("fine", 1)}
        )
    )
    instance.delete_run(run.run_id)
    assert look(platform, instance, busy.cursor).asset_events == []
