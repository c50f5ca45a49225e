"""Faults of the machine end a command with one sentence that says what to do, and never with a traceback."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from core.database.embedded import DatabaseNotStarted
from core.database.start_faults import explained
from dagster_project.cli.app import main
from dagster_project.cli.faults import sentence, without_traceback

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "up": ("up", "--check"),
    "doctor": ("doctor",),
    "solve": ("solve", "--repo", "repo", "--issue", "issue.md"),
    "plain": ("task", "list"),
}
Penstock = Callable[..., tuple[int, str, str]]


@pytest.fixture
def penstock(tmp_path: Path) -> Penstock:
    """Runs a command in a process of its own; `mount` is a script that first prepares `$HERE` for it alone."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tmp_path / "repo")]
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    (tmp_path / "issue.md").write_text("It fails\n")

    def run(name: str, mount: str = "", **variables: str) -> tuple[int, str, str]:
        here = tmp_path / "here"
        here.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
        environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "HERE": str(here),
            "PENSTOCK_HOME": str(here / "home"),
            "PENSTOCK_GATEWAY_PORT": "0",
            "PENSTOCK_DAGSTER_PORT": "0",
            **variables,
        }
        arguments = [sys.executable, "-m", "penstock", *COMMANDS[name]]
        if mount:
            rights = [] if os.geteuid() == 0 else ["--map-root-user"]
            arguments = ["unshare", *rights, "--mount", "sh", "-ec", f'{mount}\nexec "$@"', "sh", *arguments]
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if mount and "unshare:" in done.stderr:
            pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
        return done.returncode, done.stdout, done.stderr

    return run


READ_ONLY = 'mount -t tmpfs none "$HERE"; mkdir "$HERE/home"; mount -o remount,ro "$HERE"'
FULL = 'mount -t tmpfs -o size=20m none "$HERE"; head -c 30m /dev/zero > "$HERE/x" 2> /dev/null || true'
SMALL = 'mount -t tmpfs -o size=20m none "$HERE"'
FAULTS = {
    "read-only": (READ_ONLY, "cannot be written to: it is read-only. Make it writable, or set PENSTOCK_HOME"),
    "full": (FULL, "there is no room left in the home folder"),
    "small": (SMALL, "Penstock's database needs 160 MB. Free some space, or set PENSTOCK_HOME"),
}


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_cannot_be_used_is_one_sentence(penstock: Penstock, fault: str, command: str) -> None:
    mount, says = FAULTS[fault]
    if (fault, command) == ("small", "solve"):
        pytest.skip("it needs no more than there is")
    code, out, err = penstock(command, mount)
    assert code == 1
    assert "Traceback" not in out + err
    if command == "doctor":
        assert says in out
    else:
        [last] = [line for line in err.splitlines() if line.startswith("penstock: ")]
        assert says in last


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_settings_file_is_one_sentence(penstock: Penstock, command: str, tmp_path: Path) -> None:
    (tmp_path / "here" / "home").mkdir(parents=True)
    (tmp_path / "here" / "home" / "settings.toml").write_text("slots = = 2\n")
    code, out, err = penstock(command)
    assert (code, out) == (1, "")
    assert err.startswith("penstock: ") and err.count("\n") == 1
    assert "settings.toml is not valid TOML" in err


def test_a_database_of_a_newer_version_is_one_sentence(penstock: Penstock, database_url: str, tmp_path: Path) -> None:
    owner = database_url.replace("//penstock@", "//postgres@")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("INSERT INTO penstock.schema_migrations VALUES (9999, 'later', 'x')")
    urls = {"PENSTOCK_DATABASE_URL": database_url, "PENSTOCK_DATABASE_OWNER_URL": owner}
    for command in ("up", "plain"):
        code, _, err = penstock(command, **urls, PENSTOCK_DAGSTER_DATABASE_URL=owner)
        said = [line for line in err.splitlines() if line.startswith("penstock: ")]
        assert (code, len(said), "Traceback" in err) == (1, 1, False)
        assert "the database is at migration 9999" in said[0] and said[0].endswith(": upgrade Penstock")


def test_a_database_folder_of_another_postgresql_is_one_sentence(penstock: Penstock, tmp_path: Path) -> None:
    data = tmp_path / "here" / "home" / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("99\n")
    code, _, err = penstock("plain")
    assert (code, err.count("\n"), "another version of PostgreSQL made its files: run the version" in err) == (
        1,
        1,
        True,
    )


