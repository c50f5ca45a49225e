import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from core.database import Database
from core.embedding.serving import Models
from core.settings import Settings
from core.teams import DEFAULT_TEAM
from core.work import Location, Reason
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from tests.dagster_project.test_migrate_command import small_repository


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `penstock migrate` on a small indexed repository; returns what it printed."""
    monkeypatch.setattr("dagster_project.cli.migrate.opened", lambda: contextlib.nullcontext(database))
    for name, value in {"HOME": str(tmp_path), "EMBEDDING_MODEL": "hashing", "ALLOWED_ROOTS": str(tmp_path)}.items():
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    settings = Settings(home=tmp_path, embedding_model="hashing")
    folder = small_repository(tmp_path / "repository")
    add_source(database, DEFAULT_TEAM, "docs", str(folder), roots=[tmp_path])
    asked = Models(database, settings).in_use().asked
    refresh(database, DEFAULT_TEAM, "docs", mirrors=settings.home / "mirrors", roots=[tmp_path], embedders=asked)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["migrate", *arguments])
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_an_adapter_is_made_on_request_and_says_why_it_abstains(penstock: Any) -> None:
    with pytest.raises(CommandFailed, match="penstock migrate plan --to MODEL"):
        penstock("adapter")
    penstock("start", "--to", "wordllama")
    with pytest.raises(CommandFailed, match="no adapter was made for this migration yet: penstock migrate adapter"):
        penstock("adapter", "--show")
    said = penstock("adapter")
    assert said.startswith("While the old model's server is away, words, names and paths answer alone: the adapter abs")
    assert "texts have vectors of both models, and at least 256 are needed: build more first" in said
    shown = json.loads(penstock("adapter", "--show", "--json"))
    assert (shown["use"], shown["kind"], shown["covered"]) == ("nothing", "", 1.0)
    told = json.loads(penstock("report", "--json"))
    assert told["adapter"]["reason"] == shown["reason"]
    assert "abstains" in penstock("report")
    penstock("cancel")
    with pytest.raises(CommandFailed, match="cancelled: an adapter helps between its start and its cut over"):
        penstock("adapter")


def test_the_gate_is_calibrated_on_request(penstock: Any) -> None:
    found = json.loads(penstock("calibrate", "--migrations", "20", "--loss", "0.08", "--json"))
    assert found["holds"]
    assert [rate["migrations"] for rate in found["rates"]] == [20] * 5


def test_a_search_says_what_stood_in_for_a_model(
    penstock: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = (Reason(signal="vectors", detail="cosine 0.51, through the adapter from new (x)", contribution=1.0),)
    place = Location(path="a.py", start_line=1, end_line=2, symbol="", score=1.0, why=why)
    monkeypatch.setattr("dagster_project.cli.index.opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setattr("assets.context.search.search", lambda *_, **__: [place, place])
    result = CliRunner().invoke(app, ["search", "docs", "anything"])
    assert result.exit_code == 0, result.output
    assert result.output.count("vectors came through the adapter from new (x): penstock migrate adapter --show") == 1
