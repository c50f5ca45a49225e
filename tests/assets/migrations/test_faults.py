"""Faults during a migration, and the well-defined state that each ends in: never half a cut-over."""

import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from assets.context import search
from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.record import Migration, MigrationRefused
from assets.migrations.lifecycle.upkeep import keep_models
from assets.migrations.report import report
from assets.migrations.retirement.retire import FOLDER, retire_model
from assets.platform import Platform
from core.embedding import EmbedderUnavailable, catalogue
from core.embedding.catalogue import ModelConflict
from core.embedding.serving import Models
from core.embedding.spec import BuiltIn, OnnxFile
from core.states import ModelState
from core.teams import DEFAULT_TEAM

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)

Begin = Callable[..., Migration]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("503", "answered 503|status 503"),
        ("drop", "is the model server up"),
        ("slow", "no answer within|no whole answer within"),
        ("drip", "no answer within|no whole answer within"),
        ("garbage", "is not JSON"),
    ],
)
def test_a_migration_continues_after_its_server_was_away_or_slow(
    platform: Platform, begin: Begin, model_server: Any, states: Any, fault: str, why: str
) -> None:
    migration = begin(model_server.spec("openai", retries=0, batch_texts=16), queries=10)
    if fault in ("slow", "drip"):
        wait_for_answers(platform, 0.4)
    model_server.faults.extend(["", "", *[fault] * 6])
    driven = drive(platform, migration.id)
    assert (driven.migration.state, driven.migration.paused) == ("building", False)
    assert driven.waits_for.startswith("a model: ")
    assert any(one in driven.waits_for for one in why.split("|")), driven.waits_for
    assert states() == {"hashing": "serving", "served": "building"}
    assert [e.dimensions for e in platform.models.in_use().asked] == [256]
    model_server.faults.clear()
    wait_for_answers(platform, 10.0)
    assert drive(platform, migration.id).migration.state in ("judged", "done")


def wait_for_answers(platform: Platform, seconds: float) -> None:
    with platform.database.system() as connection:
        connection.execute(
            "UPDATE embedding_models SET spec = spec || %s WHERE name = 'served'", (Jsonb({"timeout": seconds}),)
        )


