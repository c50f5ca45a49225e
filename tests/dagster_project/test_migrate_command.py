import contextlib
import inspect
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.migrations.lifecycle.record import Options
from assets.migrations.report import report
from assets.migrations.report.report import as_html, as_markdown
from assets.migrations.retirement.retire import FOLDER, retire_model
from core.database import Database
from core.embedding import catalogue
from core.embedding.serving import Models
from core.git import Repository
from core.settings import Settings
from core.teams import DEFAULT_TEAM
from dagster_project.cli import migrate
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed


def test_a_migration_started_by_command_has_the_settings_of_one_started_by_job() -> None:
    given = {name: parameter.default for name, parameter in inspect.signature(migrate.start).parameters.items()}
    same = given.keys() & Options.model_fields.keys()
    assert {"margin", "share", "queries"} <= same
    assert given.pop("slower") is None  # the setting, as for a job
    same.discard("slower")
    assert {name: given[name] for name in same} == {name: Options.model_fields[name].default for name in same}


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on the test's database, in which this repository's docs are indexed; returns its JSON."""
    for name in ("models", "migrate"):
        monkeypatch.setattr(f"dagster_project.cli.{name}.opened", lambda: contextlib.nullcontext(database))
    for name, value in {"HOME": str(tmp_path), "EMBEDDING_MODEL": "hashing", "ALLOWED_ROOTS": str(tmp_path)}.items():
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    folder = small_repository(tmp_path / "repository")
    settings = Settings(home=tmp_path, embedding_model="hashing")
    add_source(database, DEFAULT_TEAM, "docs", str(folder), roots=[tmp_path])
    refresh(
        database,
        DEFAULT_TEAM,
        "docs",
        mirrors=settings.home / "mirrors",
        roots=[tmp_path],
        embedders=Models(database, settings).in_use().asked,
    )

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["migrate", *arguments, "--json"])
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def small_repository(folder: Path) -> Path:
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    subprocess.run(["git", "init", "-q", "-b", "main", folder], env=environment, check=True)
    stream = b""
    for number, word in enumerate(["parse", "socket", "merge", "index", "render", "<b>odd|cell</b>"]):
        body = f"def {''.join(filter(str.isalpha, word))}_{number}():\n    return '{word} of {number}'\n"
        message = f"Make {word} number {number} work again"
        stream += (
            f"commit refs/heads/main\ncommitter A <a@example.org> {1_700_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\nM 100644 inline src/file_{number}.py\ndata {len(body)}\n{body}\n"
        ).encode()
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input=stream, env=environment, check=True)
    assert Repository(folder).resolve("main")
    return folder


def test_a_migration_is_planned_started_steered_and_told(penstock: Any, database: Database, tmp_path: Path) -> None:
    planned = penstock("plan", "--to", "wordllama")
    assert (planned["old"], planned["new"], planned["chunks"]) == ("hashing", "wordllama", 6)
    assert planned["disk_bytes"] > 0
    started = penstock("start", "--to", "wordllama")
    assert (started["state"], started["verdict"]) == ("judged", "inconclusive")
    assert started["waits_for"].startswith("an operator")
    with pytest.raises(CommandFailed, match="the gate says inconclusive"):
        penstock("cutover")
    with pytest.raises(CommandFailed, match="open already: hashing to wordllama"):
        penstock("start", "--to", "wordllama", "--from", "hashing")
    assert penstock("pause")["paused"]
    assert not penstock("resume")["paused"]
    assert penstock("cutover", "--accept")["state"] == "observing"
    assert penstock("rollback")["state"] == "rolled-back"
    assert [row["state"] for row in penstock("status")] == ["rolled-back"]
    page = tmp_path / "report.html"
    told = penstock("report", "--out", str(page))
    assert [event["kind"] for event in told["timeline"]][:3] == ["planned", "building", "progress"]
    text = page.read_text(encoding="utf-8")
    assert "inconclusive" in text
    assert "<b>odd" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_report_is_written_before_there_is_anything_to_compare(penstock: Any, database: Database) -> None:
    penstock("start", "--to", "wordllama", "--background")
    with database.system() as connection:
        migration, events = report.read(connection)
    for text in (as_markdown(migration, events), as_html(migration, events)):
        assert "hashing" in text
        assert "building" in text
    assert penstock("cancel")["state"] == "cancelled"


def test_without_a_migration_it_says_how_to_begin(penstock: Any) -> None:
    for command in ("cutover", "rollback", "pause", "resume", "cancel", "report"):
        with pytest.raises(CommandFailed, match="penstock migrate plan --to MODEL"):
            penstock(command)
    with pytest.raises(CommandFailed, match="no embedding model 'absent'"):
        penstock("plan", "--to", "absent")


def test_a_retired_model_that_is_migrated_to_again_has_the_vectors_that_were_kept(
    penstock: Any, database: Database, tmp_path: Path
) -> None:
    penstock("start", "--to", "wordllama")
    penstock("cancel")
    with database.system() as connection:
        built = catalogue.find(connection, "wordllama")
    assert retire_model(database, built.id, tmp_path / FOLDER) is not None
    assert penstock("plan", "--to", "wordllama")["chunks"] == 0


def test_what_cannot_be_started_is_refused_before_anything_is_measured_or_registered(
    penstock: Any, database: Database
) -> None:
    with pytest.raises(CommandFailed, match="hashing cannot be migrated to itself"):
        penstock("start", "--to", "hashing")
    penstock("start", "--to", "wordllama", "--background")
    with pytest.raises(CommandFailed, match="a migration is open already: hashing to wordllama"):
        penstock("start", "--to", "absent")
    with database.system() as connection:
        assert {entry.name for entry in catalogue.entries(connection)} == {"hashing", "wordllama"}


def test_the_gate_is_calibrated_on_request(penstock: Any) -> None:
    found = penstock("calibrate", "--migrations", "20", "--loss", "0.08")
    assert found["holds"]
    assert [rate["migrations"] for rate in found["rates"]] == [20] * 5
