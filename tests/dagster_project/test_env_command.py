"""`penstock env` on a repository and a cache of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dagster_project.cli.app import app
from sandbox.environments.store import Store

GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org", "PATH": "/usr/bin:/bin"}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))


def repository(tmp_path: Path, files: dict[str, str]) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    for path, text in files.items():
        (root / path).write_text(text)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run(["git", *command], cwd=root, env=GIT, check=True)
    return root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["env", *arguments])


def result(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_explain_names_each_requirement_with_its_file_and_fetches_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path, {"requirements.txt": "no-such-thing>=1\n", "tox.ini": "[testenv]\ndeps = other\n"})
    found = result("explain", "--repo", str(root))
    assert found["requirements"] == [
        {"requirement": "no-such-thing>=1", "declared_in": "requirements.txt (line 1)", "group": "requirements.txt"},
        {"requirement": "other", "declared_in": "tox.ini ([testenv] deps)", "group": "tox"},
    ]
    assert "no-such-thing>=1" in run("explain", "--repo", str(root)).output


def test_explain_says_when_nothing_is_declared(tmp_path: Path) -> None:
    root = repository(tmp_path, {"app.py": ""})
    assert result("explain", "--repo", str(root)) is None
    assert "declares nothing" in run("explain", "--repo", str(root)).output


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    root = repository(tmp_path, {"requirements.txt": "-e ../other\n"})
    done = run("explain", "--repo", str(root))
    assert done.exit_code == 1
    assert "outside the repository" in str(done.exception)
    assert "\n" not in str(done.exception)


def test_settings_that_are_not_committed_are_said_not_to_count(tmp_path: Path) -> None:
    root = repository(tmp_path, {"app.py": "", "penstock.toml": ""})
    assert "not committed" not in run("explain", "--repo", str(root)).output
    (root / "penstock.toml").write_text("[environment]\npython = '3.99'\n")
    done = run("explain", "--repo", str(root))
    assert done.exit_code == 0
    assert "penstock.toml has changes that are not committed" in done.output


def test_show_and_prune_know_what_is_in_the_cache(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache" / "environments", 1 << 30)
    with store.making("abc123", 5) as made:
        assert isinstance(made, Path)
        (made / "log.txt").write_text("what was built")
        store.publish("abc123", made, {"scope": "mine@main", "python": "3.11.2", "packages": ["a==1"]})
    assert [row["key"] for row in result("show")] == ["abc123"]
    shown = run("show", "abc").output
    assert "a==1" in shown
    assert "what was built" in shown
    assert run("show", "zzz").exit_code == 1
    assert result("prune") == []
    assert result("prune", "--all") == ["abc123"]
    assert result("show") == []
