import contextlib
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.migrations import record
from core.database import Database
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed


@pytest.fixture
def penstock(database: Database, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on the test's database; returns what it prints as JSON, or raises what stops it."""
    monkeypatch.setattr("dagster_project.cli.models.opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_the_model_of_the_settings_serves_from_the_first_start(penstock: Any) -> None:
    (row,) = penstock("models", "list")
    assert (row["name"], row["state"], row["provider"], row["dimensions"]) == ("wordllama", "serving", "wordllama", 256)
    shown = penstock("models", "show", "wordllama")
    assert [event["state"] for event in shown["events"]] == ["registered", "serving"]


def test_a_model_is_added_served_and_retired(penstock: Any) -> None:
    assert penstock("models", "add", "hashing")["state"] == "registered"
    assert penstock("models", "add", "hashing", "--serve")["state"] == "serving"
    assert penstock("models", "retire", "wordllama")["state"] == "retired"
    assert [row["name"] for row in penstock("models", "list")] == ["hashing"]
    assert [row["name"] for row in penstock("models", "list", "--all")] == ["wordllama", "hashing"]


def test_a_model_can_be_migrated_to_as_soon_as_it_is_added(penstock: Any, database: Database) -> None:
    assert penstock("models", "add", "hashing", "--migrate")["state"] == "building"
    with database.system() as connection:
        migration = record.current(connection)
    assert migration is not None
    assert (migration.old_name, migration.new_name, migration.state) == ("wordllama", "hashing", "building")
    again = penstock("models", "add", "hashing", "--migrate")
    assert (again["state"], again["migrate"]) == ("building", None)


def test_the_only_serving_model_is_not_retired(penstock: Any) -> None:
    with pytest.raises(CommandFailed, match="the only serving model"):
        penstock("models", "retire", "wordllama")


def test_a_model_behind_a_server_is_added_by_its_address(penstock: Any, model_server: Any) -> None:
    row = penstock(
        "models", "add", "small", "--provider", "ollama", "--url", model_server.url,
        "--model", "hashing", "--dimensions", "64", "--max-tokens", "128",
    )  # fmt: skip
    assert (row["provider"], row["revision"], row["max_tokens"]) == ("ollama", model_server.digest, 128)


def test_what_is_wrong_with_a_new_model_is_told_in_one_line(penstock: Any, model_server: Any) -> None:
    with pytest.raises(CommandFailed, match="width 64, not 32: it is another model"):
        penstock(
            "models", "add", "small", "--provider", "ollama", "--url", model_server.url,
            "--model", "hashing", "--dimensions", "32",
        )  # fmt: skip
    with pytest.raises(CommandFailed, match="no embedding model 'gpt'; there are: wordllama, hashing"):
        penstock("models", "add", "gpt")
