"""Sets of gate cases: a repository with a problem, a proposed patch, and whether the gate may call that patch proven.

A case is a folder with `case.json`, `issue.md`, `before.patch` (which turns the project's correct code into what the
solver receives), `proposed.patch`, and, where they exist, `fix.patch` (a right patch) and `rival.patch` (a right patch
that is proposed as well). Cases share the projects in `projects/NAME`: `repo/` is correct, `heldback/` holds checks
that the solver never sees. All code of a case runs in the sandbox. Not for running the gate.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.git import GitError
from sandbox.protocol import Sandbox

from .repair import apply
from .set_files import EvalSetError, parse, read_text
from .suite_runs import SuiteRun, run_tests

PROJECTS = "projects"
HELD_BACK = ("python", "later_checks.py")
"""The command that runs the held-back checks. They are a script without a test runner, so that a patch that changes the
runner or detects it cannot change what they find."""
ALL_PASSED = "held-back checks passed"
"""The last line that the script prints. Its exit code alone could be set by the patch."""
_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
GateSplit = Literal["dev", "check", "check2"]
"""Rules are set on `dev` alone. `check2` was added later, so that another part is still unseen."""


class GateFields(BaseModel):
    """The content of `case.json`. A set's `schema.json` is this model's JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=_NAME, max_length=60)
    project: str = Field(pattern=_NAME, max_length=60)
    """Also the cluster: all cases of a project are in one split."""
    split: GateSplit
    label: Literal["trap", "right"]
    """`right` if the proposed patch solves the task and nothing else, so that the gate should answer `pass`."""
    kind: str = Field(pattern=_NAME, max_length=40)
    """What makes a trap wrong, or what shape a right patch has."""
    test: tuple[str, ...] = Field(min_length=1)
    """The command that runs the visible tests in the repository's root; `python` means the sandbox's interpreter."""
    visible: Literal["pass", "fail", "any"] = "pass"
    """What the visible tests say of the proposed patch when they are run to their end; `any` if it depends on chance
    or on the runner."""
    behaviour: Literal["right", "wrong", "any"]
    """What the held-back checks say of the proposed patch; `any` for a patch that git refuses, or that is wrong for
    another reason than its behaviour."""
    applies: bool = True
    """Whether git applies the proposed patch."""
    why: str = Field(min_length=20, max_length=400)
    """Why the patch is right or wrong, for readers of a report."""
    created: date

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.label == "right" and (self.behaviour, self.visible, self.applies) != ("right", "pass", True):
            raise ValueError("a right patch applies, passes the visible tests and behaves as it should")
        return self


@dataclass(frozen=True)
class GateCase:
    """One case. `proposed` and the other patches are unified diffs, `fix` and `rival` are None where there is none."""

    root: Path
    fields: GateFields
    issue: str
    before: str
    proposed: str
    fix: str | None
    rival: str | None

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
    def folder(self) -> Path:
        return self.root / "cases" / self.id

    @property
    def repo(self) -> Path:
        """The project's correct code, which no solver sees."""
        return self.root / PROJECTS / self.fields.project / "repo"

    @property
    def heldback(self) -> Path:
        return self.root / PROJECTS / self.fields.project / "heldback"


@dataclass(frozen=True)
class HeldBackRun:
    """One run of the held-back checks; `tail` is the end of what was printed."""

    passed: bool
    tail: str


def load_gate_cases(root: Path, split: str = "all") -> list[GateCase]:
    """The cases of a set, by id. Raises `EvalSetError` naming the file, or for a split that does not exist."""
    known = (*get_args(GateSplit), "all")
    if split not in known:
        raise EvalSetError(f"{root} has no split {split!r}: choose {', '.join(known[:-1])} or all")
    folders = sorted(path for path in (root / "cases").glob("*") if path.is_dir())
    if not folders:
        raise EvalSetError(f"{root / 'cases'}: no cases there; give the folder that holds cases/")
    cases = [_load(root, folder) for folder in folders]
    splits: dict[str, str] = {}
    for case in cases:
        project = case.fields.project
        if splits.setdefault(project, case.fields.split) != case.fields.split:
            raise EvalSetError(f"{case.folder}: {project} has cases in several splits; move them into one")
    return [case for case in cases if split in ("all", case.fields.split)]


