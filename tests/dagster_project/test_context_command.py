"""`penstock context` on a real index."""

import contextlib
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.context.tickets.apply import apply
from assets.context.tickets.index import index_tickets
from core.database import Database
from core.events import DEFAULT_TEAM
from core.tickets import Kind, Service, Snapshot, TicketChange
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed

GO = """\
// Package shop sells.
package shop

// Cart holds items.
type Cart struct {
	Items []int
}

// Total sums up the prices of all items.
func (c *Cart) Total(rate int) int {
	return rate * len(c.Items)
}

func (c *Cart) Clear() {
	c.Items = nil
}
"""


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on the test's database and returns what it prints; source `shop` is indexed."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "cart.go").write_text(GO)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "A start"]):
        subprocess.run(["git", "-C", str(folder), *arguments], env=environment, check=True, timeout=600)
    for module in ("index", "source_errors"):
        monkeypatch.setattr(f"dagster_project.cli.{module}.opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_ALLOWED_ROOTS", str(tmp_path))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    run("index", "add", "shop", str(folder))
    return run


def test_a_context_is_markdown_with_labels_and_line_numbers(penstock: Any) -> None:
    text = penstock("context", "shop", "Total forgets the rate", "--budget", "600")
    assert text.startswith("# Context from shop\n")
    assert "`Cart.Total`" in text.partition("```")[0]
    assert "· trust: repository\n```go\n" in text
    assert "10 | func (c *Cart) Total(rate int) int {\n" in text


def test_a_context_as_json_is_only_json_and_keeps_to_its_budget(penstock: Any) -> None:
    pack = json.loads(penstock("context", "shop", "Cart.Total", "--budget", "150", "--json"))
    assert pack["tokens"] <= pack["budget"] == 150
    assert {span["path"] for span in pack["spans"]} == {"cart.go"}
    assert pack["markdown"].startswith("# Context from shop\n")


def test_a_missing_source_is_reported_in_one_line(penstock: Any) -> None:
    with pytest.raises(CommandFailed, match="no source 'other'"):
        penstock("context", "other", "x")


def test_a_context_quotes_similar_tickets_with_their_authors(penstock: Any, database: Database) -> None:
    told = Snapshot(title="Total forgets the rate", body="Prices come out too low.", author="ada", author_id="1")
    change = TicketChange(
        service=Service.GITHUB, project="acme/shop", key="#7", kind=Kind.ISSUE, action="issues.opened", ticket=told
    )
    with database.team(DEFAULT_TEAM) as connection:
        apply(connection, DEFAULT_TEAM, "shop", change, datetime.now(UTC))
    index_tickets(database, DEFAULT_TEAM, "shop")
    text = penstock("context", "shop", "Total forgets the rate")
    assert "### ticket `#7` · by `ada` · source shop · trust: ticket author" in text
    assert "Prices come out too low." in text
    assert "ticket" not in penstock("context", "shop", "Total forgets the rate", "--tickets", "0")
