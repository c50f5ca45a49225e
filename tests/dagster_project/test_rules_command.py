"""`penstock rules` on a real database."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.intake import Delivery, receive
from core.intents import about_ticket
from core.rules import Rules, Signal
from core.tickets import Kind, Service, Snapshot, TicketChange
from core.watched_checks import Head, note_failure
from dagster_project.cli import rules
from dagster_project.cli.app import app

AT = "2026-03-01T10:00:00+00:00"


@pytest.fixture
def run(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., Any]:
    @contextlib.contextmanager
    def opened() -> Iterator[Database]:
        yield database

    monkeypatch.setattr(rules, "opened", opened)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    for name in ("START_RULES", "TRIGGER_LABEL"):
        monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["rules", *arguments])


@pytest.fixture
def happen(database: Database) -> Callable[..., None]:
    """Accepts an event of an issue of `acme/shop`, under rules that start nothing."""
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, 'shop', '/srv/shop', 'acme/shop')",
            (DEFAULT_TEAM,),
        )
    log, number = PostgresLog(database), iter(range(100))

    def accept(key: str, **signal: Any) -> None:
        ticket = Snapshot(title=f"Issue {key}", body="")
        change = TicketChange(
            service=Service.GITHUB, project="acme/shop", key=key, kind=Kind.ISSUE, action="x", ticket=ticket
        )
        told = Signal(actor="ada", actor_id="3", at=AT, **signal) if signal else None
        delivery = Delivery("github", f"d{next(number)}", "issues", b"0" * 32)
        with database.team(DEFAULT_TEAM) as connection:
            receive(connection, log, DEFAULT_TEAM, delivery, about_ticket(change, None, told, Rules(())))

    return accept


def test_the_rules_in_effect_are_listed(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert [rule["rule"] for rule in json.loads(run("list", "--json").stdout)] == ["opened"]
    monkeypatch.setenv("PENSTOCK_START_RULES", "assigned:bot; transition:Ready [SHOP]")
    monkeypatch.setenv("PENSTOCK_TRIGGER_LABEL", "penstock")
    listed = json.loads(run("list", "--json").stdout)
    assert [rule["rule"] for rule in listed] == ["assigned:bot", "transition:Ready [SHOP]", "labelled:penstock"]
    assert "transition:Ready [SHOP]" in run("list").stdout


def test_a_rule_is_tried_on_past_events_and_starts_nothing(
    run: Callable[..., Any], happen: Callable[..., None], database: Database
) -> None:
    happen("#1", labels=("penstock",))
    happen("#1", labels=("penstock",))  # reported by a second webhook
    happen("#2", labels=("bug",))
    happen("#3", opened=True)
    happen("#4")
    done = run("try", "labelled:Penstock", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(one["key"], one["what"], one["starter"], one["title"]) for one in found["starts"]] == [
        ("#1", "label penstock", "ada", "Issue #1")
    ]
    assert (found["judged"], found["unknown"], found["cut"]) == (4, 1, False)
    assert found["since"] <= found["until"]
    shown = run("try", "opened; labelled:bug [acme/*]", "--source", "shop")
    assert "2 of 4 events would have started tasks from " in shown.stdout
    assert "acme/shop #2" in shown.stdout
    assert "acme/shop #3" in shown.stdout
    unknown = run("try", "opened", "--source", "other")
    assert (unknown.exit_code, "there is no source 'other'" in unknown.output) == (2, True)
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_a_wrong_rule_is_wrong_usage(run: Callable[..., Any]) -> None:
    done = run("try", "closed")
    assert done.exit_code == 2
    assert "labelled:NAME" in done.output


def test_what_is_known_about_failed_checks_is_shown_and_that_the_past_is_not(
    run: Callable[..., Any], happen: Callable[..., None], database: Database
) -> None:
    happen("#1", opened=True)
    shown = run("try", "failed:main")
    assert shown.exit_code == 0, shown.output
    assert "cannot be tried" in shown.output
    assert "events would have started" not in shown.output
    with database.team(DEFAULT_TEAM) as connection:
        for branch, head in (("main", "a" * 40), ("other", "b" * 40)):
            note_failure(connection, DEFAULT_TEAM, Head("shop", "github", "acme/shop", branch, head), "failed:x")
        connection.execute("UPDATE watched_checks SET state = 'ignored', reason = 'it passes by now'")
    both = run("try", "failed:main; opened")
    assert "aaaaaaaaaaaa" in both.stdout
    assert "it passes by now" in both.stdout
    assert "bbbbbbbbbbbb" not in both.stdout
    assert "1 of 1 events would have started tasks" in both.stdout
    found = json.loads(run("try", "failed:main [acme/*]", "--json").stdout)
    assert [(one["branch"], one["head"], one["state"]) for one in found["looked"]] == [("main", "a" * 40, "ignored")]
    assert json.loads(run("try", "failed:main [x/*]", "--json").stdout)["looked"] == []
    assert json.loads(run("try", "opened", "--json").stdout)["looked"] == []
