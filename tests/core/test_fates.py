"""What became of a patch, told from real histories: merged, squashed, rebased, changed on its way, reverted."""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.git import Repository
from core.git.fates import Fate, fate_of

MARK = "Penstock-Task: 42"
PROGRAM = "".join(f"line {n}\n" for n in range(30))
BETTER = PROGRAM.replace("line 10\n", "line ten\n")


class Forge:
    """A repository in which a patch was published as a branch, and somebody goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write("program.txt", PROGRAM, "A start")
        self.base = self.git("rev-parse", "HEAD")
        self.repository = Repository(path)
        (path / "program.txt").write_text(BETTER)
        self.diff = self.git("diff", keep=True)
        self.git("checkout", "-q", "program.txt")
        message = f"Fix: ten\n\n{MARK}\n"
        author = ("Penstock", "penstock@localhost")
        self.repository.commit_patch(self.base, self.diff, "penstock/42", message, author, datetime.now(UTC))

    def git(self, *arguments: str, keep: bool = False) -> str:
        names = {f"GIT_{r}_{p}": "a@example.org" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")}
        environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_EDITOR": "true"}
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout if keep else done.stdout.strip()

    def write(self, name: str, text: str, message: str) -> str:
        (self.path / name).write_text(text)
        self.git("add", name)
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    @property
    def fate(self) -> Fate:
        head = self.git("rev-parse", "main")
        return fate_of(self.repository, base=self.base, head=head, diff=self.diff, marks=(MARK,)).fate


def _merge(forge: Forge) -> None:
    forge.git("merge", "-q", "--no-ff", "-m", "Merge it", "penstock/42")


def _fast_forward(forge: Forge) -> None:
    forge.git("merge", "-q", "--ff-only", "penstock/42")


def _squash(forge: Forge) -> None:
    forge.git("merge", "-q", "--squash", "penstock/42")
    forge.git("commit", "-q", "-m", "Ten is a word (#7)")


def _rebase(forge: Forge) -> None:
    forge.write("other.txt", "1\n", "Meanwhile")
    forge.git("cherry-pick", "penstock/42")


def _squash_with_more(forge: Forge) -> None:
    forge.git("merge", "-q", "--squash", "penstock/42")
    (forge.path / "program.txt").write_text(BETTER.replace("line 20\n", "line twenty\n"))
    forge.git("add", "program.txt")
    forge.git("commit", "-q", "-m", f"Ten and twenty\n\n{MARK}")


def _merge_with_another_commit(forge: Forge) -> None:
    forge.git("checkout", "-q", "penstock/42")
    forge.write("program.txt", BETTER.replace("line ten\n", "line TEN\n"), "Louder")
    forge.git("checkout", "-q", "main")
    _merge(forge)


def _revert(forge: Forge) -> None:
    _fast_forward(forge)
    forge.git("revert", "--no-edit", "HEAD")


def _revert_of_a_merge(forge: Forge) -> None:
    _merge(forge)
    forge.write("other.txt", "1\n", "Meanwhile")
    forge.git("revert", "--no-edit", "-m", "1", "HEAD~1")


def _revert_by_hand(forge: Forge) -> None:
    _squash(forge)
    forge.write("program.txt", PROGRAM, "Back to numbers")


def _revert_and_again(forge: Forge) -> None:
    _revert(forge)
    forge.git("revert", "--no-edit", "HEAD")


def _nothing(forge: Forge) -> None:
    forge.write("program.txt", PROGRAM.replace("line 25\n", ""), "Something else")


@pytest.mark.parametrize(
    ("happens", "fate"),
    [
        (lambda forge: None, Fate.OPEN),
        (_nothing, Fate.OPEN),
        (_merge, Fate.UNCHANGED),
        (_fast_forward, Fate.UNCHANGED),
        (_squash, Fate.UNCHANGED),
        (_rebase, Fate.UNCHANGED),
        (_squash_with_more, Fate.CHANGED),
        (_merge_with_another_commit, Fate.CHANGED),
        (_revert, Fate.REVERTED),
        (_revert_of_a_merge, Fate.REVERTED),
        (_revert_by_hand, Fate.REVERTED),
        (_revert_and_again, Fate.UNCHANGED),
    ],
)
def test_the_history_says_what_became_of_a_patch(tmp_path: Path, happens: Callable[[Forge], None], fate: Fate) -> None:
    forge = Forge(tmp_path / "repo")
    happens(forge)
    assert forge.fate is fate