def test_a_port_that_is_taken_is_one_sentence(penstock: Penstock, database_url: str) -> None:
    owner = database_url.replace("//penstock@", "//postgres@")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        urls = {"PENSTOCK_DATABASE_URL": database_url, "PENSTOCK_DATABASE_OWNER_URL": owner}
        code, _, err = penstock("up", **urls, PENSTOCK_DAGSTER_DATABASE_URL=owner, PENSTOCK_GATEWAY_PORT=port)
        _, out, _ = penstock("doctor", **urls, PENSTOCK_GATEWAY_PORT=port)
    last = err.splitlines()[-1]
    assert (code, "Traceback" in err) == (1, False)
    assert last.startswith(f"penstock: port {port} on 127.0.0.1 is in use: stop the program that uses it, or ")
    assert "give another to --port" in last
    assert re.search(rf"degraded +port {port} on 127\.0\.0\.1 is in use", out)


def test_a_misspelt_variable_is_warned_of_and_shown_by_doctor(penstock: Penstock) -> None:
    warning = "PENSTOCK_GATEWY_PORT is set, and nothing reads it; did you mean PENSTOCK_GATEWAY_PORT?"
    _, out, err = penstock("doctor", PENSTOCK_GATEWY_PORT="1")
    assert re.search(rf"^unread setting +degraded +{re.escape(warning)}$", out, re.MULTILINE)
    assert err.count(f"penstock: warning: {warning}\n") == 1


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", "there is too little memory"),
        ("initdb: error: could not write to file: No space left on device", "the disk is full"),
        ("FATAL:  could not create any Unix-domain sockets", "its file system has no Unix sockets"),
        ("FATAL:  lost my mind", "lost my mind; its log is"),
        ("", "it gave no reason that is known; its log is"),
    ],
)
def test_what_postgresql_says_becomes_a_sentence(said: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("FATAL:  of an earlier start: No space left on device\n")
    with pytest.raises(DatabaseNotStarted) as refused, explained(tmp_path):
        with (tmp_path / "log").open("a") as log:
            log.write(said + "\n")
        raise subprocess.CalledProcessError(1, "pg_ctl")
    assert f"the embedded database in {tmp_path} cannot be opened: {cause}" in str(refused.value)


def test_a_fault_far_down_is_found_and_a_bug_keeps_its_traceback() -> None:
    def wrapped(inner: BaseException) -> Exception:
        try:
            raise RuntimeError("something failed") from inner
        except RuntimeError as error:
            return error

    full = OSError(28, "No space left on device", "/data/x")
    assert sentence(wrapped(full)) == (
        "/data/x: the disk is full. Free some space; `penstock doctor` shows how much there is"
    )
    assert "too little memory" in str(sentence(wrapped(MemoryError())))
    assert "too little memory" in str(sentence(OSError(12, "Cannot allocate memory")))
    assert "read-only" in str(sentence(OSError(30, "Read-only file system", "/x")))
    assert sentence(wrapped(ValueError("a bug"))) is None
    assert sentence(FileNotFoundError(2, "No such file", "/x")) is None


def test_the_program_ends_with_that_sentence_or_with_the_traceback_of_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raising(error: Exception) -> Callable[..., None]:
        def run(**_: object) -> None:
            raise error

        return run

    monkeypatch.setattr(sys, "argv", ["penstock", "ledger"])
    monkeypatch.setattr("dagster_project.cli.app.app", raising(OSError(28, "No space left on device", "/data/x")))
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "penstock: /data/x: the disk is full. Free some space; `penstock doctor` shows how much there is"
    monkeypatch.setattr("dagster_project.cli.app.app", raising(ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        main()


def test_the_output_of_a_part_is_quoted_without_its_traceback() -> None:
    text = (
        'gateway ended during start-up:\nstarting\nTraceback (most recent call last):\n  File "a.py", line 1\n'
        "    f()\nMemoryError: no more\n(from /home/logs/gateway.log)"
    )
    assert without_traceback(text) == (
        "gateway ended during start-up:\nstarting\nMemoryError: no more\n(from /home/logs/gateway.log)"
    )
