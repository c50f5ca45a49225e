"""Repositories on this machine, which no webhook reports, are looked at by the sweep sensor itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, RunRequest, SkipReason, build_sensor_context

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.platform import Platform
from core.events import CHANGES, DEFAULT_TEAM
from core.health.freshness import SourceFreshness, read_freshness
from core.settings import Settings
from sensors.sweeps import sweep_sensor
from tests.forge_arena import git, seed


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path, allowed_roots=(tmp_path,)), database_url)
    repository = seed(tmp_path / "shop")
    add_source(made.database, DEFAULT_TEAM, "shop", str(repository), roots=[tmp_path])
    refresh(made.database, DEFAULT_TEAM, "shop", mirrors=made.mirrors, roots=[tmp_path], embedders=[])
    yield made
    made.close()


def tick(platform: Platform) -> RunRequest | SkipReason:
    with DagsterInstance.ephemeral() as instance, build_sensor_context(instance=instance) as context:
        result = sweep_sensor(context, platform=platform)
    assert isinstance(result, RunRequest | SkipReason)
    return result


def state(platform: Platform) -> SourceFreshness:
    with platform.database.system() as connection:
        [found] = read_freshness(connection, "shop")
    return found


def an_hour_later(platform: Platform) -> None:
    with platform.database.system() as connection:
        connection.execute("UPDATE source_indexes SET checked_at = checked_at - interval '2 hours'")
        connection.execute("UPDATE sweeps SET swept_at = swept_at - interval '2 hours', next_at = now()")


def changes(platform: Platform) -> list[str]:
    return [record.event.data["after"] for record in platform.log.read(CHANGES, {}).records]


def test_a_commit_that_nobody_announces_is_found_without_a_run(platform: Platform, tmp_path: Path) -> None:
    assert isinstance(tick(platform), SkipReason)
    assert (state(platform).state, changes(platform)) == ("fresh", [])
    an_hour_later(platform)
    assert state(platform).state == "unchecked"
    git(tmp_path / "shop", "commit", "--allow-empty", "-m", "later")
    assert isinstance(tick(platform), SkipReason)
    assert (state(platform).state, changes(platform)) == (
        "behind",
        [git(tmp_path / "shop", "rev-parse", "HEAD").strip()],
    )
    assert "Nothing is due." in str(tick(platform))


def test_a_repository_that_is_gone_does_not_stay_fresh(platform: Platform, tmp_path: Path) -> None:
    tick(platform)
    an_hour_later(platform)
    (tmp_path / "shop").rename(tmp_path / "gone")
    assert isinstance(tick(platform), SkipReason)
    assert (state(platform).state, "shop" in (state(platform).look_error or "")) == ("unchecked", True)


def test_what_is_elsewhere_is_left_to_a_run(platform: Platform) -> None:
    add_source(platform.database, DEFAULT_TEAM, "far", "https://git.example.invalid/far.git")
    assert isinstance(tick(platform), RunRequest)
    assert state(platform).state == "fresh"
