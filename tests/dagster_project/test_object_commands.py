"""`penstock object`: calls, lists, history, code, and the node as a process that the platform starts when it is
needed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.database import Database
from core.settings import Settings
from dagster_project.cli import objects
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from dagster_project.command_lines import children
from objects.node import ThreadedNode

Run = Callable[..., Any]


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `penstock object …`, and returns its output: parsed, with `--json`. Raises what it fails with."""
    monkeypatch.setattr(objects, "opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["object", *arguments])
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if "--json" in arguments or arguments[0] == "call" else result.output

    return run


@pytest.fixture
def node(database_url: str) -> Iterator[ThreadedNode]:
    made = ThreadedNode(database_url)
    yield made
    made.stop()


def test_a_call_without_a_node_runs_one_of_its_own(penstock: Run, database: Database) -> None:
    assert penstock("call", "register/a", "add", '{"amount": 2}', "--id", "x") == {"count": 2}
    assert penstock("call", "register/a", "add", '{"amount": 2}', "--id", "x") == {"count": 2}
    with database.system() as connection:
        assert connection.execute("SELECT node FROM objects").fetchall() == [(None,)]
        assert connection.execute("SELECT count(*) FROM object_nodes").fetchone() == (0,)


def test_objects_are_shown_go_back_and_end(penstock: Run, node: ThreadedNode) -> None:
    for _ in range(3):
        penstock("call", "register/a", "add")
    with pytest.raises(CommandFailed, match="not-locked"):
        penstock("call", "register/a", "unlock", '{"owner": "x"}')
    [one] = penstock("list", "--json")
    assert (one["type"], one["key"], one["shown"], one["state_version"]) == ("register", "a", "Active", 4)
    assert "count" in penstock("show", "register/a") and "register" in penstock("types")
    assert "compare_and_set(expected, value)" in penstock("types", "register")
    assert [one["version"] for one in penstock("history", "register/a", "--json")] == [3, 2, 1]
    penstock("rollback", "register/a", "1")
    assert penstock("call", "register/a", "read")["count"] == 1
    penstock("terminate", "register/a", "--reason", "done")
    with pytest.raises(CommandFailed, match="terminated"):
        penstock("call", "register/a", "read")
    penstock("revive", "register/a")
    assert penstock("call", "register/a", "read")["count"] == 0
    with pytest.raises(CommandFailed, match="no object"):
        penstock("show", "register/b")


def test_code_is_submitted_checked_and_refused_with_reasons(penstock: Run, tmp_path: Path, sandbox: Any) -> None:
    (tmp_path / "echo.py").write_text("def handle(state, message):\n    return state, message['argument']\n")
    (tmp_path / "manifest.json").write_text('{"methods": {"say": {"answer": {"type": "string"}}}}')
    arguments = ("submit", "echo", str(tmp_path / "echo.py"), "--manifest", str(tmp_path / "manifest.json"))
    assert "does not fit its schema" in penstock(*arguments, code=1)
    (tmp_path / "manifest.json").write_text('{"methods": {"say": {}}}')
    assert penstock(*arguments, "--json")["state"] == "accepted"
    assert penstock("call", "echo/a", "say", '"hi"') == "hi"
    assert (tmp_path / "objects-wanted").exists()


def test_the_platform_runs_a_node_only_once_objects_are_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert "object-node" not in [one.name for one in children(settings, "http://127.0.0.1:1", None)]
    settings.objects_wanted.touch()
    assert "object-node" in [one.name for one in children(settings, "http://127.0.0.1:1", None)]


def test_a_node_drains_when_it_is_asked_to_end(penstock: Run, database: Database, tmp_path: Path) -> None:
    environment = {**os.environ, "PENSTOCK_DATABASE_URL": database.url, "PENSTOCK_HOME": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-m", "penstock", "object", "node"], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not _nodes(database):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        assert penstock("call", "register/a", "add") == {"count": 1}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    with database.system() as connection:
        assert connection.execute("SELECT node, status FROM objects").fetchall() == [(None, "Active")]
    assert _nodes(database) == 0


def _nodes(database: Database) -> int:
    with database.system() as connection:
        row = connection.execute("SELECT count(*) FROM object_nodes").fetchone()
    return int(row[0]) if row else 0
