import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from assets.context import search
from assets.context.indexing.refresh import refresh
from assets.migrations.backfill import stage as backfill
from assets.migrations.gate.judge import PairedAnswer
from assets.migrations.gate.queries import judged_queries
from assets.migrations.lifecycle import drive as driving
from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.plan import make_plan
from assets.migrations.lifecycle.record import Migration, MigrationRefused, Options
from assets.migrations.report import report
from assets.platform import Platform
from core.embedding import catalogue
from core.embedding.catalogue import ModelConflict
from core.embedding.spec import BuiltIn
from core.health.migration_health import read_health
from core.states import TRANSITIONS, MigrationState, ModelState
from core.teams import DEFAULT_TEAM

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)
BAD = BuiltIn(name="bad", provider="hashing", dimensions=8)

Begin = Callable[..., Migration]
States = Callable[[], dict[str, str]]


def kinds(platform: Platform, number: int) -> list[str]:
    with platform.database.system() as connection:
        return [event.kind for event in record.timeline(connection, number) if event.kind != "progress"]


def test_a_better_model_is_cut_over_automatically_and_the_old_one_is_retired(
    platform: Platform, begin: Begin, states: States
) -> None:
    migration = begin(GOOD)
    assert states() == {"hashing": "serving", "good": "building"}
    driven = drive(platform, migration.id)
    assert (driven.migration.state, driven.waits_for) == ("done", "")
    assert states() == {"hashing": "retired", "good": "serving"}
    comparison = driven.migration.comparison
    assert comparison is not None
    assert comparison["verdict"] in ("better", "not worse")
    assert comparison["queries"]["judged"] > 100
    assert kinds(platform, migration.id) == [
        "planned", "building", "built", "shadowing", "compared",
        "judged", "observing", "locks held", "draining", "done", "archived",
    ]  # fmt: skip


def test_a_plan_measures_a_sample_and_counts_what_is_to_do(
    platform: Platform, entry: Any, model_server: Any, vectors: Any
) -> None:
    served = catalogue.register(platform.database, model_server.spec("openai", price=10.0))
    made = make_plan(platform.database, entry("hashing"), served, platform.models.open(served))
    assert (made.contents, made.chunks, made.sampled_chunks) == (120, 120, 120)
    assert made.tokens == 7 * 120  # as the server counts
    assert made.money == pytest.approx(7 * 120 * 10 / 1e6, abs=1e-4)
    assert made.seconds > 0
    assert made.disk_bytes > 120 * 64 * 4
    assert vectors("served") == []


def test_a_worse_model_is_never_cut_over_automatically(platform: Platform, begin: Begin, states: States) -> None:
    driven = drive(platform, begin(BAD).id)
    assert driven.migration.state == "judged"
    assert driven.waits_for.startswith("an operator: the gate says worse")
    assert states() == {"hashing": "serving", "bad": "building"}
    comparison = driven.migration.comparison
    assert comparison is not None
    assert comparison["worst"][0]["old_ndcg"] > comparison["worst"][0]["new_ndcg"]
    with pytest.raises(MigrationRefused, match="the gate says worse"):
        switch.cut_over(platform.database, driven.migration.id)
    assert switch.cut_over(platform.database, driven.migration.id, accept=True).state == "observing"


def test_too_few_queries_are_inconclusive_and_the_report_says_how_many_decide(platform: Platform, begin: Begin) -> None:
    driven = drive(platform, begin(BAD, queries=10, margin=0.01).id)
    comparison = driven.migration.comparison
    assert comparison is not None
    if comparison["verdict"] == "inconclusive":
        assert comparison["more_queries"] > 0
    assert driven.migration.state == "judged"


def test_a_manual_migration_waits_for_an_operator(platform: Platform, begin: Begin) -> None:
    driven = drive(platform, begin(GOOD, automatic=False).id)
    assert (driven.migration.state, driven.waits_for[:11]) == ("judged", "an operator")
    assert switch.cut_over(platform.database, driven.migration.id).state == "observing"


