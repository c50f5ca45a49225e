import contextlib
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.migrations.lifecycle import record
from core.database import Database
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed


@pytest.fixture
def penstock(database: Database, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on the test's database; returns what it prints as JSON, or raises what stops it."""
    for module in ("models", "recommend"):
        monkeypatch.setattr(f"dagster_project.cli.{module}.opened", lambda: contextlib.nullcontext(database))
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


def test_the_models_of_a_migration_are_left_where_it_put_them(penstock: Any, model_server: Any) -> None:
    given = ("--provider", "ollama", "--url", model_server.url, "--model", "hashing", "--dimensions", "64")
    penstock("models", "add", "small", *given, "--serve")
    penstock("models", "add", "hashing", "--migrate")
    before = {row["name"]: row["state"] for row in penstock("models", "list") if "state" in row}
    assert before == {"wordllama": "serving", "small": "serving", "hashing": "building"}
    for arguments in (("retire", "wordllama"), ("retire", "hashing"), ("add", "hashing", "--serve")):
        with pytest.raises(CommandFailed, match="migration 1 needs it: cancel it or roll it back first"):
            penstock("models", *arguments)
    assert {row["name"]: row["state"] for row in penstock("models", "list")} == before


def test_the_only_serving_model_is_not_retired(penstock: Any) -> None:
    with pytest.raises(CommandFailed, match="the only serving model"):
        penstock("models", "retire", "wordllama")


def test_a_model_behind_a_server_is_added_by_its_address(penstock: Any, model_server: Any) -> None:
    row = penstock(
        "models", "add", "small", "--provider", "ollama", "--url", model_server.url,
        "--model", "hashing", "--dimensions", "64", "--max-tokens", "128",
    )  # fmt: skip
    assert (row["provider"], row["revision"], row["max_tokens"]) == ("ollama", model_server.digests["hashing"], 128)


def test_what_is_wrong_with_a_new_model_is_told_in_one_line(penstock: Any, model_server: Any) -> None:
    with pytest.raises(CommandFailed, match="width 64, not 32: it is another model"):
        penstock(
            "models", "add", "small", "--provider", "ollama", "--url", model_server.url,
            "--model", "hashing", "--dimensions", "32",
        )  # fmt: skip
    with pytest.raises(CommandFailed, match="no embedding model 'gpt'; there are: wordllama, hashing"):
        penstock("models", "add", "gpt")


def test_a_model_gets_a_day_by_which_it_is_to_be_gone(penstock: Any) -> None:
    told = penstock("models", "retire", "wordllama", "--by", "2099-12-31")
    assert told["retire_by"] == "2099-12-31T23:59:59+00:00"
    assert "no other model is serving" in told["needs"][0]
    assert penstock("models", "list")[0]["retire_by"] == "2099-12-31T23:59:59+00:00"
    assert penstock("models", "retire", "wordllama", "--keep")["retire_by"] is None
    for wrong, why in (("soon", "not a date like 2027-03-31"), ("2020-01-01", "has passed")):
        result = CliRunner().invoke(app, ["models", "retire", "wordllama", "--by", wrong])
        assert result.exit_code == 2
        assert why in " ".join(result.output.split())


def test_a_second_model_to_migrate_to_waits_and_says_for_what(penstock: Any, model_server: Any) -> None:
    penstock("models", "add", "hashing", "--migrate")
    given = ("--provider", "ollama", "--url", model_server.url, "--model", "hashing", "--dimensions", "64")
    assert (
        "migration 1 from wordllama to hashing is open"
        in penstock("models", "add", "small", *given, "--migrate")["migrate"]
    )
    listed = {row["name"]: row["migrate"] for row in penstock("models", "list")}
    assert "it starts after that" in listed["small"]
    assert listed["hashing"] is None


def test_a_model_of_ollama_is_described_by_its_server_and_pulled_if_it_lacks_it(
    penstock: Any, model_server: Any
) -> None:
    model_server.can_pull.add("tiny")
    added = penstock("models", "add", "ollama/tiny", "--url", model_server.url, "--max-tokens", "128")
    assert (added["name"], added["provider"], added["dimensions"], added["max_tokens"]) == ("tiny", "ollama", 64, 128)
    assert penstock("models", "show", "tiny")["memory"] == "not loaded"
    penstock("models", "add", "ollama/hashing", "--url", model_server.url)
    assert penstock("models", "show", "hashing")["memory"] == "5.0 GB, 4.0 GB of it on the GPU"


def test_a_model_that_ollama_cannot_pull_is_told_with_the_reason(penstock: Any, model_server: Any) -> None:
    with pytest.raises(CommandFailed, match="cannot pull absent: pull model manifest: file does not exist"):
        penstock("models", "add", "ollama/absent", "--url", model_server.url)
    with pytest.raises(CommandFailed, match="is Ollama running there"):
        penstock("models", "add", "ollama/absent", "--url", "http://127.0.0.1:9")
    assert [row["name"] for row in penstock("models", "list")] == ["wordllama"]


def test_a_chat_model_of_ollama_is_pulled_and_needs_no_registration(penstock: Any, chat_server: Any) -> None:
    chat_server.can_pull.add("coder")
    assert penstock("models", "add", "ollama/coder", "--url", chat_server.url) == {
        "kind": "chat",
        "name": "ollama/coder",
    }
    assert "coder" in chat_server.digests


def test_without_an_indexed_history_nothing_is_recommended_but_to_stay(penstock: Any, model_server: Any) -> None:
    given = ("--provider", "ollama", "--url", model_server.url, "--model", "hashing", "--dimensions", "64")
    penstock("models", "add", "served", *given)
    found = penstock("models", "recommend", "--queries", "20")
    assert (found["name"], found["queries"]) == ("wordllama", 0)
    assert "served" not in {one["name"] for one in found["measured"]}  # reads texts only if it is named
    named = penstock("models", "recommend", "served")
    assert {one["name"] for one in named["measured"]} == {"wordllama", "served", "no model"}
    with pytest.raises(CommandFailed, match="no embedding model 'nonsense'"):
        penstock("models", "recommend", "nonsense")
