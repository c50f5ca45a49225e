"""`penstock doctor` and `penstock models list` show chat models and whether they answer."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.database import Database
from dagster_project.cli import models
from dagster_project.cli.app import app
from tests.chat_server import ChatServer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in (("HOME", tmp_path / "home"), ("MODELS", tmp_path / "models"), ("EMBEDDING_MODEL", "hashing")):
        monkeypatch.setenv(f"PENSTOCK_{name}", str(value))
    for name in ("CONFIG", "ENGINE", "CHAT_MODEL"):
        monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)
    server = ChatServer()
    for name, url in (("here", str(server.spec("ollama").url)), ("gone", "http://127.0.0.1:9")):
        (tmp_path / "models" / name).mkdir(parents=True)
        text = f'provider = "ollama"\nurl = "{url}"\nmodel = "scripted"\n'
        (tmp_path / "models" / name / "chat.toml").write_text(text)
    yield tmp_path
    server.stop()


def _doctor() -> tuple[dict[str, str], int]:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found: dict[str, Any] = json.loads(done.stdout)
    return {check["name"]: check["state"] for check in found["checks"]}, done.exit_code


def test_doctor_shows_which_models_answer_and_fails_only_for_the_one_that_tasks_need(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, before = _doctor()
    assert (states["chat model here"], states["chat model gone"]) == ("ok", "missing")
    monkeypatch.setenv("PENSTOCK_ENGINE", "model")
    assert _doctor()[0]["chat model"] == "missing"
    monkeypatch.setenv("PENSTOCK_CHAT_MODEL", "here")
    assert _doctor()[1] == before
    monkeypatch.setenv("PENSTOCK_CHAT_MODEL", "gone")
    assert _doctor()[1] == 1


def test_the_list_of_models_holds_chat_models_too(
    folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def opened() -> Iterator[Database]:
        yield database

    monkeypatch.setattr(models, "opened", opened)
    monkeypatch.setenv("PENSTOCK_CHAT_MODEL", "here")
    rows = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).stdout)
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("embedding", "hashing"), ("chat", "gone"), ("chat", "here"),
    ]  # fmt: skip
    assert [(row["answers"], row["default"]) for row in rows[1:]] == [(False, False), (True, True)]
    said = [line.split() for line in CliRunner().invoke(app, ["models", "list"]).stdout.splitlines()]
    assert ["here", "yes", "ollama", "default"] in [row[:4] for row in said]
    assert ["gone", "NO", "ollama"] in [row[:3] for row in said]