def test_a_model_that_makes_searches_slower_waits_for_an_operator(
    platform: Platform, begin: Begin, states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = driving.ask_both

    def slowly(*given: Any) -> list[PairedAnswer]:
        return [replace(answer, old_ms=44.0, new_ms=250.0) for answer in real(*given)]

    monkeypatch.setattr(driving, "ask_both", slowly)
    driven = drive(platform, begin(GOOD).id)
    assert driven.migration.state == "judged"
    assert "searches take 5.7 times as long: 95% within 250 ms instead of 44 ms" in driven.waits_for
    assert driving.waits_since(driven.migration, datetime.now(UTC)) == "an operator: cut over or cancel it"
    with platform.database.system() as connection:
        health = read_health(connection)
        told, events = report.read(connection)
    assert health is not None
    assert (health.waits_for, health.stalled) == ("an operator", None)
    for page in (report.as_markdown(told, events), report.as_html(told, events)):
        assert "Yes, if that is worth it" in page
        assert "Searches take 5.7 times as long" in page
    assert states() == {"hashing": "serving", "good": "building"}
    assert switch.cut_over(platform.database, driven.migration.id).state == "observing"


def test_a_slower_model_cuts_over_where_that_is_allowed(
    platform: Platform, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = driving.ask_both
    monkeypatch.setattr(
        driving, "ask_both", lambda *given: [replace(one, old_ms=44.0, new_ms=250.0) for one in real(*given)]
    )
    assert drive(platform, begin(GOOD, slower=6.0).id).migration.state == "done"


def test_new_content_gets_vectors_of_both_models_while_it_is_built_and_observed(
    platform: Platform, begin: Begin, vectors: Any, tmp_path: Any, reindex: Callable[[], Any]
) -> None:
    migration = begin(GOOD, observe_seconds=3600)
    before = len(vectors("good"))
    add_file(tmp_path, "one")
    reindex()
    assert len(vectors("good")) == before + 1
    driven = drive(platform, migration.id)
    assert driven.migration.state == "observing"
    add_file(tmp_path, "two")
    reindex()
    assert len(vectors("good")) == len(vectors("hashing"))


def test_content_that_the_new_model_missed_is_embedded_before_the_cut_over(
    platform: Platform, begin: Begin, tmp_path: Any, vectors: Any
) -> None:
    migration = drive(platform, begin(GOOD, automatic=False).id).migration
    add_file(tmp_path, "missed")
    refresh(
        platform.database,
        DEFAULT_TEAM,
        "demo",
        mirrors=platform.mirrors,
        roots=platform.settings.roots,
        embedders=platform.models.in_use().asked,
    )
    with pytest.raises(MigrationRefused, match=r"good does not cover demo \(1 chunks\) yet: penstock migrate resume"):
        switch.cut_over(platform.database, migration.id)
    drive(platform, migration.id)
    assert len(vectors("good")) == len(vectors("hashing"))
    assert switch.cut_over(platform.database, migration.id).state == "observing"


def test_after_a_rollback_searches_query_the_old_model(platform: Platform, begin: Begin, states: States) -> None:
    migration = drive(platform, begin(GOOD, observe_seconds=3600).id).migration
    assert [e.dimensions for e in platform.models.in_use().asked] == [512]
    switch.roll_back(platform.database, migration.id, "second thoughts")
    assert [e.dimensions for e in platform.models.in_use().asked] == [256]
    assert states() == {"hashing": "serving", "good": "registered"}
    with pytest.raises(MigrationRefused, match="there is no cut-over to undo"):
        switch.roll_back(platform.database, migration.id, "again")


def test_a_draining_model_can_still_be_rolled_back_to(platform: Platform, begin: Begin, states: States) -> None:
    driven = drive(platform, begin(GOOD, drain_seconds=3600).id)
    assert driven.migration.state == "draining"
    assert states() == {"hashing": "draining", "good": "serving"}
    switch.roll_back(platform.database, driven.migration.id, "still time")
    assert states() == {"hashing": "serving", "good": "registered"}


def test_cutting_over_and_rolling_back_hold_locks_for_a_moment(platform: Platform, begin: Begin) -> None:
    migration = drive(platform, begin(GOOD, automatic=False).id).migration
    began = time.perf_counter()
    switch.cut_over(platform.database, migration.id)
    switch.roll_back(platform.database, migration.id, "")
    assert time.perf_counter() - began < 60
    with platform.database.system() as connection:
        held = [e.body["milliseconds"] for e in record.timeline(connection, migration.id) if e.kind == "locks held"]
    assert held[0] < 10_000


def test_of_two_simultaneous_operators_one_succeeds_and_the_other_gets_an_error(
    platform: Platform, begin: Begin
) -> None:
    migration = drive(platform, begin(GOOD, automatic=False).id).migration
    told: list[str] = []
    barrier = threading.Barrier(8)

    def act(number: int) -> None:
        barrier.wait()
        try:
            if number % 2:
                switch.cut_over(platform.database, migration.id)
            else:
                switch.cancel(platform.database, migration.id)
            told.append("served")
        except MigrationRefused as error:
            told.append(str(error))

    threads = [threading.Thread(target=act, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("served") == 1
    asked = [e.dimensions for e in platform.models.in_use().asked]
    assert asked in ([256], [512])


def test_a_second_migration_is_refused_with_the_one_that_runs(platform: Platform, begin: Begin) -> None:
    begin(GOOD)
    with pytest.raises(MigrationRefused, match=r"open already: hashing to good \(number \d+, building\)"):
        begin(BAD)


def test_a_model_is_not_retired_while_a_migration_needs_it(platform: Platform, begin: Begin, entry: Any) -> None:
    migration = begin(GOOD)
    with platform.database.system() as connection, pytest.raises(ModelConflict, match="cancel it or roll it back"):
        catalogue.move(connection, entry("good").id, ModelState.RETIRED)
    switch.cancel(platform.database, migration.id)
    with platform.database.system() as connection:
        catalogue.move(connection, entry("good").id, ModelState.RETIRED)


def test_a_cancelled_migration_keeps_its_vectors_for_the_next_try(
    platform: Platform, begin: Begin, vectors: Any
) -> None:
    first = drive(platform, begin(GOOD, automatic=False).id).migration
    switch.cancel(platform.database, first.id)
    kept = vectors("good")
    second = drive(platform, begin(GOOD).id).migration
    assert second.state == "done"
    assert second.progress.get("chunks", 0) == 0
    assert vectors("good") == kept


def test_a_migration_of_an_earlier_version_continues_with_an_option_that_is_gone(
    platform: Platform, begin: Begin
) -> None:
    migration = begin(GOOD, share=0.8)
    with platform.database.system() as connection:
        connection.execute(
            "UPDATE model_migrations SET options = options || %s, progress = %s WHERE id = %s",
            (Jsonb({"slowdown": 1.1}), Jsonb({"chunks": 0, "total": 120, "live": {"share": 0.3}}), migration.id),
        )
        stored = record.get(connection, migration.id)
    assert stored.chosen == migration.chosen
    assert drive(platform, migration.id).migration.state == "done"
    with pytest.raises(ValidationError, match="slowdown"):
        Options.model_validate({"slowdown": 1.1})


def test_a_paused_migration_does_nothing_until_it_is_resumed(platform: Platform, begin: Begin, vectors: Any) -> None:
    migration = begin(GOOD)
    switch.pause(platform.database, migration.id, True, "lunch")
    assert drive(platform, migration.id).waits_for == "an operator: it is paused (lunch)"
    assert vectors("good") == []
    switch.pause(platform.database, migration.id, False)
    assert drive(platform, migration.id).migration.state == "done"


def test_a_pause_stops_a_build_that_runs(
    platform: Platform, begin: Begin, vectors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "SAVE_SECONDS", 0.0)
    migration = begin(GOOD, batch_chunks=2)

    def pause(text: str) -> None:
        if text.startswith("built"):
            switch.pause(platform.database, migration.id, True)

    driven = drive(platform, migration.id, tell=pause)
    assert (driven.migration.state, driven.migration.paused) == ("building", True)
    assert 0 < len(vectors("good")) < 120
    with platform.database.system() as connection:  # as if it had taken long
        connection.execute("UPDATE model_migrations SET progress = progress || '{\"seconds\": 100}'")
    switch.pause(platform.database, migration.id, False)
    assert drive(platform, migration.id).migration.state == "done"
    with platform.database.system() as connection:
        (built,) = [event.body for event in record.timeline(connection, migration.id) if event.kind == "built"]
    assert built["chunks"] == 120  # what the driver before did counts too
    assert built["seconds"] >= 100


def test_only_one_process_drives(platform: Platform, begin: Begin) -> None:
    migration = begin(GOOD)
    with driving._only_driver(platform), pytest.raises(MigrationRefused, match="another process is driving"):
        drive(platform, migration.id)


def test_a_model_server_that_dies_leaves_the_state_of_the_migration(
    platform: Platform, begin: Begin, model_server: Any, states: States
) -> None:
    migration = begin(model_server.spec("openai", retries=0, batch_texts=8))
    model_server.faults.extend(["", "", "", *["503"] * 3])
    driven = drive(platform, migration.id)
    assert driven.migration.state == "building"
    assert driven.waits_for.startswith("a model: ")
    model_server.faults.clear()
    assert drive(platform, migration.id).migration.state in ("judged", "done")


@pytest.mark.parametrize("fault", ["width", "nan", "zeros", "few", "other", "reversed"])
def test_a_model_that_answers_wrongly_pauses_the_migration_and_writes_nothing(
    platform: Platform, begin: Begin, model_server: Any, vectors: Any, fault: str
) -> None:
    migration = begin(model_server.spec("ollama"))
    model_server.always = fault
    driven = drive(platform, migration.id)
    assert (driven.migration.state, driven.migration.paused) == ("building", True)
    assert vectors("served") == []
    assert [e.dimensions for e in platform.models.in_use().asked] == [256]


def test_a_full_disk_pauses_the_migration(platform: Platform, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = begin(GOOD)

    def full(*_: Any) -> None:
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    monkeypatch.setattr("assets.context.models.model_vectors.write_vectors", full)
    driven = drive(platform, migration.id)
    assert driven.migration.paused
    assert "disk is full" in driven.waits_for


def test_a_disk_so_full_that_no_pause_can_be_written_leaves_its_state(
    platform: Platform, begin: Begin, monkeypatch: pytest.MonkeyPatch, states: States
) -> None:
    migration = begin(GOOD)

    def full(*_: Any, **__: Any) -> None:
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("assets.context.models.model_vectors.write_vectors", full)
        patch.setattr("assets.migrations.lifecycle.switch.pause", full)
        driven = drive(platform, migration.id)
    assert driven.waits_for.startswith("disk space: the database's disk is full")
    assert (driven.migration.state, driven.migration.paused) == ("building", False)
    assert states() == {"hashing": "serving", "good": "building"}
    assert drive(platform, migration.id).migration.state == "done"


def test_a_model_that_fails_after_the_cut_over_is_rolled_back_automatically(
    platform: Platform, begin: Begin, model_server: Any, states: States
) -> None:
    migration = begin(model_server.spec("openai", retries=0), observe_seconds=3600, automatic=False)
    drive(platform, migration.id)
    switch.cut_over(platform.database, migration.id, accept=True)
    assert drive(platform, migration.id).waits_for.startswith("time: ")
    model_server.always = "503"
    driven = drive(platform, migration.id)
    assert driven.migration.state == "rolled-back"
    assert states() == {"hashing": "serving", "served": "registered"}
    assert "searches failed" in (driven.migration.reason or "")


def test_searches_find_the_same_places_at_every_stage_while_it_runs(platform: Platform, begin: Begin) -> None:
    migration = begin(GOOD, batch_chunks=8, share=0.5)
    with platform.database.system() as connection:
        query = judged_queries(connection, platform.mirror, 5)[0]
    stop = threading.Event()
    found: list[int] = []
    failures: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                used = platform.models.in_use()
                places = search.search(
                    platform.database, DEFAULT_TEAM, "demo", query.text, 5, embedders=used.asked, fallback=used.draining
                )
                found.append(sum(place.path in query.relevant for place in places))
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=ask)
    thread.start()
    driven = drive(platform, migration.id)
    stop.set()
    thread.join()
    assert driven.migration.state == "done"
    assert not failures
    assert len(found) > 5
    assert min(found) > 0


def test_postgres_refuses_illegal_changes_of_state(platform: Platform, begin: Begin) -> None:
    migration = begin(GOOD)
    for after in MigrationState:
        legal = ("building", after) in TRANSITIONS["migration"] or after == "building"
        with platform.database.system() as connection:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute("UPDATE model_migrations SET state = %s WHERE id = %s", (after, migration.id))
                moved = True
            except psycopg.errors.CheckViolation:
                moved = False
        assert moved == legal


def add_file(folder: Any, word: str) -> None:
    body = f"def {word}_added():\n    return {word!r}\n"
    stream = (
        f"commit refs/heads/main\ncommitter A <a@example.org> 1800000000 +0000\ndata 3\nadd\n"
        f"from refs/heads/main^0\nM 100644 inline src/{word}.py\ndata {len(body)}\n{body}\n"
    ).encode()
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    command = ["git", "-C", str(folder / "repository.git"), "fast-import", "--quiet"]
    subprocess.run(command, input=stream, env=environment, check=True)
