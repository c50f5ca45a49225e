"""`penstock env` on a repository and a cache of its own."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dagster_project.cli.app import KNOWN, app
from sandbox.environments.languages import Needs
from sandbox.environments.languages.go import Go
from sandbox.environments.store import Store
from sandbox.environments.wanted import EnvironmentRefused

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


def test_explain_shows_how_the_tests_are_run(tmp_path: Path) -> None:
    files = {"requirements.txt": "iniconfig\n", "test_a.py": ""}
    assert result("explain", "--repo", str(repository(tmp_path, files)))["tests"] == "python -m pytest"


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


def test_services_are_explained_prepared_and_shown_by_name_and_version(tmp_path: Path) -> None:
    root = repository(tmp_path, {
        "penstock.toml": "[environment]\nservices = ['postgresql']\n",
        "compose.yml": "services: {cache: {image: 'redis:7'}, db: {image: 'postgres:1'}}\n",
        "test_it.py": "import os\ndef test_it():\n    assert os.environ['PGDATABASE'] == 'postgres'\n",
    })  # fmt: skip
    found = result("explain", "--repo", str(root))
    assert [label.split(" ")[0] for label in found["services"]] == ["PostgreSQL"]
    assert [note for note in found["notes"] if "postgres:1" in note] == []  # declared already
    assert "compose.yml starts redis:7, which is not started here" in run("explain", "--repo", str(root)).output
    assert result("show") == []
    made = result("build", "--repo", str(root))
    assert made["services"] == found["services"]
    assert [row["services"] for row in result("show")] == [found["services"]]
    assert f"services:  {found['services'][0]}" in run("test", "--repo", str(root)).output
    assert found["services"][0] in run("show").output
    assert json.loads(run("test", "--repo", str(root), "--json").stdout)["services"] == found["services"]


GO = {
    "go.mod": "module example.com/sums\n\ngo 1.18\n",
    "sums.go": "package sums\n\nfunc Add(a, b int) int { return a - b }\n",
    "sums_test.go": 'package sums\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(1, 2) != 3 {\n'
    '\t\tt.Fatal("wrong sum")\n\t}\n}\n',
}


@pytest.fixture
def go(tmp_path: Path, shared_cache: Path) -> Path:
    try:
        Go().toolchain(Needs("go", "go test", ("",), ("go.mod",)))
    except EnvironmentRefused as refused:
        if os.environ.get("CI") == "true":
            pytest.fail(str(refused))
        pytest.skip(str(refused))
    (shared_cache / "environments").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "environments").symlink_to(shared_cache / "environments")
    return repository(tmp_path, GO)


def test_explain_names_the_language_and_its_tools(go: Path) -> None:
    found = result("explain", "--repo", str(go))
    assert (found["language"], found["wanted"], found["wanted_by"]) == ("go", "1.18", "go.mod")
    assert found["projects"] == ["."]
    assert "runner:    go test" in run("explain", "--repo", str(go)).output


def test_the_tests_of_another_language_are_run_and_named(go: Path) -> None:
    made = result("build", "--repo", str(go))
    assert made["language"] == "go"
    assert made["toolchain"].startswith("1.")
    assert made["key"] in [row["key"] for row in result("show")]
    done = run("test", "--repo", str(go))
    assert done.exit_code == 1
    assert "failed  sums_test.go::TestAdd (sums_test.go:7)" in done.output
    assert "wrong sum" in done.output
    assert "\n1 failed in " in done.output, "building is no test"
    found = json.loads(run("test", "--repo", str(go), "--json").stdout)
    assert found["places"]["sums_test.go::TestAdd"] == {"path": "sums_test.go", "line": 7}
    assert found["packages"]["cached"] is True


def test_the_tests_of_a_python_repository_are_run(tmp_path: Path) -> None:
    root = repository(tmp_path, {"test_it.py": "def test_it():\n    assert 1 == 1\n"})
    done = run("test", "--repo", str(root))
    assert done.exit_code == 0, done.output
    assert "1 passed" in done.output


def test_a_repository_without_tests_says_where_they_were_looked_for(tmp_path: Path) -> None:
    done = run("test", "--repo", str(repository(tmp_path, {"app.py": ""})))
    assert done.exit_code != 0
    assert "no tests found" in str(done.exception)


def test_errors_that_are_one_line_are_told_without_importing_anything() -> None:
    for known in KNOWN:
        module, _, kind = known.partition(":")
        assert issubclass(getattr(importlib.import_module(module), kind), Exception)
    code = ("import sys; sys.argv = ['penstock', 'env', 'show', 'nothing']\n"
            "from dagster_project.cli.app import main\n"
            "try: main()\n"
            "except SystemExit as end: sys.exit(int('dagster' in sys.modules) * 10 + int(end.code))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("penstock: 0 environments")
