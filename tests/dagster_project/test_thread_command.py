"""`penstock thread` with a real gateway, and without."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from tests.gateway.conftest import credentials, run_gateway, settings

__all__ = ["credentials", "run_gateway", "settings"]


@pytest.fixture
def penstock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("PENSTOCK_HOME", str(settings.home))

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["thread", *arguments])
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return run


def test_a_thread_from_the_command_line(penstock: Callable[..., Any], run_gateway: Callable[..., Any]) -> None:
    with run_gateway() as (_, url):
        at = ("--url", url)
        thread = penstock("new", "The total is wrong", "--json", *at)["thread"]
        assert penstock("say", thread[:12], "It adds the tax twice.", "--json", *at)["sent"] is True
        with pytest.raises(CommandFailed, match="is empty"):
            penstock("say", thread, " \n", *at)
        assert "It adds the tax twice." in penstock("show", thread, *at)
        assert [one["title"] for one in penstock("list", "--json", *at)] == ["The total is wrong"]
        with pytest.raises(CommandFailed, match="the team knows no user:nobody"):
            penstock("share", thread, "listed", "--grant", "user:Nobody=reader", *at)
        secret = penstock("share", thread, "link", "--link", "reader", "--json", *at)["link"]
        assert len(secret) > 20
        assert "It adds the tax twice." in penstock("watch", thread, "--timeout", "1", *at)
        assert "# The total is wrong\n" in penstock("export", thread, *at)
        assert "visibility" in penstock("share", thread, "everybody", *at, code=2)
        with pytest.raises(CommandFailed, match="no thread begins with"):
            penstock("show", "ffff", *at)
    assert penstock("say", thread, "Written on the train", "--json", *at)["sent"] is False
    assert "Written on the train" in penstock("show", thread, *at)
    with pytest.raises(CommandFailed, match="needs a connection"):
        penstock("share", thread, "private", *at)


def test_the_thread_of_a_task_is_named_by_the_task(
    penstock: Callable[..., Any], run_gateway: Callable[..., Any], database: Database
) -> None:
    task = uuid.uuid4()
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO tasks (team_id, id, event_id, source, title, body, state) "
            "VALUES (%s, %s, 'e', 'shop', 'Total is wrong', 'It is 3.', 'queued')",
            (DEFAULT_TEAM, task),
        )
    with run_gateway() as (_, url):
        shown = penstock("show", f"task:{task}", "--url", url)
        assert "Total is wrong" in shown and "attempt 1: queued" in shown
        assert penstock("say", f"task:{task}", "Leave the rounding", "--json", "--url", url)["sent"] is True
        until = time.monotonic() + 30
        while True:
            with database.team(DEFAULT_TEAM) as connection:
                found = connection.execute("SELECT body FROM answers WHERE task_id = %s", (task,)).fetchall()
                if found == [("Leave the rounding",)]:
                    break
            assert time.monotonic() < until
            time.sleep(0.1)
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute("UPDATE tasks SET state = 'cancelled' WHERE id = %s", (task,))
        late = penstock("say", f"task:{task}", "Too late", "--json", "--url", url)
        assert (late["sent"], late["task_ended"]) == (True, "cancelled")
        with pytest.raises(CommandFailed, match="no task"):
            penstock("show", f"task:{uuid.uuid4()}", "--url", url)
