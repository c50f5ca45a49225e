"""`penstock eval harvest --task`: from the store of the platform to a case that a person reviews."""

import contextlib
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.context.indexing.refresh import mirror_path
from assets.context.source.sources import find_source
from assets.evals.sets.additions import add_case
from assets.evals.sets.eval_set import load_set
from assets.evals.sets.repair import check_case, load_case
from assets.evals.sets.set_checks import check_set
from assets.evals.sets.set_files import EvalSetError
from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.states import TaskState
from core.work import Evidence, Execution, GateCheck, Patch, Verdict, VerdictKind
from dagster_project.cli import task as work
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from sandbox.protocol import Sandbox

BROKEN = "def pages(items, size):\n    return len(items) // size\n"
RIGHT = "def pages(items, size):\n    return -(-len(items) // size)\n"
TESTS = """from pages import pages


class TestPages:
    def test_a_rest_has_a_page(self):
        assert pages([1, 2, 3], 2) == 2

    def test_one_is_a_page(self):
        assert pages([1], 9) == 1


def test_none_has_none():
    assert pages([], 2) == 0
"""
FAILING = (
    "tests/test_pages.py::TestPages::test_a_rest_has_a_page",
    "tests/test_pages.py::TestPages::test_one_is_a_page",
)


def _git(root: Path, *arguments: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_CONFIG_GLOBAL": os.devnull}
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", "-C", str(root), *who, *arguments], check=True, capture_output=True, env=env)
    return done.stdout.decode()


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    @contextlib.contextmanager
    def opened() -> Iterator[Database]:
        yield database

    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setattr(work, "opened", opened)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["eval", *arguments])

    return run


@pytest.fixture
def resolved(database: Database, tmp_path: Path) -> Callable[..., uuid.UUID]:
    """A task that the platform resolved, with its mirror, execution, patch and verdict."""
    root = tmp_path / "work"
    (root / "tests").mkdir(parents=True)
    (root / "pages.py").write_text(BROKEN)
    (root / "conftest.py").write_text("")
    (root / "tests" / "test_pages.py").write_text(TESTS)
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", ".")
    _git(root, "commit", "-q", "-m", "Pages")
    base = _git(root, "rev-parse", "HEAD").strip()
    (root / "pages.py").write_text(RIGHT)
    diff = _git(root, "diff")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', %s)", (DEFAULT_TEAM, str(root))
        )
    mirror = mirror_path(tmp_path / "mirrors", find_source(database, DEFAULT_TEAM, "shop"))
    mirror.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--mirror", str(root), str(mirror)], check=True, capture_output=True)

    def make(failing: tuple[str, ...] = FAILING, *, close: bool = True) -> uuid.UUID:
        log = PostgresLog(database)
        request = tasks.request_event(
            DEFAULT_TEAM, f"github:{uuid.uuid4()}", "/github", "shop", title="A page is missing"
        )
        with database.team(DEFAULT_TEAM) as connection:
            task = tasks.create_task(
                connection, log, event=request, source="shop", title="A page is missing", body="Three items, one page."
            )
        attempt = Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run", seconds=30, max_claims=3)
        patch = Patch(base_commit=base, diff=diff)
        evidence = Evidence(sandbox="none", reproduction="tests", target_tests=failing)
        attempt.put_output(
            "execution", Execution(engine="search", patch=patch, evidence=evidence, summary="", seconds=1.0), 1.0
        )
        check = GateCheck(name="applies", passed=True, detail="")
        if close:
            with attempt.fenced() as connection:
                verdict = Verdict(verdict=VerdictKind.PASS, patch_sha256=patch.sha256, checks=(check,))
                attempt.save_verdict(connection, verdict, patch)
                attempt.close(connection, TaskState.RESOLVED, "done", {})
        return task

    return make


def _ask(penstock: Callable[..., Any], task: uuid.UUID, out: Path, *more: str) -> Any:
    return penstock(
        "harvest", "repair", "missing-page", "--task", str(task), "--bug-class", "off-by-one", "--family", "numeric",
        "--out", str(out), *more,
    )  # fmt: skip


def test_a_resolved_task_becomes_a_sound_case_that_counts_once_it_is_reviewed(
    penstock: Callable[..., Any], resolved: Callable[..., uuid.UUID], tmp_path: Path, sandbox: Sandbox
) -> None:
    task = resolved()
    done = _ask(penstock, task, tmp_path / "new")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "new" / "missing-page"
    case = load_case(folder)
    assert (case.title, case.body) == ("A page is missing", "Three items, one page.")
    assert (case.repo / "pages.py").read_text() == BROKEN
    assert case.fix.count("+    return -(-len(items)") == 1
    seen = (case.repo / "tests" / "test_pages.py").read_text()
    assert "test_a_rest_has_a_page" in seen
    assert "test_none_has_none" in seen
    assert "test_one_is_a_page" not in seen
    assert [path.name for path in case.heldback.rglob("*.py")] == ["test_pages_heldback.py"]
    assert check_case(case, sandbox) == []
    assert f"task {task}" in (folder / "review.md").read_text()

    root = tmp_path / "mine"
    (root / "cases").mkdir(parents=True)
    known = load_set(Path(__file__).parents[2] / "eval_sets" / "repair").root
    for part in ("set.json", "card.md"):
        (root / part).write_text((known / part).read_text())
    (root / "version").write_text("0.1.0\n")
    first = next(path for path in sorted((known / "cases").iterdir()))
    subprocess.run(["cp", "-r", str(first), str(root / "cases")], check=True)
    from assets.evals.sets.eval_set import seal

    seal(root)
    with pytest.raises(EvalSetError, match=r"not reviewed yet: read .*review\.md"):
        add_case(root, folder)
    with (folder / "review.md").open("a") as page:
        page.write(" Ada\n")
    grown = add_case(root, folder)
    assert (grown.version, len(grown.cases)) == ("0.2.0", 2)
    assert check_set(grown).problems == ()


@pytest.mark.parametrize(
    ("failing", "close", "said"),
    [
        (FAILING[:1], True, "has 1 recorded failing tests; at least 2 are needed"),
        ((), True, "has no recorded failing test"),
        (("../../etc/passwd::a", "b.py::c"), True, "is not a file of the repository"),
        (FAILING, False, "is running: only a resolved task"),
    ],
)
def test_an_unsuitable_fix_is_refused_and_leaves_nothing(
    penstock: Callable[..., Any], resolved: Callable[..., uuid.UUID], tmp_path: Path,
    failing: tuple[str, ...], close: bool, said: str,
) -> None:  # fmt: skip
    done = _ask(penstock, resolved(failing, close=close), tmp_path / "new")
    assert isinstance(done.exception, CommandFailed)
    assert said in str(done.exception)
    assert not (tmp_path / "new" / "missing-page").exists()


def test_a_task_and_a_repository_cannot_be_given_together(
    penstock: Callable[..., Any], resolved: Callable[..., uuid.UUID], tmp_path: Path
) -> None:
    assert _ask(penstock, resolved(), tmp_path / "new", "--repo", str(tmp_path)).exit_code == 2
    assert penstock("harvest", "repair", "x", "--bug-class", "a", "--family", "numeric").exit_code == 2