def test_an_operator_may_cut_over_without_a_comparison_when_the_old_model_is_gone(
    platform: Platform, begin: Begin, states: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = begin(GOOD, observe_seconds=3600)
    opened = Models.open

    def without_old(self: Models, entry: catalogue.Entry) -> Any:
        if entry.name == "hashing":
            raise EmbedderUnavailable("its files are gone")
        return opened(self, entry)

    monkeypatch.setattr(Models, "open", without_old)
    driven = drive(platform, migration.id)
    assert (driven.migration.state, driven.waits_for) == ("shadowing", "a model: its files are gone")
    with pytest.raises(MigrationRefused, match=r"not compared yet .*--accept"):
        switch.cut_over(platform.database, migration.id)
    assert switch.cut_over(platform.database, migration.id, accept=True).state == "observing"
    assert states() == {"hashing": "building", "good": "serving"}
    with platform.database.system() as connection:
        found = report.read(connection, migration.id)
    assert "an operator continues without a comparison" in report.as_markdown(*found)
    assert "an operator continues without a comparison" in report.as_html(*found)
    assert drive(platform, migration.id).waits_for.startswith("time: ")


@pytest.mark.parametrize("opens", [True, False])
def test_searches_continue_without_an_old_model_that_does_not_answer_and_do_not_query_the_one_being_built(
    platform: Platform, begin: Begin, model_server: Any, states: Any, opens: bool
) -> None:
    old = catalogue.register(platform.database, model_server.spec("openai", retries=0))
    with platform.database.system() as connection:
        catalogue.move(connection, old.id, ModelState.SERVING)
        catalogue.move(connection, catalogue.find(connection, "hashing").id, ModelState.DRAINING)
    keep_models(platform)
    drive(platform, begin(GOOD, automatic=False).id)
    assert states() == {"hashing": "retired", "served": "serving", "good": "building"}
    if opens:
        model_server.always = "503"
    else:
        with platform.database.system() as connection:
            connection.execute("""UPDATE embedding_models SET spec = '{"provider": "gone"}' WHERE name = 'served'""")
    used = platform.models.in_use()
    found = search.task_context(
        platform.database, DEFAULT_TEAM, "demo", "return", embedders=used.asked, fallback=used.draining
    )
    assert found.locations
    assert found.models == (f"{old.identity} (did not answer)",)
    assert "vectors" not in {reason.signal for place in found.locations for reason in place.why}


@pytest.mark.parametrize("fault", ["reversed", "other"])
def test_a_server_that_mixes_up_its_answers_for_a_while_is_detected_before_the_comparison(
    platform: Platform, begin: Begin, model_server: Any, states: Any, fault: str
) -> None:
    # Without rests, batches have many texts: a reversed batch of one text would be right.
    migration = begin(model_server.spec("ollama", batch_texts=8, concurrency=1), share=1.0)
    # The known answers, asked when it is opened, and the first batches are right; then some are not.
    model_server.faults.extend(["", "", "", *[fault] * 6])
    driven = drive(platform, migration.id)
    assert (driven.migration.state, driven.migration.paused) == ("building", True)
    assert "stored vectors are not what served answers now" in driven.waits_for
    assert "penstock migrate cancel, models retire served, then start again" in driven.waits_for
    switch.cancel(platform.database, migration.id)
    assert states() == {"hashing": "serving", "served": "registered"}


def test_simultaneous_cut_over_and_rollback_end_in_one_or_the_other(
    platform: Platform, begin: Begin, states: Any
) -> None:
    migration = drive(platform, begin(GOOD, automatic=False, observe_seconds=3600).id).migration
    for _ in range(3):
        told: list[str] = []
        barrier = threading.Barrier(6)

        def act(number: int, told: list[str] = told, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                if number % 2:
                    switch.cut_over(platform.database, migration.id)
                else:
                    switch.roll_back(platform.database, migration.id, "second thoughts")
                told.append("served")
            except MigrationRefused as error:
                told.append(str(error))

        threads = [threading.Thread(target=act, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with platform.database.system() as connection:
            now = record.get(connection, migration.id)
        served = told.count("served")
        if now.state == "observing":
            assert (served, states()) == (1, {"hashing": "building", "good": "serving"})
        else:
            assert (now.state, states()) == ("rolled-back", {"hashing": "serving", "good": "registered"})
            assert served <= 2
            break
    assert len(platform.models.in_use().asked) == 1


def test_cut_over_and_rollback_hold_locks_for_less_than_a_tenth_of_a_second_during_searches(
    platform: Platform, begin: Begin
) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            platform.models.in_use()

    asking = threading.Thread(target=ask)
    asking.start()
    held: list[list[float]] = []
    try:
        for _ in range(3):  # the best of three: others use this machine too
            migration = drive(platform, begin(GOOD, automatic=False).id).migration
            switch.cut_over(platform.database, migration.id)
            switch.roll_back(platform.database, migration.id, "measured")
            with platform.database.system() as connection:
                events = record.timeline(connection, migration.id)
            held.append([event.body["milliseconds"] for event in events if event.kind == "locks held"])
            if max(held[-1]) < 100:
                break
    finally:
        stop.set()
        asking.join()
    assert min(max(both) for both in held) < 100
    assert all(len(both) == 2 for both in held)


def test_a_model_is_not_retired_while_it_is_migrated_to_or_from(platform: Platform, begin: Begin, entry: Any) -> None:
    migration = begin(GOOD, automatic=False)
    folder = platform.settings.home / FOLDER
    with pytest.raises(ModelConflict, match=f"migration {migration.id} needs it: cancel it or roll it back first"):
        retire_model(platform.database, entry("good").id, folder)
    drive(platform, migration.id)
    switch.cut_over(platform.database, migration.id)
    with pytest.raises(ModelConflict, match=f"migration {migration.id} needs it"):
        retire_model(platform.database, entry("hashing").id, folder)
    assert not folder.exists()


def test_a_model_retired_directly_in_the_database_makes_the_migration_pause_or_wait(
    platform: Platform, begin: Begin, entry: Any, states: Any
) -> None:
    migration = begin(GOOD, automatic=False)
    with platform.database.system() as connection:
        connection.execute("SELECT retire_embedding_model(%s)", (entry("good").id,))
    driven = drive(platform, migration.id)
    assert driven.migration.state == "building"
    assert "good is retired, but a migration that is building needs it to be building" in driven.waits_for
    assert switch.cancel(platform.database, migration.id).state == "cancelled"
    assert states() == {"hashing": "serving", "good": "retired"}


def test_a_full_disk_at_the_end_pauses_it_before_anything_is_dropped_and_it_can_be_rolled_back(
    platform: Platform, begin: Begin, states: Any, vectors: Any
) -> None:
    migration = begin(GOOD)
    limit, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
    try:
        driven = drive(platform, migration.id)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (driven.migration.state, driven.migration.paused) == ("draining", True)
    assert "File too large; nothing was dropped: make room there" in driven.waits_for
    assert states() == {"hashing": "draining", "good": "serving"}
    assert len(vectors("hashing")) == 120
    assert list((platform.settings.home / FOLDER).iterdir()) == []
    switch.roll_back(platform.database, migration.id, "the disk is full")
    assert states() == {"hashing": "serving", "good": "registered"}


def test_a_changed_tokenizer_is_reported_and_nothing_is_embedded_with_it(
    platform: Platform, begin: Begin, vectors: Any, tmp_path: Path
) -> None:
    known = Path("~/.cache/penstock/models/all-minilm-l6-v2-q").expanduser()
    if not (known / "model.onnx").is_file():
        message = "all-minilm-l6-v2-q is not there: python deploy/dev/onnx_models.py fetches it"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    folder = tmp_path / "models" / "mini"
    shutil.copytree(known, folder)
    spec = OnnxFile(name="mini", provider="onnx", folder=folder, pooling="mean", dimensions=384, max_tokens=64)
    migration = begin(spec)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8").replace('"the"', '"thw"', 1), encoding="utf-8")
    driven = drive(platform, migration.id)
    assert driven.migration.state == "building"
    assert "its files or its description have changed; restore them" in driven.waits_for
    assert vectors("mini") == []


def test_a_cut_over_that_is_illegal_for_one_model_changes_nothing(
    platform: Platform, begin: Begin, entry: Any, states: Any
) -> None:
    migration = drive(platform, begin(GOOD, automatic=False, queries=10).id).migration
    with platform.database.system() as connection:
        catalogue.move(connection, entry("hashing").id, ModelState.DRAINING)
    with pytest.raises(MigrationRefused, match="cannot become observing"):
        switch.cut_over(platform.database, migration.id, accept=True)
    assert states() == {"hashing": "draining", "good": "building"}
    with platform.database.system() as connection:
        assert record.get(connection, migration.id).state == "judged"
