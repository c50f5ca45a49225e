"""Retirement deadlines: warnings when near, other models fill gaps, and no needed model is retired."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import AssetCheckSeverity

from assets.migrations.lifecycle.upkeep import keep_models
from assets.migrations.retirement.deadlines import Urgency, deadlines
from assets.migrations.retirement.retire import FOLDER, restore_model
from assets.platform import Platform
from core.embedding import catalogue
from core.embedding.spec import BuiltIn
from core.states import ModelState
from dagster_project.definitions import defs

SECOND = BuiltIn(name="second", provider="hashing", dimensions=96)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def give_a_day(platform: Platform, name: str, day: datetime) -> None:
    with platform.database.system() as connection:
        catalogue.retire_by(connection, catalogue.find(connection, name).id, day)


def serve_second(platform: Platform) -> None:
    made = catalogue.register(platform.database, SECOND)
    with platform.database.system() as connection:
        catalogue.move(connection, made.id, ModelState.SERVING)


@pytest.mark.parametrize(
    ("days", "urgency"), [(15, Urgency.NONE), (14, Urgency.SOON), (3, Urgency.URGENT), (-1, Urgency.OVERDUE)]
)
def test_a_deadline_becomes_urgent_while_the_model_is_needed(platform: Platform, days: int, urgency: Urgency) -> None:
    give_a_day(platform, "hashing", NOW + timedelta(days=days))
    with platform.database.system() as connection:
        (one,) = deadlines(connection, NOW)
    assert (one.urgency, one.days_left) == (urgency, days)
    assert "no other model is serving: penstock models add OTHER --migrate replaces hashing" in one.text


def test_the_other_model_embeds_what_only_this_one_covers_before_it_is_retired_on_its_day(
    platform: Platform, states: Callable[[], dict[str, str]], vectors: Any
) -> None:
    serve_second(platform)
    give_a_day(platform, "hashing", datetime.now(UTC) + timedelta(days=2))
    with platform.database.system() as connection:
        (one,) = deadlines(connection)
    assert one.urgency == Urgency.URGENT
    assert "no other serving model covers demo (120 chunks)" in one.text
    done = keep_models(platform)
    assert (done.embedded, done.retired) == ((("second", 120),), ())
    assert [one.urgency for one in done.deadlines] == [Urgency.NONE]
    assert states()["hashing"] == "serving"
    before = vectors("hashing")
    give_a_day(platform, "hashing", datetime.now(UTC) - timedelta(seconds=1))
    done = keep_models(platform)
    assert (done.retired, done.deadlines) == (("hashing",), ())
    assert states() == {"hashing": "retired", "second": "serving"}
    restored = restore_model(platform.database, "hashing", platform.settings.home / FOLDER)
    assert restored.entry.retire_by is None
    assert vectors("hashing") == before


def test_a_needed_model_stays_beyond_its_deadline_and_is_reported(
    platform: Platform, states: Callable[[], dict[str, str]]
) -> None:
    give_a_day(platform, "hashing", datetime.now(UTC) - timedelta(days=1))
    done = keep_models(platform)
    assert done.retired == ()
    assert [one.urgency for one in done.deadlines] == [Urgency.OVERDUE]
    assert states() == {"hashing": "serving"}


def test_a_model_of_an_open_migration_stays_beyond_its_deadline(platform: Platform, begin: Any, states: Any) -> None:
    serve_second(platform)
    keep_models(platform)
    begin(BuiltIn(name="new", provider="hashing", dimensions=64))
    give_a_day(platform, "new", datetime.now(UTC) - timedelta(days=1))
    give_a_day(platform, "hashing", datetime.now(UTC) - timedelta(days=1))
    done = keep_models(platform)
    assert done.retired == ()
    assert all("needs it: cancel it or roll it back first" in one.text for one in done.deadlines)
    assert states() == {"hashing": "serving", "second": "serving", "new": "building"}


def test_a_registered_model_is_retired_on_its_day(platform: Platform, states: Any) -> None:
    catalogue.register(platform.database, SECOND)
    give_a_day(platform, "second", datetime.now(UTC) - timedelta(seconds=1))
    assert keep_models(platform).retired == ("second",)
    assert catalogue.register(platform.database, SECOND).retire_by is None
    assert states() == {"hashing": "serving", "second": "registered"}


def test_the_asset_shows_the_models_and_its_checks_report_an_unmet_deadline(platform: Platform) -> None:
    job = defs.resolve_job_def("keep_models")
    give_a_day(platform, "hashing", datetime.now(UTC) + timedelta(days=10))
    done = job.execute_in_process(resources={"platform": platform})
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert checks["serving_models_cover_everything"].passed
    day = checks["models_can_go_on_their_day"]
    assert (day.passed, day.severity) == (False, AssetCheckSeverity.WARN)
    metadata = done.asset_materializations_for_node("embedding_models")[0].metadata
    assert "| hashing | serving | 120 | 120 |" in str(metadata["models"].value)
    give_a_day(platform, "hashing", datetime.now(UTC) + timedelta(days=1))
    done = job.execute_in_process(resources={"platform": platform})
    day = next(c for c in done.get_asset_check_evaluations() if c.check_name == "models_can_go_on_their_day")
    assert (day.passed, day.severity) == (False, AssetCheckSeverity.ERROR)
