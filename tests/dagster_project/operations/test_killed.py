"""A backup or restore that is killed, at each of its steps, leaves what was there, or can be finished."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from dagster_project.operations.archive import open_archive
from dagster_project.operations.backup import backup
from dagster_project.operations.record import UNFINISHED
from dagster_project.operations.restore import resume
from dagster_project.runtime import open_runtime
from tests.dagster_project.operations.conftest import Home, add_task, titles

pytestmark = pytest.mark.services

_SCRIPT = """
import os, signal, sys
from dagster_project.operations import {module} as module
call, count, after = module, {count}, {after}
*path, name = {name!r}.split(".")
for part in path:
    call = getattr(call, part)
real = getattr(call, name)
def killed(*given, **named):
    global count
    count -= 1
    if count == 0 and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*given, **named)
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(call, name, killed)
from dagster_project.cli.app import main
main()
"""


def _killed(home: Path, module: str, name: str, count: int, after: bool, *arguments: str) -> None:
    script = _SCRIPT.format(module=module, name=name, count=count, after=after)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PENSTOCK_HOME": str(home)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()[-2000:]


def _state(settings: Settings) -> tuple[list[str], str]:
    with open_runtime(settings) as runtime:
        return titles(runtime.database_url), (settings.home / "settings.toml").read_text()


@pytest.fixture
def two(new_home: Home, tmp_path: Path) -> tuple[Settings, Path]:
    """A home with the task `old`, and a backup of one with the task `new`; both have a file of settings."""
    old, new = new_home(), new_home()
    for settings, title in ((old, "old"), (new, "new")):
        with open_runtime(settings) as runtime:
            add_task(runtime.database_url, title)
        (settings.home / "settings.toml").write_text(f"slots = {len(title)} # {title}\n")
    backup(new, tmp_path / "b")
    return old, tmp_path / "b"


OLD, NEW = (["old"], "slots = 3 # old\n"), (["new"], "slots = 3 # new\n")


@pytest.mark.parametrize(
    ("name", "count", "after", "becomes"),
    [
        ("dumps.create", 2, True, OLD),
        ("dumps.restore", 1, True, OLD),
        ("dumps.restore", 2, False, OLD),
        ("_fill", 1, True, OLD),
        ("_mark", 1, True, OLD),
        ("dumps.swap", 1, True, NEW),
        ("_place", 1, False, NEW),
        ("Path.rename", 1, True, NEW),
        ("Path.rename", 2, False, NEW),
    ],
)
def test_a_restore_that_is_killed_is_undone_or_finished(
    two: tuple[Settings, Path], name: str, count: int, after: bool, becomes: tuple[list[str], str]
) -> None:
    settings, path = two
    _killed(settings.home, "restore", name, count, after, "restore", str(path), "--replace")
    said = resume(settings)
    assert ("finished" in said) == (becomes == NEW), said
    assert _state(settings) == becomes
    assert not (settings.home / UNFINISHED).exists() and not list(settings.home.glob(".restore-*"))
    with open_runtime(settings) as runtime:
        assert runtime.server is not None
        import psycopg

        with psycopg.connect(runtime.owner_url) as connection:
            left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE '%\\_restore\\_%'").fetchall()
    assert left == []


def test_the_platform_does_not_start_on_a_half_restored_home(
    two: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from dagster_project.cli.app import app

    settings, path = two
    _killed(settings.home, "restore", "dumps.swap", 1, True, "restore", str(path), "--replace")
    monkeypatch.setenv("PENSTOCK_HOME", str(settings.home))
    done = CliRunner().invoke(app, ["up", "--check"])
    assert "penstock restore --resume" in str(done.exception)


@pytest.mark.parametrize(("name", "count"), [("dumps.dump", 1), ("dumps.dump", 2), ("rows_of", 1), ("_mirrors", 1)])
def test_a_backup_that_is_killed_leaves_the_one_before(two: tuple[Settings, Path], name: str, count: int) -> None:
    settings, path = two
    before = path.read_bytes()
    _killed(settings.home, "backup", name, count, True, "backup", str(path))
    assert path.read_bytes() == before
    made = backup(settings, path)
    with open_archive(path) as reader:
        assert reader.manifest.id == made.id
    assert [one.name for one in path.parent.iterdir()] == [path.name]
