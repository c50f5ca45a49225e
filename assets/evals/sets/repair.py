"""Sets of repair cases: what a case is, how a set is read, and how a patch is judged by tests its author never saw.

Not for solving cases. A case is a folder with `repo/` (what the solver gets), `heldback/` (tests laid
over the repository only after a patch exists), `issue.md`, `fix.patch` and `case.json`. All code of a
case runs in the sandbox.
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

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.git import command
from sandbox.protocol import Environment, Limits, Sandbox

Split = Literal["dev", "check"]
SPLITS: tuple[Split, ...] = ("dev", "check")

MAX_TEXT = 1 << 20


class RepairSetError(ValueError):
    """A set or case that does not follow its layout; the message names the file and what is wrong there."""


class CaseFields(BaseModel):
    """What `case.json` holds; `schema.json` of a set is this model's JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    bug_class: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    family: Literal["condition", "numeric", "call", "data", "state", "flow", "guard", "text", "out-of-reach"]
    split: Split
    cluster: str
    """Cases of one project share a cluster; a cluster may have cases in both splits."""
    expected: Literal["resolved", "unresolved"]
    """`unresolved` where no small edit is right, so that the honest answer is to say so."""
    runner: Literal["pytest", "unittest"]
    layout: Literal["flat", "src"]
    test: tuple[str, ...] = Field(min_length=1)
    """Runs the visible tests in the repository's root; `python` stands for the interpreter."""
    heldback: tuple[str, ...] = Field(min_length=1)
    """Runs the held-back tests once they are laid over the repository."""
    tags: tuple[str, ...] = ()
    created: date


@dataclass(frozen=True)
class RepairCase:
    """One case. `folder` holds its files; everything else comes from `case.json` and `issue.md`."""

    folder: Path
    fields: CaseFields
    issue: str
    fix: str

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
class SuiteRun:
    """One run of a case's tests. `passed` is by exit code; `tail` is the end of what was printed."""

    passed: bool
    seconds: float
    limit: str | None
    tail: str


@dataclass(frozen=True)
class Judgement:
    """What held-back tests say of a patch. `correct` needs both suites; `plausible` only the visible one."""

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
    """The cases of a set, by id. Raises `RepairSetError` naming the file, or for a split that does not exist."""
    if split not in (*SPLITS, "all"):
        raise RepairSetError(f"{split!r} is no split of {root}: choose dev, check or all")
    folders = sorted(path for path in (root / "cases").glob("*") if path.is_dir())
    if not folders:
        raise RepairSetError(f"{root / 'cases'}: no cases there; give the folder that holds cases/")
    cases = [load_case(folder) for folder in folders]
    return [case for case in cases if split in ("all", case.fields.split)]


def load_case(folder: Path) -> RepairCase:
    """One case from its folder. Raises `RepairSetError` naming the file."""
    for part in ("repo", "heldback"):
        if not (folder / part).is_dir():
            raise RepairSetError(f"{folder / part}: missing")
    try:
        fields = CaseFields.model_validate_json(read_text(folder / "case.json"))
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RepairSetError(f"{folder / 'case.json'}: {where}") from error
    if fields.id != folder.name:
        raise RepairSetError(f"{folder / 'case.json'}: id {fields.id!r} is not the folder's name")
    return RepairCase(folder, fields, read_text(folder / "issue.md"), read_text(folder / "fix.patch"))


def read_text(path: Path) -> str:
    """A text file of a case. Raises `RepairSetError` when it is not there, too large or not UTF-8."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RepairSetError(f"{path}: {error.strerror or error}") from error
    if len(raw) > MAX_TEXT:
        raise RepairSetError(f"{path}: {len(raw)} bytes, at most {MAX_TEXT} are read")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RepairSetError(f"{path}: not UTF-8 at byte {error.start}") from error


def schema() -> str:
    """The text of a set's `schema.json`."""
    return json.dumps(CaseFields.model_json_schema(), indent=2) + "\n"


@contextlib.contextmanager
def checkout(case: RepairCase, patch: str | None = None, *, heldback: bool = False) -> Iterator[Path]:
    """A scratch copy of the case's repository, patched, with the held-back tests laid over it where asked.

    Held-back files win over what a patch wrote, so a patch cannot bring its own judge. Raises
    `core.git.GitError` when the patch does not apply.
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
    """Applies a unified diff to a folder. Raises `core.git.GitError` with what git said."""
    # Without the ceiling, a repository around the folder would make git skip every path.
    environment = command.environment(extra={"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)})
    arguments = ["-C", str(root), "apply", "--whitespace=nowarn", "-"]
    command.run(arguments, purpose="apply a patch", where=root, env=environment, data=patch.encode())


def run_tests(root: Path, argv: tuple[str, ...], sandbox: Sandbox, wall_seconds: float = 30.0) -> SuiteRun:
    """Runs a test command on a copy of `root` in a session of its own. Raises `SandboxUnavailable`."""
    from sandbox.python import python_runtime

    runtime = python_runtime()
    variables = {
        **runtime.variables,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    words = [str(runtime.executable) if word == "python" else word for word in argv]
    limits = Limits(wall_seconds=wall_seconds, cpu_seconds=wall_seconds)
    with sandbox.open(Environment(root, runtime.mounts, variables), limits) as session:
        done = session.run(words, limits=limits)
    said = (done.stdout + done.stderr)[-2000:].decode(errors="replace")
    return SuiteRun(done.exit_code == 0, done.wall_seconds, str(done.limit) if done.limit else None, said)


def judge_patch(case: RepairCase, patch: str, sandbox: Sandbox) -> Judgement:
    """Runs the visible and the held-back tests on the patched repository, each in fresh processes."""
    try:
        with checkout(case, patch) as root:
            visible = run_tests(root, case.fields.test, sandbox)
        with checkout(case, patch, heldback=True) as root:
            heldback = run_tests(root, case.fields.heldback, sandbox)
    except command.GitError:
        return Judgement(False, None, None)
    return Judgement(True, visible, heldback)


def check_case(case: RepairCase, sandbox: Sandbox) -> list[str]:
    """What is wrong with a case, empty when it is sound: both suites must fail before the fix and pass with it."""
    with checkout(case) as root:
        before = run_tests(root, case.fields.test, sandbox)
    with checkout(case, heldback=True) as root:
        heldback_before = run_tests(root, case.fields.heldback, sandbox)
    after = judge_patch(case, case.fix, sandbox)
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
    return problems
