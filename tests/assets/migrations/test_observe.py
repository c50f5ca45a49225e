"""After a cut-over, live searches that fail or find less cause an automatic rollback, and nothing else does."""

import shutil
from collections.abc import Callable
from typing import Any

from assets.migrations.gate import observe
from assets.migrations.lifecycle import switch
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.record import Migration
from assets.platform import Platform
from core.embedding.spec import BuiltIn

BAD = BuiltIn(name="bad", provider="hashing", dimensions=8)

Begin = Callable[..., Migration]
States = Callable[[], dict[str, str]]


def cut_over(platform: Platform, migration: Migration) -> None:
    drive(platform, migration.id)
    switch.cut_over(platform.database, migration.id, accept=True)
    driven = drive(platform, migration.id)
    assert driven.waits_for.startswith("time: "), driven


def test_a_server_that_dies_is_detected_without_a_query_with_a_known_answer(
    platform: Platform, begin: Begin, model_server: Any, states: States
) -> None:
    shutil.rmtree(platform.mirrors)  # no history, and nobody has asked anything
    migration = begin(model_server.spec("openai", retries=0), observe_seconds=3600, automatic=False)
    cut_over(platform, migration)
    model_server.always = "503"
    driven = drive(platform, migration.id)
    assert "1 of 1 searches failed" in (driven.migration.reason or "")
    assert states() == {"hashing": "serving", "served": "registered"}


def test_a_loss_of_quality_is_measured_against_the_old_model_on_the_same_queries(
    platform: Platform, begin: Begin, model_server: Any, states: States
) -> None:
    migration = begin(model_server.spec("openai", retries=0), observe_seconds=3600, automatic=False)
    cut_over(platform, migration)
    seen = drive(platform, migration.id).migration.observation or {}
    assert seen["old_ndcg"] > 0.9
    assert seen["ndcg"] > 0.5
    model_server.always = "other"
    driven = drive(platform, migration.id)
    assert "1.000 for hashing on the same queries" in (driven.migration.reason or "")
    assert (driven.migration.state, states()["hashing"]) == ("rolled-back", "serving")


def test_a_worse_model_that_an_operator_accepted_stays(platform: Platform, begin: Begin, states: States) -> None:
    migration = begin(BAD, observe_seconds=3600)
    drive(platform, migration.id)
    cut_over(platform, migration)
    seen = drive(platform, migration.id).migration.observation or {}
    assert seen["ndcg"] < seen["old_ndcg"] - 0.1
    assert (seen["problem"], seen["probes"]) == ("", observe.PROBES)
    assert states() == {"hashing": "building", "bad": "serving"}


def test_a_cut_over_resumes_a_paused_migration_so_that_the_model_is_observed(
    platform: Platform, begin: Begin, model_server: Any, states: States
) -> None:
    migration = begin(model_server.spec("openai", retries=0), observe_seconds=3600, automatic=False)
    drive(platform, migration.id)
    switch.pause(platform.database, migration.id, True, "lunch")
    assert not switch.cut_over(platform.database, migration.id, accept=True).paused
    model_server.always = "503"
    assert drive(platform, migration.id).migration.state == "rolled-back"
    assert states()["hashing"] == "serving"
