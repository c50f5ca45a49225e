"""`penstock index` as a person uses it, with what a person gets wrong."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, Event
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed


class Shell:
    """Runs commands on the test's database. `said` is everything that went to standard error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""

    def run(self, *arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, arguments)
        self.said = result.stderr + (str(result.exception) if isinstance(result.exception, CommandFailed) else "")
        if result.exception and not isinstance(result.exception, CommandFailed | SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output + self.said
        return result.stdout

    def git(self, *arguments: str) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(
            ["git", "-C", str(self.folder), *who, *arguments],
            env=environment,
            check=True,
            timeout=600,
            capture_output=True,
        )

    def commit(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)
        self.git("add", ".")
        self.git("commit", "-q", "-m", f"change {name}")


@pytest.fixture
def shell(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for module in ("index", "source_errors"):
        monkeypatch.setattr(f"dagster_project.cli.{module}.opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_ALLOWED_ROOTS", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_EMBEDDING_MODEL", "hashing")
    made = Shell(tmp_path / "shop")
    made.folder.mkdir()
    made.git("init", "-q", "-b", "main")
    made.commit("cart.py", "def total(items):\n    return sum(items)\n")
    return made


def test_a_source_is_added_refreshed_shown_and_removed(shell: Shell, database: Database) -> None:
    assert json.loads(shell.run("index", "add", "Shop", str(shell.folder), "--json"))["files"] == 1
    shell.commit("poetry.lock", "x\n")
    PostgresLog(database).append([(CHANGES, Event(id="github:1", source="/github", type="x", subject="shop"))])
    (before,) = json.loads(shell.run("index", "status", "shop", "--json"))
    assert (before["state"], before["freshness"]["waiting"]) == ("behind", 1)
    shell.run("index", "status")
    assert ": 1 file, 1 chunk (" in shell.run("index", "refresh", "SHOP")
    assert "skipped poetry.lock: lock file" in shell.said
    (after,) = json.loads(shell.run("index", "status", "shop", "--json"))
    assert (after["state"], after["skipped_count"], after["freshness"]["waiting"]) == ("fresh", 1, 0)
    assert after["freshness"]["lag_seconds"] > 0
    (model,) = after["freshness"]["models"]
    assert model["lag_seconds"] > 0
    assert after["gate"]["checks"][0]["passed"] is True
    heading, row = shell.run("index", "status", "shop").splitlines()
    assert heading.split()[:3] == ["SOURCE", "STATE", "COMMIT"]
    assert row.split()[:2] == ["shop", "fresh"]
    assert "quality gate of shop#2: passed" in shell.said
    shell.run("index", "remove", "shop", code=1)
    assert "--yes" in shell.said
    assert json.loads(shell.run("index", "remove", "shop", "--yes", "--json")) == {"removed": "shop"}
    assert json.loads(shell.run("index", "status", "--json")) == []


def test_a_repository_that_fails_is_added_and_says_what_to_do(shell: Shell, tmp_path: Path) -> None:
    shell.run("index", "add", "far", "https://user:t0k3n@127.0.0.1:9/x.git", code=1)
    assert "was added, but could not be indexed" in shell.said
    assert "penstock index remove far" in shell.said
    assert "t0k3n" not in shell.said
    assert (tmp_path / "home" / "secrets" / "git-credentials").read_text() == "https://user:t0k3n@127.0.0.1:9/x.git\n"
    listed = shell.run("index", "status")
    assert listed.splitlines()[1].split()[:2] == ["far", "failing"]
    assert "t0k3n" not in listed + shell.said
    assert "the refresh failed once since" in shell.said
    shell.run("index", "refresh", "far", code=1)
    shell.run("index", "status", "far")
    assert "the refresh failed 2 times since" in shell.said
    shell.run("index", "add", "twin", "https://127.0.0.1:9/x.git", "--branch", "dev", "--no-refresh")
    shell.run("index", "remove", "far", "-y")
    assert "t0k3n" in (tmp_path / "home" / "secrets" / "git-credentials").read_text(), "the other one needs it"
    shell.run("index", "remove", "twin", "-y")
    assert (tmp_path / "home" / "secrets" / "git-credentials").read_text() == ""
    assert "credential was removed" in shell.said
    assert "t0k3n" not in shell.said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "a/b", "{repo}"], 1, "is not a valid source name"),
        (["add", "x", "{tmp}/nowhere"], 1, "not a git repository"),
        (["add", "x", "{tmp}"], 1, "not a git repository"),
        (["add", "x", "/"], 1, "outside the allowed roots"),
        (["add", "x", "http://example.org/x.git"], 1, "https or ssh URL"),
        (["add", "x", "ext::sh -c id"], 1, "https or ssh URL"),
        (["add", "x", "{repo}", "--branch", "--upload-pack=id"], 1, "not a valid branch name"),
        (["add", "x", "{repo}", "--branch", "nowhere"], 1, "no branch 'nowhere'"),
        (["add", "x", "{repo}", "--repository", "nobody"], 1, "owner/name"),
        (["add", "x"], 2, "DIR_OR_URL"),
        (["refresh", "nobody"], 1, "penstock index add"),
        (["refresh"], 2, "Missing argument"),
        (["status", "nobody"], 1, "no source 'nobody'"),
        (["remove", "nobody", "--yes"], 1, "no source 'nobody'"),
        (["status", "--nonsense"], 2, "--nonsense"),
    ],
)
def test_wrong_usage_is_reported(shell: Shell, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    shell.run("index", *(argument.format(repo=shell.folder, tmp=tmp_path) for argument in arguments), code=code)
    assert said in " ".join(shell.said.split())


def test_an_empty_repository_is_reported(shell: Shell, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "-q", str(empty)], check=True)
    shell.run("index", "add", "empty", str(empty), code=1)
    assert "no commits yet" in shell.said
    (found,) = json.loads(shell.run("index", "status", "--json"))
    assert (found["state"], found["commit"]) == ("failing", None)


def test_a_search_finds_places_or_files(shell: Shell) -> None:
    shell.commit("price.py", "".join(f"def total_{n}(items):\n    return items[{n}]\n\n\n" for n in range(8)))
    shell.run("index", "add", "shop", str(shell.folder))
    places = json.loads(shell.run("search", "shop", "total of items", "-k", "6", "--json"))
    assert len(places) == 6
    files = json.loads(shell.run("search", "shop", "total of items", "--files", "--json"))
    assert {file["path"] for file in files} == {"cart.py", "price.py"}
    best = files[0]
    assert (best["path"], best["symbol"]) == (places[0]["path"], places[0]["symbol"])
    assert best["end_line"] >= best["start_line"] >= 1
    assert best["why"][0]["detail"]
    row = shell.run("search", "shop", "total of items", "--files").splitlines()[1].split()
    assert row[:3] == [best["path"], f"{best['start_line']}-{best['end_line']}", best["symbol"]]
    shell.run("search", "shop", "total", "-k", "1000")
    shell.run("search", "shop", "total", "-k", "1001", code=2)
    assert "equal to 1000" in shell.said
