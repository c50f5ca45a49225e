"""`penstock model-proxy`: what it refuses to start with, and that the platform runs it where its file exists."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from core.models.config import ProxyConfigError
from core.settings import Settings
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from dagster_project.command_lines import children

OPEN = """
[access]
mode = "open"
[[backends]]
name = "a"
url = "http://127.0.0.1:9/v1"
kind = "openai"
model = "m"
"""


def _run(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str) -> Result:
    monkeypatch.setenv("PENSTOCK_HOME", str(home))
    return CliRunner().invoke(app, ["model-proxy", *arguments])


def test_check_shows_the_servers_and_starts_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model-proxy.toml").write_text(OPEN)
    result = _run(monkeypatch, tmp_path, "--check")
    assert result.exit_code == 0
    assert "http://127.0.0.1:9/v1" in result.stdout and "1 model servers, access: open" in result.stdout


def test_a_missing_file_says_where_it_belongs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = _run(monkeypatch, tmp_path).exception
    assert isinstance(error, ProxyConfigError) and str(tmp_path / "model-proxy.toml") in str(error)


def test_open_access_is_for_loopback_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model-proxy.toml").write_text(OPEN)
    error = _run(monkeypatch, tmp_path, "--host", "0.0.0.0").exception  # noqa: S104  it must be refused
    assert isinstance(error, CommandFailed) and "listen on loopback" in str(error)


def test_a_port_in_use_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model-proxy.toml").write_text(OPEN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = _run(monkeypatch, tmp_path, "--port", str(taken.getsockname()[1])).exception
    assert isinstance(error, CommandFailed) and "is the port in use?" in str(error)


def test_the_platform_runs_the_proxy_where_its_file_exists(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, model_proxy_port=8431)
    assert "model-proxy" not in [one.name for one in children(settings, "http://127.0.0.1:1", None)]
    (tmp_path / "model-proxy.toml").write_text(OPEN)
    assert "model-proxy" in [one.name for one in children(settings, "http://127.0.0.1:1", None)]
