"""Sets of repair cases: what a case is, reading a set, and judging a patch by tests that its author never saw.

A case is a folder with `repo/` (what the solver receives), `heldback/` (tests that are copied over the repository only
once a patch exists), `issue.md`, `fix.patch`, `case.json` and, where there is one, `wrong.patch`. All code of a case
runs in the sandbox. Not for solving cases.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.git import command
from sandbox.protocol import Sandbox

from .set_files import EvalSetError, parse, read_text
from .suite_runs import SuiteRun, run_native_tests, run_tests

Split = Literal["dev", "check"]
SPLITS: tuple[Split, ...] = ("dev", "check")

QUOTED_LINE = 24
"""Characters. Shorter lines of a fix (`return None`) occur in many texts by chance."""


class CaseFields(BaseModel):
    """The content of `case.json`. A set's `schema.json` is this model's JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    bug_class: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    family: Literal["condition", "numeric", "call", "data", "state", "flow", "guard", "text", "out-of-reach"]
    split: Split
    cluster: str
    """Cases of one project share a cluster; a cluster may have cases in both splits."""
    expected: Literal["resolved", "unresolved"]
    """`unresolved` if no small edit is a right fix, so that the right answer is to publish none."""
    language: Literal["python", "go", "javascript"] = "python"
    runner: Literal["pytest", "unittest", "go test", "node:test"]
    layout: Literal["flat", "src"]
    test: tuple[str, ...] = Field(min_length=1)
    """The command that runs the visible tests in the repository's root; `python` means the sandbox's interpreter,
    `go` and `node` those of this machine."""
    heldback: tuple[str, ...] = Field(min_length=1)
    """The command that runs the held-back tests once they are copied over the repository."""
    tags: tuple[str, ...] = ()
    created: date


@dataclass(frozen=True)
class RepairCase:
    """One case. `folder` holds its files; `fields` is its `case.json`, `issue` and `fix` are the texts of its files.
    `wrong` is a patch that the visible tests accept and the held-back ones refuse, where the case has one."""

    folder: Path
    fields: CaseFields
    issue: str
    fix: str
    wrong: str | None = None

    @property
    def id(self) -> str:
        return self.fields.id

    @property
    def title(self) -> str:
        return self.issue.partition("\n")[0].lstrip("# ").strip()

    @property
    def body(self) -> str:
        return self.issue.partition("\n")[2].strip()

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def heldback(self) -> Path:
        return self.folder / "heldback"


@dataclass(frozen=True)
class Judgement:
    """How a patch did. It is `plausible` if the visible tests pass, and `correct` if the held-back ones pass too."""

    applies: bool
    visible: SuiteRun | None
    heldback: SuiteRun | None

    @property
    def plausible(self) -> bool:
        return self.applies and self.visible is not None and self.visible.passed

    @property
    def correct(self) -> bool:
        return self.plausible and self.heldback is not None and self.heldback.passed


def load_cases(root: Path, split: str = "all") -> list[RepairCase]:
    """The cases of a set, by id. Raises `EvalSetError` naming the file, or for a split that does not exist."""
    if split not in (*SPLITS, "all"):
        raise EvalSetError(f"{root} has no split {split!r}: choose dev, check or all")
    folders = sorted(path for path in (root / "cases").glob("*") if path.is_dir())
    if not folders:
        raise EvalSetError(f"{root / 'cases'}: no cases there; give the folder that holds cases/")
    cases = [load_case(folder) for folder in folders]
    return [case for case in cases if split in ("all", case.fields.split)]


def load_case(folder: Path) -> RepairCase:
    """One case from its folder. Raises `EvalSetError` naming the file."""
    for part in ("repo", "heldback"):
        if not (folder / part).is_dir():
            raise EvalSetError(f"{folder / part}: missing")
    path = folder / "case.json"
    fields = parse(CaseFields, read_text(path), str(path))
    if fields.id != folder.name:
        raise EvalSetError(f"{path}: id {fields.id!r} is not the folder's name")
    wrong = read_text(folder / "wrong.patch") if (folder / "wrong.patch").exists() else None
    return RepairCase(folder, fields, read_text(folder / "issue.md"), read_text(folder / "fix.patch"), wrong)


def schema() -> str:
    """The text of a set's `schema.json`."""
    return json.dumps(CaseFields.model_json_schema(), indent=2) + "\n"


