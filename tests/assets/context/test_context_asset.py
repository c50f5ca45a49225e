"""The asset `context_index` as Dagster runs it: its metadata, its checks and its failures."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, ResourceDefinition, materialize

from assets.context.assets import CHANGED_TAG, changed_at, context_index
from assets.context.indexing import quality
from assets.context.indexing.quality import CHECKS, Check, Gate
from assets.context.source.sources import add_source
from assets.partitions import SOURCES
from assets.platform import Platform
from core.events import CHANGES, DEFAULT_TEAM, Event
from core.settings import Settings


@pytest.fixture
def platform(database_url: str, tmp_path: Path, history: Any) -> Iterator[Platform]:
    settings = Settings(home=tmp_path / "home", embedding_model="hashing", allowed_roots=(tmp_path,))
    made = Platform(settings, database_url)
    add_source(made.database, DEFAULT_TEAM, "demo", str(history.path), roots=settings.roots)
    yield made
    made.close()


def run(platform: Platform, tags: dict[str, str] | None = None) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SOURCES.name or "", ["demo"])
        return materialize(
            [context_index],
            instance=instance,
            partition_key="demo",
            tags=tags,
            resources={"platform": ResourceDefinition.hardcoded_resource(platform)},
            raise_on_error=False,
        )


def metadata_of(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("context_index")
    return {key: value.value for key, value in event.metadata.items()}


def test_a_refresh_shows_its_lag_its_checks_and_its_data_docs(platform: Platform, history: Any) -> None:
    history.commit({"a.py": "def first(): pass\n"})
    platform.log.append([(CHANGES, Event(id="github:1", source="/github", type="x", subject="demo"))])
    since = datetime.now(UTC) - timedelta(seconds=40)
    result = run(platform, {CHANGED_TAG: since.isoformat()})
    assert result.success
    shown = metadata_of(result)
    assert shown["files"] == 1
    assert 40 <= shown["lag_seconds"] < 100
    assert next(iter(shown["lag_seconds_by_model"].values())) >= shown["lag_seconds"] - 0.001
    assert shown["changes_waiting"] == 0
    page = Path(shown["data_docs"])
    assert page.is_file()
    assert page.is_relative_to(platform.settings.home)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert list(checks) == list(CHECKS)
    assert all(check.passed for check in checks.values())
    assert all("agrees" in str(check.metadata["suite"].value) for check in checks.values())
    again = run(platform)
    assert again.success
    assert metadata_of(again)["changed"] is False
    assert [check.passed for check in again.get_asset_check_evaluations()] == [True] * len(CHECKS)


def test_a_failed_gate_fails_the_run_with_its_reason_and_shows_its_checks(
    platform: Platform, history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(connection: Any, staged: quality.Staged) -> Gate:
        checks = tuple(Check(name, name != "vectors_are_sound", "7 of 9 are wrong") for name in CHECKS)
        return Gate(staged.source, staged.version, staged.commit, checks)

    history.commit({"a.py": "def first(): pass\n"})
    monkeypatch.setattr(quality, "check_staged", refuse)
    monkeypatch.setattr("assets.context.asset_checks.run_late", lambda sample, folder: None)
    result = run(platform)
    assert not result.success
    told = json.dumps([str(event.event_specific_data) for event in result.all_events if event.is_failure])
    assert "vectors_are_sound: 7 of 9 are wrong" in told
    failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed == ["vectors_are_sound"]


@pytest.mark.parametrize("tag", ["", "yesterday", "2026-01-01T00:00:00", "9" * 5000])
def test_a_tag_that_is_not_a_time_is_ignored(tag: str) -> None:
    assert changed_at({CHANGED_TAG: tag}) is None
