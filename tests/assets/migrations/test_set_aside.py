"""A text that a model's server fails at is set aside with its reason, counted, and tried again; others go on."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.context.models import set_aside
from assets.context.models.model_vectors import lacking
from assets.context.search import search, status
from assets.context.source.sources import add_source
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.plan import make_plan
from assets.migrations.lifecycle.upkeep import keep_models
from assets.platform import Platform
from core.embedding import catalogue
from core.embedding.catalogue import Entry
from core.states import ModelState
from core.teams import DEFAULT_TEAM
from dagster_project.cli import index as index_command
from dagster_project.cli import models as models_command
from dagster_project.cli.app import app
from tests.assets.migrations.conftest import index, write_history
from tests.forge_arena import git

Begin = Callable[..., Any]


@pytest.fixture
def poisoned(platform: Platform, model_server: Any) -> str:
    """A word of one file alone, at which the server fails."""
    with platform.database.system() as connection:
        rows = connection.execute("SELECT text FROM chunks").fetchall()
    everything = " ".join(text for (text,) in rows)
    word = next(w for w in rows[5][0].split() if everything.count(w) == 1 and w.isalpha() and len(w) == 6)
    model_server.poison = {word: "500"}
    return str(word)


def state_of(platform: Platform, name: str = "served") -> tuple[Entry, set_aside.SetAside, int]:
    with platform.database.system() as connection:
        entry = catalogue.find(connection, name)
        zeros = connection.execute(
            f"SELECT count(*) FROM vectors_{entry.id} WHERE vector_norm(embedding) = 0"  # type: ignore[arg-type]  # noqa: S608
        ).fetchone()
        assert zeros is not None
        return entry, set_aside.read(connection, entry.id), zeros[0]


def test_one_bad_text_does_not_block_a_migration_and_has_its_vector_once_the_server_takes_it(
    platform: Platform, begin: Begin, model_server: Any, poisoned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = begin(model_server.spec("openai", retries=0, batch_texts=16), queries=10)
    driven = drive(platform, migration.id)
    assert driven.migration.state in ("judged", "done"), driven
    entry, aside, zeros = state_of(platform)
    assert (aside.count, zeros) == (1, 1)
    assert "status 500: the worker has crashed" in aside.reason
    with platform.database.system() as connection:
        assert lacking(connection, entry.identity) == []
        row = connection.execute(
            "SELECT body -> 'set_aside' FROM model_migration_events WHERE kind = 'built'"
        ).fetchone()
    assert row is not None and row[0]["texts"] == 1

    monkeypatch.setattr(models_command, "opened", lambda: contextlib.nullcontext(platform.database))
    monkeypatch.setattr(models_command, "_ensure_default", lambda _: None)
    shown = CliRunner().invoke(app, ["models", "show", "served"]).output
    assert "without     1 text set aside: " in shown and "the worker has crashed; tried again each night" in shown
    listed = json.loads(CliRunner().invoke(app, ["models", "list", "--no-ask", "--json"]).stdout)
    [served] = [one for one in listed if one["name"] == "served"]
    assert (served["covered"], served["set_aside"]) == (served["chunks"] - 1, 1)

    embedder = platform.models.open(entry)
    assert set_aside.try_again(platform.database, embedder)[0] == 0
    assert state_of(platform)[1].count == 1
    model_server.poison = {}
    assert set_aside.try_again(platform.database, embedder) == (1, set_aside.SetAside())
    assert state_of(platform)[1:] == (set_aside.SetAside(), 0)


def test_a_server_that_refuses_many_texts_pauses_the_migration_with_the_reason(
    platform: Platform, begin: Begin, model_server: Any
) -> None:
    model_server.poison = {
        "return r": "400",
        "return s": "400",
        "return t": "400",
        "return v": "400",
        "return w": "400",
    }
    migration = begin(model_server.spec("openai", retries=0, batch_texts=16), queries=10)
    driven = drive(platform, migration.id)
    assert (driven.migration.state, driven.migration.paused) == ("building", True)
    assert "texts: " in str(driven.migration.reason) and "the worker has crashed" in str(driven.migration.reason)


def test_a_plan_is_made_although_one_text_is_bad(platform: Platform, model_server: Any, poisoned: str) -> None:
    new = catalogue.register(platform.database, model_server.spec("openai", retries=0))
    with platform.database.system() as connection:
        old = catalogue.find(connection, "hashing")
    plan = make_plan(platform.database, old, new, platform.models.open(new))
    assert plan.chunks >= 120


def test_a_refresh_with_a_serving_model_goes_on_and_upkeep_tries_again(
    platform: Platform, model_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalogue.register(platform.database, model_server.spec("openai", retries=0))
    with platform.database.system() as connection:
        catalogue.move(connection, entry.id, ModelState.SERVING)
        catalogue.move(connection, catalogue.find(connection, "hashing").id, ModelState.DRAINING)
    write_history(tmp_path / "other.git", 20, 500)
    add_source(platform.database, DEFAULT_TEAM, "other", str(tmp_path / "other.git"), roots=platform.settings.roots)
    subjects = git(tmp_path / "other.git", "log", "--format=%s").splitlines()
    everything = git(tmp_path / "other.git", "grep", "-h", "-e", "", "main")
    words = [one.split()[1] for one in subjects if everything.count(one.split()[1]) == 1][:4]
    model_server.poison = dict.fromkeys(words, "500")  # more than the gate allows of other zeros
    report = index(platform, "other")
    assert report.models == (entry.identity,)
    assert report.unavailable == ()
    assert (state_of(platform)[1].count, state_of(platform)[2]) == (4, 4)
    served = platform.models.in_use().asked
    found = search(platform.database, DEFAULT_TEAM, "other", words[0], 3, embedders=served)
    assert words[0] in found[0].path, "its words find it all the same"
    _is_shown(platform, words, monkeypatch)
    model_server.poison = {}
    keep_models(platform)
    assert state_of(platform)[1:] == (set_aside.SetAside(), 0)
    assert status(platform.database, DEFAULT_TEAM, "other").set_aside == ()


def _is_shown(platform: Platform, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`penstock index status` says that texts are set aside and, of one source, where and why."""
    monkeypatch.setattr(index_command, "opened", lambda: contextlib.nullcontext(platform.database))
    monkeypatch.setattr(index_command, "team_of", lambda *_: DEFAULT_TEAM)
    said = "other: 4 texts are set aside, found by their words alone, and tried again each night"
    shown = CliRunner().invoke(app, ["index", "status"]).output
    assert f"{said}; `penstock index status other` says where" in shown
    assert "demo: " not in shown
    shown = CliRunner().invoke(app, ["index", "status", "other"]).output
    assert said in shown
    places = [line for line in shown.splitlines() if line.startswith("set aside ")]
    assert len(places) == 4
    assert all("the worker has crashed" in line and ":1, of served: " in line for line in places)
    assert {word for word in words if any(word in line for line in places)} == set(words)
