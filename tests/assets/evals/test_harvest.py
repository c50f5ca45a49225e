"""Turning an accepted fix into a proposed case: the solver gets the state before, and the fix's tests are held back."""

import os
import subprocess
from datetime import date
from pathlib import Path

import pytest

from assets.evals.harvest.proposal import harvest, is_test
from assets.evals.sets.repair import CaseFields, check_case, load_case
from assets.evals.sets.set_files import EvalSetError
from core.git import GitError, Repository
from sandbox.protocol import Sandbox

FIELDS = CaseFields(
    id="pages-last-missing", bug_class="off-by-one", family="numeric", split="check", cluster="pages",
    expected="resolved", runner="pytest", layout="flat", test=("python", "-m", "pytest", "-q"),
    heldback=("python", "-m", "pytest", "-q"), created=date(2026, 1, 1),
)  # fmt: skip
BROKEN = "def pages(items, size):\n    return len(items) // size\n"
RIGHT = "def pages(items, size):\n    return -(-len(items) // size)\n"
SEEN = "from pages import pages\n\n\ndef test_a_rest_has_a_page():\n    assert pages([1, 2, 3], 2) == 2\n"
HIDDEN = SEEN + "\n\ndef test_nothing_has_none():\n    assert pages([], 2) == 0\n    assert pages([1], 9) == 1\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    root = tmp_path / "pages"
    (root / "tests").mkdir(parents=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_CONFIG_GLOBAL": os.devnull}

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(root), *who, *arguments], check=True, capture_output=True, env=env)

    git("init", "-q", "-b", "main")
    (root / "pages.py").write_text(BROKEN)
    (root / "conftest.py").write_text("")
    git("add", ".")
    git("commit", "-q", "-m", "Pages")
    (root / "pages.py").write_text(RIGHT)
    (root / "tests" / "test_rest.py").write_text(SEEN)
    (root / "tests" / "test_more.py").write_text(HIDDEN)
    git("add", ".")
    git("commit", "-q", "-m", "Count the last page")
    (root / "pages.py").write_text(RIGHT + "# more\n")
    git("commit", "-q", "-a", "-m", "No tests")
    return Repository(root)


def test_a_fix_becomes_a_sound_case(repository: Repository, tmp_path: Path, sandbox: Sandbox) -> None:
    folder = harvest(
        repository, "main~2", "main~1", FIELDS, "The last page is missing\n\nThree items make one page.",
        tmp_path / "new", visible=("tests/test_rest.py",),
    )  # fmt: skip
    case = load_case(folder)
    assert case.title == "The last page is missing"
    assert (case.repo / "pages.py").read_text() == BROKEN
    assert (case.repo / "tests" / "test_rest.py").is_file()
    assert [path.name for path in case.heldback.rglob("*.py")] == ["test_more.py"]
    assert "test_" not in case.fix
    assert not (case.repo / ".git").exists()
    assert check_case(case, sandbox) == []


@pytest.mark.parametrize(
    ("base", "fixed", "visible", "said"),
    [
        ("main~1", "main", (), "has no test that could be held back"),
        ("main~2", "main~1", ("tests/test_rest.py", "tests/test_more.py"), "has no test that could be held back"),
        ("main~2", "main~1", ("pages.py",), "is not a test changed by"),
        ("main", "main", (), "is not a fix"),
        ("nowhere", "main", (), "nowhere"),
    ],
)
def test_a_fix_that_makes_no_case_is_refused_and_leaves_no_folder(
    repository: Repository, tmp_path: Path, base: str, fixed: str, visible: tuple[str, ...], said: str
) -> None:
    with pytest.raises((EvalSetError, GitError), match=said):
        harvest(repository, base, fixed, FIELDS, "x", tmp_path / "new", visible=visible)
    assert not (tmp_path / "new" / FIELDS.id).exists()


def test_tests_are_recognised_by_their_names() -> None:
    for path in ("tests/helper.py", "test_a.py", "src/a/test/b.py", "a_test.py"):
        assert is_test(path)
    for path in ("a.py", "latest.py", "contest/a.py", "tests.md", "attest_b.py"):
        assert not is_test(path)
