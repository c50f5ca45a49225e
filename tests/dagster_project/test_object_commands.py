"""`penstock object`: calls, lists, history, code, and the node as a process that the platform starts when it is
needed."""

import contextlib
import json
import os
import re
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
from core.events import DEFAULT_TEAM
from core.settings import Settings
from dagster_project.cli import object_code, objects
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from dagster_project.command_lines import children
from objects.catalogue import read_code
from objects.gate import Verdict
from objects.node import ThreadedNode
from objects.submissions import conclude

Run = Callable[..., Any]


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `penstock object …`, and returns its output: parsed, with `--json`. Raises what it fails with."""
    for module in (objects, object_code):
        monkeypatch.setattr(module, "opened", lambda: contextlib.nullcontext(database))
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


def test_a_state_that_no_object_has_is_refused_with_those_that_there_are(penstock: Run, node: ThreadedNode) -> None:
    penstock("call", "register/a", "add")
    said = penstock("list", "--status", "Sleepy", code=2)
    for status in ("Created", "Active", "Hibernating", "Failed", "Terminated"):
        assert status in said
        assert len(penstock("list", "--status", status, "--json")) == (status == "Active")


def test_code_is_submitted_checked_and_refused_with_reasons(penstock: Run, tmp_path: Path, sandbox: Any) -> None:
    (tmp_path / "echo.py").write_text("def handle(state, message):\n    return state, message['argument']\n")
    (tmp_path / "manifest.json").write_text('{"methods": {"say": {"answer": {"type": "string"}}}}')
    arguments = ("submit", "echo", str(tmp_path / "echo.py"), "--manifest", str(tmp_path / "manifest.json"))
    assert "does not fit its schema" in penstock(*arguments, code=1)
    (tmp_path / "manifest.json").write_text('{"methods": {"say": {}}}')
    assert penstock(*arguments, "--json")["state"] == "accepted"
    assert penstock("call", "echo/a", "say", '"hi"') == "hi"
    assert (tmp_path / "objects-wanted").exists()


def test_submitting_withdrawn_code_again_says_so_and_how_to_let_it_serve(
    penstock: Run, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text('{"methods": {"say": {}}}')

    def submit(number: int, code: int = 0) -> str:
        source = tmp_path / "echo.py"
        source.write_text(f"def handle(state, message):\n    return state, {number}\n")
        arguments = ("submit", "echo", str(source), "--manifest", str(tmp_path / "manifest.json"), "--wait", "0")
        return str(penstock(*arguments, code=code))

    def accept(version: int) -> None:
        with database.team(DEFAULT_TEAM) as connection:
            row = read_code(connection, "echo", version)
            assert row is not None
            conclude(connection, DEFAULT_TEAM, row, Verdict(True, row.sha256, ()))

    for number in (1, 2):
        assert submit(number) == f"version {number} of echo: submitted\n"
        accept(number)
        assert submit(number) == f"version {number} of echo: accepted\n"
    penstock("update", "echo", "--back", "--reason", "too slow")
    said = submit(2, code=1)
    assert re.search(r"accepted, but it is withdrawn since 20\d\d-.*too slow.*version 1 serves", said)
    assert "penstock object update echo --promote" in said
    assert penstock("update", "echo", "--promote") == "version 2 of echo serves all keys\n"
    assert submit(2) == "version 2 of echo: accepted\n"
    assert "version 2 serves since" in (said := submit(1, code=1)) and "update echo --back" in said
    with pytest.raises(CommandFailed, match="no canary"):
        penstock("update", "echo", "--promote")
    penstock("update", "echo", "--back")
    submit(3)
    accept(3)
    assert "submit it with a change" in submit(2, code=1)


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
