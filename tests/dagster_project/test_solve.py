"""`penstock solve` and wrong use of the command line, run as a person runs them, with a real sandbox."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import backends

PENSTOCK = str(Path(sys.executable).with_name("penstock"))

SOURCE = '''"""Pages of a catalogue."""


def page_count(items, size):
    """How many pages it takes to show all items."""
    return items // size


def page(items, number, size):
    """The items of page `number`, counted from 1."""
    start = (number - 1) * size
    return items[start : start + size]
'''
TESTS = """from catalogue import page, page_count


def test_full_pages():
    assert page_count(20, 10) == 2


def test_a_rest_needs_a_page_of_its_own():
    assert page_count(21, 10) == 3
    assert page_count(1, 10) == 1


def test_nothing_needs_no_page():
    assert page_count(0, 10) == 0


def test_second_page():
    assert page([1, 2, 3], 2, 2) == [3]
"""
ISSUE = """The last page is missing

`page_count(21, 10)` says 2, so the last item is never shown. I expect 3.
"""


def _git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=600).stdout


def _repository(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir()
    _git(folder, "init", "-q", "-b", "main")
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "A start")
    return folder


@pytest.fixture
def run(tmp_path: Path):  # type: ignore[no-untyped-def]
    if all(backend.available() for backend in backends()):
        if os.environ.get("CI") == "true":
            pytest.fail("no sandbox backend works here")
        pytest.skip("no sandbox backend works here: `penstock doctor` says what to install")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    environment["COLUMNS"] = "400"  # messages are not broken into lines
    environment |= {"PENSTOCK_HOME": str(tmp_path / "home"), "PENSTOCK_ALLOWED_ROOTS": str(tmp_path / "allowed")}
    unanswered = socket.socket()
    unanswered.bind(("127.0.0.1", 0))  # taken, so that nobody else answers there
    environment["PENSTOCK_GATEWAY_PORT"] = str(unanswered.getsockname()[1])

    def penstock(*arguments: str, code: int | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PENSTOCK, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    with unanswered:
        yield penstock


def _issue(tmp_path: Path, text: str = ISSUE) -> str:
    path = tmp_path / "issue.md"
    path.write_text(text)
    return str(path)


def test_a_failing_test_and_an_issue_become_a_branch(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE, test_catalogue_py=TESTS)
    (repo / "catalogue.py").write_text("half an edit (")
    (repo / "notes.txt").write_text("mine")
    before = (_git(repo, "status", "--porcelain"), _git(repo, "rev-parse", "HEAD"))

    done = run("solve", "--repo", str(repo), "--issue", _issue(tmp_path), "--json", "--budget-seconds", "60", code=0)

    result = json.loads(done.stdout)
    assert result["status"] == "resolved"
    assert result["branch"] == f"penstock/{result['task']}"
    assert result["candidates"] >= 1
    verdict = result["evidence"]["verdict"]
    assert (verdict["verdict"], verdict["reasons"]) == ("pass", []) and verdict["proof"]
    assert (
        _git(repo, "diff", "--no-color", "main", result["branch"]).splitlines()[-8:]
        == result["patch"].splitlines()[-8:]
    )
    message = _git(repo, "log", "-1", "--format=%B", result["branch"])
    assert f"Penstock-Task: {result['task']}" in message
    assert "test_a_rest_needs_a_page_of_its_own: failed -> passed" in message
    assert (_git(repo, "status", "--porcelain"), _git(repo, "rev-parse", "HEAD")) == before
    assert (repo / "catalogue.py").read_text() == "half an edit ("


def test_a_patch_that_cannot_be_published_is_not_lost(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE, test_catalogue_py=TESTS)
    _git(repo, "branch", "penstock")  # git cannot make penstock/… beside it
    issue = _issue(tmp_path)
    done = run("solve", "--repo", str(repo), "--issue", issue, "--json", "--budget-seconds", "60", code=1)
    result = json.loads(done.stdout)
    assert (result["status"], result["branch"]) == ("failed", None)
    assert "penstock" in result["not_published"]
    assert result["patch"] == Path(result["patch_file"]).read_text()
    _git(repo, "apply", result["patch_file"])
    report = Path(result["trajectory"]).with_name("report.md").read_text()
    assert "**Not published**" in report and "+++ b/catalogue.py" in report
    shown = run("solve", "--repo", str(repo), "--issue", issue, "--budget-seconds", "60", code=1).stdout
    assert "patch:      not published: " in shown


def test_a_repository_without_tests_is_reported(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE)
    done = run("solve", "--repo", str(repo), "--issue", _issue(tmp_path), "--json", code=1)
    result = json.loads(done.stdout)
    assert (result["status"], result["branch"], result["patch"]) == ("unresolved", None, None)
    assert "no tests" in result["evidence"]["summary"].lower()
    assert _git(repo, "branch", "--list", "penstock/*") == ""


def test_tests_that_hang_end_within_the_budget(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    hangs = TESTS + "\n\ndef test_waits():\n    while True:\n        pass\n"
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE, test_catalogue_py=hangs)
    done = run("solve", "--repo", str(repo), "--issue", _issue(tmp_path), "--json", "--budget-seconds", "25")
    result = json.loads(done.stdout)
    assert 0 < result["seconds"] < 600
    assert result["status"] in ("resolved", "unresolved")
    assert any(test.endswith("test_waits") for test in result["evidence"]["before"]["outcomes"])
    assert not any(test.endswith("test_waits") for test in result["evidence"]["target_tests"])


def test_tests_that_fail_for_another_reason_publish_nothing(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    other = "import a_library_that_is_nowhere\n\n\ndef test_it():\n    assert a_library_that_is_nowhere\n"
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE, test_other_py=other)
    done = run("solve", "--repo", str(repo), "--issue", _issue(tmp_path), "--json", "--budget-seconds", "15", code=1)
    result = json.loads(done.stdout)
    assert (result["status"], result["branch"]) == ("unresolved", None)
    assert _git(repo, "branch", "--list", "penstock/*") == ""


def test_a_file_that_is_not_utf8_is_not_changed(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    repo = _repository(
        tmp_path / "repo", catalogue_py=SOURCE, test_catalogue_py=TESTS, latin_py=b"# caf\xe9\nNAME = 'caf\xe9'\n"
    )
    done = run("solve", "--repo", str(repo), "--issue", _issue(tmp_path), "--json", "--budget-seconds", "60", code=0)
    assert json.loads(done.stdout)["status"] == "resolved"


def test_any_test_command_can_decide(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    check = (
        "from catalogue import page_count\n"
        "raise SystemExit(0 if page_count(21, 10) == 3 and page_count(0, 5) == 0 else 1)\n"
    )
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE, check_py=check)
    done = run(
        "solve", "--repo", str(repo), "--issue", _issue(tmp_path), "--test", "python check.py", "--json",
        "--budget-seconds", "90",
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert result["status"] == "resolved"
    assert result["evidence"]["changed_paths"] == ["catalogue.py"], "the judge itself is never bent"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["solve", "--repo", "{tmp}/nowhere", "--issue", "{issue}"], 2, "nowhere"),
        (["solve", "--repo", "{tmp}", "--issue", "{issue}"], 1, "not a git repository"),
        (["solve", "--repo", "{repo}", "--issue", "{tmp}/none.md"], 2, "none.md"),
        (["solve", "--repo", "{repo}", "--issue", "{issue}", "--engine", "oracle"], 2, "oracle"),
        (["solve", "--repo", "{repo}", "--issue", "{empty}"], 1, "is empty"),
        (["solve", "--repo", "{repo}"], 2, "--issue"),
        (["index", "add", "x", "{repo}"], 1, "outside the allowed roots"),
        (["index", "add", "Not A Name", "{repo}"], 1, "is not a valid source name"),
        (["index", "refresh", "nobody"], 1, "nobody"),
        (["search", "nobody", "anything"], 1, "nobody"),
        (["task", "show", "xyz"], 2, "xyz"),
        (["task", "show", "0123"], 1, "no task"),
        (["task", "retry", "00000000-0000-0000-0000-000000000009"], 1, "no task"),
        (["send", "{issue}", "--source", "pigeon"], 2, "pigeon"),
        (["send", "{issue}"], 1, "no gateway answers"),
    ],
)
def test_the_error_about_wrong_usage_says_what_is_wrong(
    run, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:  # type: ignore[no-untyped-def]
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE)
    (tmp_path / "empty.md").write_text(" \n")
    places = {"tmp": tmp_path, "repo": repo, "issue": _issue(tmp_path), "empty": tmp_path / "empty.md"}
    done = run(*(argument.format(**places) for argument in arguments), code=code)
    assert said in " ".join((done.stderr + done.stdout).split())
    assert done.stdout == "" or "--json" not in arguments


def test_a_missing_embedding_model_is_named(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    repo = _repository(tmp_path / "repo", catalogue_py=SOURCE)
    settings = tmp_path / "home" / "settings.toml"
    settings.parent.mkdir()
    settings.write_text('embedding_model = "nope"')
    assert "no embedding model 'nope'" in run("solve", "--repo", str(repo), "--issue", _issue(tmp_path), code=1).stderr


def test_a_broken_settings_file_is_named(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text("slotz = 1")
    assert "slotz" in run("task", "list", code=1).stderr


def test_doctor_lists_settings_with_their_origin(run) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run("doctor", "--json").stdout)
    rows = {row["name"]: row for row in found["settings"]}
    assert rows["home"]["origin"] == "environment PENSTOCK_HOME"
    assert any(check["name"].startswith("sandbox") for check in found["checks"])