def quoted_line(issue: str, fix: str) -> str:
    """The first line added by the fix that the issue quotes, ignoring white space; empty if it quotes none."""
    text = " ".join(issue.split())
    added = (" ".join(line[1:].split()) for line in fix.splitlines() if line.startswith("+") and line[:3] != "+++")
    return next((line for line in added if len(line) >= QUOTED_LINE and line in text), "")


@contextlib.contextmanager
def checkout(case: RepairCase, patch: str | None = None, *, heldback: bool = False) -> Iterator[Path]:
    """A scratch copy of the case's repository, patched, and with the held-back tests copied over it if `heldback`.

    Held-back files overwrite those of the patch, so a patch cannot replace the tests that judge it. Raises
    `core.git.GitError` if the patch does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-case-") as scratch:
        root = Path(scratch) / "repo"
        shutil.copytree(case.repo, root, ignore=shutil.ignore_patterns("__pycache__"))
        if patch is not None:
            apply(root, patch)
        if heldback:
            shutil.copytree(case.heldback, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        yield root


def apply(root: Path, patch: str) -> None:
    """Applies a unified diff to a folder. Raises `core.git.GitError` with git's message."""
    # Without the ceiling, git would find a repository that contains the folder and skip every path.
    environment = command.environment(extra={"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)})
    arguments = ["-C", str(root), "apply", "--whitespace=nowarn", "-"]
    command.run(arguments, purpose="apply a patch", where=root, env=environment, data=patch.encode())


def run_suite(case: RepairCase, root: Path, argv: tuple[str, ...], sandbox: Sandbox, cache: Path | None) -> SuiteRun:
    """Runs a test command of a case on a copy of `root`. Raises `CaseNotRunnable` and `SandboxUnavailable`."""
    if case.fields.language == "python":
        return run_tests(root, argv, sandbox)
    return run_native_tests(case.fields.language, root, argv, sandbox, cache)


def judge_patch(case: RepairCase, patch: str, sandbox: Sandbox, cache: Path | None = None) -> Judgement:
    """Runs the visible and the held-back tests on the patched repository, each in a fresh sandbox session. `cache` is
    Penstock's, for toolchains of other languages than Python. Raises `CaseNotRunnable` and `SandboxUnavailable`."""
    try:
        with checkout(case, patch) as root:
            visible = run_suite(case, root, case.fields.test, sandbox, cache)
        with checkout(case, patch, heldback=True) as root:
            heldback = run_suite(case, root, case.fields.heldback, sandbox, cache)
    except command.GitError:
        return Judgement(False, None, None)
    return Judgement(True, visible, heldback)


def check_case(case: RepairCase, sandbox: Sandbox, cache: Path | None = None) -> list[str]:
    """What is wrong with a case; empty if it is sound. Both suites must fail before the fix and pass with it, and the
    wrong patch, if there is one, must please the visible tests alone. Raises `CaseNotRunnable` and
    `SandboxUnavailable`."""
    with checkout(case) as root:
        before = run_suite(case, root, case.fields.test, sandbox, cache)
    with checkout(case, heldback=True) as root:
        heldback_before = run_suite(case, root, case.fields.heldback, sandbox, cache)
    after = judge_patch(case, case.fix, sandbox, cache)
    problems = []
    if before.passed:
        problems.append("the visible tests pass without the fix")
    if heldback_before.passed:
        problems.append("the held-back tests pass without the fix")
    if not after.applies:
        problems.append("fix.patch does not apply")
    for name, run in (("visible", after.visible), ("held-back", after.heldback)):
        if run is not None and not run.passed:
            problems.append(f"the {name} tests fail with the fix: {run.tail[-300:].strip()}")
    return [*problems, *_check_wrong(case, sandbox, cache)]


def _check_wrong(case: RepairCase, sandbox: Sandbox, cache: Path | None) -> Iterator[str]:
    if case.wrong is None:
        return
    judged = judge_patch(case, case.wrong, sandbox, cache)
    if not judged.applies:
        yield "wrong.patch does not apply"
    elif judged.visible is not None and not judged.visible.passed:
        yield f"the visible tests fail with wrong.patch: {judged.visible.tail[-300:].strip()}"
    elif judged.correct:
        yield "the held-back tests pass with wrong.patch"