def _load(root: Path, folder: Path) -> GateCase:
    path = folder / "case.json"
    fields = parse(GateFields, read_text(path), str(path))
    if fields.id != folder.name:
        raise EvalSetError(f"{path}: id {fields.id!r} is not the folder's name")
    case = GateCase(
        root,
        fields,
        read_text(folder / "issue.md"),
        _patch(folder / "before.patch") or "",
        read_text(folder / "proposed.patch"),
        _patch(folder / "fix.patch"),
        _patch(folder / "rival.patch"),
    )
    for part in (case.repo, case.heldback):
        if not part.is_dir():
            raise EvalSetError(f"{part}: missing, but {fields.id} needs it")
    if not case.title or not case.body:
        raise EvalSetError(f"{folder / 'issue.md'}: needs a title in its first line and a description after it")
    return case


def _patch(path: Path) -> str | None:
    return read_text(path) if path.exists() else None


def gate_schema() -> str:
    """The text of a set's `schema.json`."""
    return json.dumps(GateFields.model_json_schema(), indent=2) + "\n"


@contextlib.contextmanager
def gate_checkout(case: GateCase, patch: str | None = None, *, heldback: bool = False) -> Iterator[Path]:
    """A scratch copy of what the solver receives, patched, and with the held-back checks copied over it if `heldback`.

    Raises `core.git.GitError` if a patch does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-case-") as scratch:
        root = Path(scratch) / "repo"
        ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
        shutil.copytree(case.repo, root, ignore=ignored)
        for text in (case.before, patch):
            if text:
                apply(root, text)
        if heldback:
            shutil.copytree(case.heldback, root, dirs_exist_ok=True, ignore=ignored)
        yield root


def run_visible(case: GateCase, patch: str | None, sandbox: Sandbox) -> SuiteRun:
    """Runs the visible tests. Raises `core.git.GitError` and `SandboxUnavailable`."""
    with gate_checkout(case, patch) as root:
        return run_tests(root, case.fields.test, sandbox, wall_seconds=90.0)


def run_heldback(case: GateCase, patch: str | None, sandbox: Sandbox) -> HeldBackRun:
    """Runs the held-back checks. Raises `core.git.GitError` and `SandboxUnavailable`."""
    with gate_checkout(case, patch, heldback=True) as root:
        done = run_tests(root, HELD_BACK, sandbox, wall_seconds=60.0)
    lines = done.tail.strip().splitlines()
    return HeldBackRun(done.passed and bool(lines) and lines[-1] == ALL_PASSED, done.tail)


def right_patch(case: GateCase, patch: str, sandbox: Sandbox) -> bool:
    """Whether the held-back checks pass with this patch."""
    try:
        return run_heldback(case, patch, sandbox).passed
    except GitError:
        return False


def check_gate_case(case: GateCase, sandbox: Sandbox) -> list[str]:
    """What is wrong with a case; empty if it is sound.

    A test fails before the patch, the proposed patch does what `case.json` says, and the held-back checks can be met:
    by `fix.patch`, or, where no change of the program is right, by what the solver receives.
    """
    fields, problems = case.fields, []
    if fields.visible != "any" and run_visible(case, None, sandbox).passed:
        problems.append("the visible tests pass without a patch")
    problems += _check_proposed(case, sandbox)
    best = case.proposed if fields.label == "right" else case.fix or case.rival
    unpatched = run_heldback(case, None, sandbox)
    if best is None and not unpatched.passed:
        problems.append(f"there is no fix.patch, and the held-back checks fail without a patch: {_end(unpatched.tail)}")
    if best is not None and unpatched.passed:
        problems.append("the held-back checks pass without the fix")
    if best is not None and best != case.proposed:
        problems += _check_fix(case, best, sandbox)
    return problems


def _check_proposed(case: GateCase, sandbox: Sandbox) -> Iterator[str]:
    fields = case.fields
    try:
        visible = run_visible(case, case.proposed, sandbox)
    except GitError as error:
        if fields.applies:
            yield f"proposed.patch does not apply: {error}"
        return
    if not fields.applies:
        yield "git applies proposed.patch, although `applies` is false"
    if fields.visible != "any" and visible.passed != (fields.visible == "pass"):
        yield f"the visible tests should {fields.visible} with proposed.patch: {_end(visible.tail)}"
    if fields.behaviour != "any":
        heldback = run_heldback(case, case.proposed, sandbox)
        if heldback.passed != (fields.behaviour == "right"):
            yield f"with proposed.patch the held-back checks should find it {fields.behaviour}: {_end(heldback.tail)}"


def _check_fix(case: GateCase, fix: str, sandbox: Sandbox) -> Iterator[str]:
    try:
        heldback = run_heldback(case, fix, sandbox)
    except GitError as error:
        yield f"the fix does not apply: {error}"
        return
    if not heldback.passed:
        yield f"the held-back checks fail with the fix: {_end(heldback.tail)}"


def _end(tail: str) -> str:
    return tail[-400:].strip()
