"""`penstock task`: a question is shown where tasks are, and answered."""

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.questions import wait_for_answer
from core.tasks import IllegalMove
from dagster_project.cli import task, task_acts
from dagster_project.cli.app import app

Run = Callable[..., str]


@pytest.fixture
def penstock(database: Database, monkeypatch: pytest.MonkeyPatch) -> Run:
    for module in (task, task_acts):
        monkeypatch.setattr(module, "opened", lambda: contextlib.nullcontext(database))
    monkeypatch.delenv("PENSTOCK_TEAM", raising=False)

    def run(*arguments: str, stdin: str | None = None) -> str:
        result = CliRunner().invoke(app, ["task", *arguments], input=stdin)
        if isinstance(result.exception, IllegalMove):
            raise result.exception
        assert result.exit_code == 0, (result.output, result.exception)
        return str(result.output)

    return run


@pytest.fixture
def asking(database: Database) -> uuid.UUID:
    log = PostgresLog(database)
    event = tasks.request_event(DEFAULT_TEAM, "api:1", "/api", "shop", title="It fails")
    with database.team(DEFAULT_TEAM) as connection:
        identity = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
    attempt = Attempt.claim(database, DEFAULT_TEAM, identity, 1, holder="run", seconds=30, max_claims=3)
    ending: dict[str, Any] = {"target": "git:shop", "publication": {"report": "# What was tried"}, "data": {}}
    with attempt.fenced() as connection:
        wait_for_answer(connection, log, attempt.task, "Which call fails?", seconds=3600, ending=ending)
    return identity


def test_a_question_is_shown_and_listed(penstock: Run, asking: uuid.UUID) -> None:
    shown = penstock("show", str(asking))
    assert "state      waiting\n" in shown
    assert "question   Which call fails?\n           until 2" in shown
    assert f"penstock task answer {asking} TEXT" in shown
    assert "# What was tried" in shown
    assert f"{asking} asks: Which call fails?" in penstock("list")
    assert '"question": "Which call fails?"' in penstock("show", str(asking), "--json")


@pytest.mark.parametrize(("arguments", "stdin"), [(("total(1) gives 2",), None), (("-",), "total(1) gives 2\n")])
def test_an_answer_queues_the_next_attempt(
    penstock: Run, asking: uuid.UUID, arguments: tuple[str, ...], stdin: str | None
) -> None:
    said = penstock("answer", str(asking)[:8], *arguments, stdin=stdin)
    assert said == f"answered {asking}: it is queued at attempt 2\n"
    shown = penstock("show", str(asking))
    assert "accepted (attempt 2 works with it)\n           total(1) gives 2\n" in shown
    assert "question " not in shown and "The report of attempt 1:" in shown
    listed = penstock("list")
    assert "asks:" not in listed
    assert "the platform is stopped" in listed, "and nothing else works on what is queued"
    with pytest.raises(IllegalMove, match="1 to 8000 characters"):
        penstock("answer", str(asking), "-", stdin="x" * 9000)


def test_an_answer_keeps_its_lines(penstock: Run, asking: uuid.UUID) -> None:
    code = "It is this call:\n\n    >>> total([1, 2])\n    2\x1b[2J\n"
    penstock("answer", str(asking), "-", stdin=code)
    shown = penstock("show", str(asking))
    assert "\n           It is this call:\n\n               >>> total([1, 2])\n               2�[2J\n" in shown


def test_of_a_long_answer_the_beginning_is_shown(penstock: Run, asking: uuid.UUID) -> None:
    penstock("answer", str(asking), "-", stdin="".join(f"line {n}\n" for n in range(50)))
    shown = penstock("show", str(asking))
    assert "           line 39\n           (10 more lines: --json shows all)\n" in shown
    assert "line 40" not in shown


def test_a_list_that_is_empty_names_what_was_asked_for(penstock: Run, asking: uuid.UUID) -> None:
    assert "No task in the state failed of the source shop." in penstock(
        "list", "--state", "failed", "--source", "shop"
    )
    listed = penstock("list").splitlines()
    assert listed[0].split()[:2] == ["ID", "STATE"]
    assert listed[1].startswith(f"{asking}  waiting")
