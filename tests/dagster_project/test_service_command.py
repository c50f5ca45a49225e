"""The unit for systemd, how a service says that it is ready, and the logs of the parts."""

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.settings import Settings
from dagster_project.cli.app import app
from dagster_project.cli.log_files import _Tail, files
from dagster_project.cli.up import teller
from dagster_project.notify import notify
from dagster_project.systemd import unit


def test_the_unit_is_printed_for_this_home_and_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", "ghp_0123456789")
    done = CliRunner().invoke(app, ["service", "install", "--print", "--user"])
    assert done.exit_code == 0, done.output
    assert f'Environment="PENSTOCK_HOME={tmp_path}"' in done.stdout
    assert "ghp_" not in done.stdout
    assert "WantedBy=default.target" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("system", [True, False])
def test_systemd_accepts_the_unit_with_any_path(system: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a 100% $HOME folder; x"
    folder.mkdir()
    python = folder / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    file = tmp_path / "penstock.service"
    text = unit(python, {"PENSTOCK_HOME": f'{folder}"quoted" \\x'}, system=system)
    assert text.count("100%% $HOME") == 2
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_systemd_would_read_as_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quote"):
        unit(tmp_path / 'a"b', {}, system=True)
    with pytest.raises(ValueError, match="line break"):
        unit(tmp_path, {"PENSTOCK_HOME": "/a\nExecStartPre=/bin/evil"}, system=True)


def test_a_service_says_that_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(place))
        receiver.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(place))
        notify("READY=1")
        assert receiver.recv(100) == b"READY=1"
    for nobody in ("", str(place), "nonsense", "/missing"):
        monkeypatch.setenv("NOTIFY_SOCKET", nobody)
        notify("STOPPING=1")


def test_the_supervisors_lines_are_shown_and_kept_with_their_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs" / "up.log"
    teller(log)("gateway is up")
    assert capsys.readouterr().err == "gateway is up\n"
    moment, _, text = log.read_text().partition(" gateway")
    assert time.strptime(moment, "%Y-%m-%d %H:%M:%S")
    assert text == " is up\n"


def test_logs_are_shown_by_part_and_what_others_sent_cannot_steer_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "gateway.log").write_bytes(b"".join(b"line %d\n" % n for n in range(50)) + b"\x1b[2Jred\xff\n")
    (folder / "daemon.log").write_text("one\n")

    def shown(*arguments: str) -> list[str]:
        done = CliRunner().invoke(app, ["logs", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    assert shown("gateway", "-n", "2") == ["line 49", "[2Jred\ufffd"]
    assert shown("-n", "1") == ["daemon       one", "gateway      [2Jred\ufffd"]
    assert shown("daemon", "-n", "0") == []
    assert "there is no log of '../x'" in str(CliRunner().invoke(app, ["logs", "../x"]).exception)
    assert sorted(files(Settings(home=tmp_path))) == ["daemon", "gateway"]


def test_a_log_is_followed_when_it_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\nbefore\nhalf")
    tail = _Tail("", path)
    tail.last(1)
    tail.more()
    with path.open("a") as file:
        file.write(" whole\nlast of the old\n")
    path.replace(tmp_path / "a.log.1")
    path.write_text("first of the new\n")
    tail.more()
    assert capsys.readouterr().out.splitlines() == ["before", "half whole", "last of the old", "first of the new"]


def test_following_shows_what_is_added(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "gateway.log"
    log.write_text("first\n")
    process = subprocess.Popen(
        [os.sys.executable, "-m", "penstock", "logs", "gateway", "-f"],
        env={**os.environ, "PENSTOCK_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    killer = threading.Timer(60, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        with log.open("a") as file:
            file.write("second\n")
        assert process.stdout.readline() == "second\n"
        process.terminate()
        process.communicate()
    finally:
        killer.cancel()
        process.kill()
