"""Sets of released fixes: what a case holds, and turning it into a repair case while it is worked on.

A case holds names, versions, hashes, test ids and an issue, but no code: `releases` fetches the two source releases.
The solver receives the earlier release without any history, and tests of the later one judge the patch. Not for
finding cases (`released_search`).
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from assets.evals.harvest.released_fix import Piece, pieces_between, unified
from assets.evals.harvest.released_tests import (
    copy_files,
    files_of,
    import_folders,
    is_released_test,
    pytest_command,
    run_outcomes,
)
from assets.evals.harvest.releases import NAME, VERSION, fetch_archive, unpack
from sandbox.protocol import Sandbox

from .repair import CaseFields, RepairCase, Split, checkout, judge_patch, quoted_line
from .set_files import EvalSetError, parse, read_text
from .suite_runs import run_tests

PARTS = frozenset({"case.json", "issue.md"})
ALWAYS_INSTALLED = frozenset({"typing_extensions"})
"""Modules that the platform itself needs: tests may import them."""
_WORDS = r"^[a-z0-9]+(-[a-z0-9]+)*$"


def _relative(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or str(path) != text or text.startswith("-") or "\0" in text:
        raise ValueError("is not a path inside a release")
    return text


Inside = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_relative)]
TestId = Annotated[str, StringConstraints(max_length=500, pattern=r"^[\w.][^\n\r\x00]*\.py(::[^\n\r\x00]+)?$")]


class Release(BaseModel):
    """One source release: its version and the SHA-256 of its archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(pattern=f"^{VERSION.pattern}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class FixedLines(BaseModel):
    """Lines of a file of the earlier release that the fix replaces: from `start` to before `end`, counted from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Inside
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class ReleasedFields(BaseModel):
    """The content of `case.json`. A set's `schema.json` is this model's JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=_WORDS, max_length=60)
    bug_class: str = Field(pattern=_WORDS)
    family: Literal["condition", "numeric", "call", "data", "state", "flow", "guard", "text"]
    split: Split
    package: str = Field(pattern=f"^{NAME.pattern}$")
    """Also the cluster: all cases of a package are in one split."""
    licence: str = Field(min_length=1)
    before: Release
    after: Release
    changelog: str = Field(max_length=1_000)
    """The line about the fix in the later release's changelog; empty if there is none."""
    fix: tuple[FixedLines, ...] = Field(min_length=1, max_length=40)
    fails: tuple[TestId, ...] = Field(min_length=1, max_length=200)
    """Tests of the later release that fail on the earlier one, and pass with the fix alone."""
    keeps: tuple[TestId, ...] = Field(min_length=1, max_length=500)
    """Test files, including those of `fails`, whose other tests pass before and after in both releases' form."""
    left_out: tuple[TestId, ...] = Field(default=(), max_length=500)
    """Tests in `keeps` that are not run: they belong to other changes of the release, or fail in any case."""
    later: Release | None = None
    """A release after `after` with more tests that pass with the fix. They judge a patch whose author saw the tests of
    `after`."""
    created: date

    @model_validator(mode="after")
    def _judges(self) -> Self:
        for test in self.fails:
            if test.partition("::")[0] not in self.keeps:
                raise ValueError(f"the file of {test}, named in `fails`, is not in `keeps`, so it would not be run")
            # pytest's --deselect works on prefixes.
            if hidden := next((name for name in self.left_out if test.startswith(name)), None):
                raise ValueError(f"{test} would be left out together with {hidden}")
        return self


@dataclass(frozen=True)
class ReleasedCase:
    """One case. `issue` is the text for the solver; its first line is the title."""

    folder: Path
    fields: ReleasedFields
    issue: str

    @property
    def id(self) -> str:
        return self.fields.id

    @property
    def changed(self) -> tuple[str, ...]:
        """Files that the fix changes."""
        return tuple(sorted({lines.path for lines in self.fields.fix}))


def load_released(root: Path) -> list[ReleasedCase]:
    """The cases of a set, by id. Raises `EvalSetError` naming the file."""
    cases = [_load(folder) for folder in sorted((root / "cases").glob("*")) if folder.is_dir()]
    splits: dict[str, Split] = {}
    for case in cases:
        if splits.setdefault(case.fields.package, case.fields.split) != case.fields.split:
            raise EvalSetError(f"{case.folder}: {case.fields.package} has cases in both splits; move them into one")
    return cases


def _load(folder: Path) -> ReleasedCase:
    if more := sorted({path.name for path in folder.iterdir()} - PARTS):
        raise EvalSetError(f"{folder / more[0]}: a case of released fixes holds only {' and '.join(sorted(PARTS))}")
    path = folder / "case.json"
    fields = parse(ReleasedFields, read_text(path), str(path))
    if fields.id != folder.name:
        raise EvalSetError(f"{path}: id {fields.id!r} is not the folder's name")
    issue = read_text(folder / "issue.md")
    if not issue.strip():
        raise EvalSetError(f"{folder / 'issue.md'}: empty; describe what a user saw")
    return ReleasedCase(folder, fields, issue)


def released_schema() -> str:
    """The text of a set's `schema.json`."""
    return json.dumps(ReleasedFields.model_json_schema(), indent=2) + "\n"


@contextlib.contextmanager
def open_released(case: ReleasedCase, cache: Path | None = None) -> Iterator[RepairCase]:
    """The case as a repair case in a scratch folder: the earlier release, with the later one's tests held back.

    Raises `releases.ReleaseUnavailable` if a release cannot be fetched, and `EvalSetError` if the releases do not
    contain what the case names.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-released-") as scratch:
        before, after = (
            unpack(fetch_archive(case.fields.package, release.version, release.sha256, cache), Path(scratch) / role)
            for role, release in (("before", case.fields.before), ("after", case.fields.after))
        )
        folder = Path(scratch) / "case"
        copy_files(files_of(before), before, folder / "repo")
        copy_files((name for name in files_of(after) if is_released_test(name)), after, folder / "heldback")
        between = pieces_between(before, after)
        pieces = [Piece(lines.path, lines.start, lines.end) for lines in case.fields.fix]
        if unknown := [piece for piece in pieces if piece not in between]:
            one = unknown[0]
            raise EvalSetError(
                f"{case.folder}: the releases do not differ in lines {one.start} to {one.end} of {one.path}"
            )
        yield RepairCase(folder, _fields(case, folder), case.issue, unified(pieces, between, before))


def as_repair(
    payload: RepairCase | ReleasedCase, cache: Path | None = None
) -> contextlib.AbstractContextManager[RepairCase]:
    """A case of either kind as a repair case. Raises as `open_released` does."""
    return open_released(payload, cache) if isinstance(payload, ReleasedCase) else contextlib.nullcontext(payload)


def _fields(case: ReleasedCase, folder: Path) -> CaseFields:
    fields, missing = case.fields, [name for name in case.fields.keeps if not (folder / "heldback" / name).is_file()]
    if missing:
        raise EvalSetError(f"{case.folder}: {fields.package} {fields.after.version} has no {missing[0]}")
    folders = import_folders(folder / "repo")
    visible = [name for name in fields.keeps if (folder / "repo" / name).is_file()]
    return CaseFields(
        id=fields.id, bug_class=fields.bug_class, family=fields.family, split=fields.split, cluster=fields.package,
        expected="resolved", runner="pytest", layout="src" if "src" in folders else "flat",
        test=pytest_command(folders, visible, (*fields.left_out, *fields.fails)) if visible else ("python", "-c", ""),
        heldback=pytest_command(folders, fields.keeps, fields.left_out), created=fields.created,
    )  # fmt: skip


def check_released(case: ReleasedCase, sandbox: Sandbox, cache: Path | None = None) -> list[str]:
    """What is wrong with a case; empty if it is sound. Each test of `fails` must fail before the fix and pass with it,
    all others must pass both times, and the issue must not quote the fix. Raises as `open_released` does."""
    problems = []
    with open_released(case, cache) as repair:
        with checkout(repair) as root:
            visible = run_tests(root, repair.fields.test, sandbox)
        with checkout(repair, heldback=True) as root:
            before = run_outcomes(root, repair.fields.heldback, sandbox)
        with checkout(repair, repair.fix, heldback=True) as root:
            after = run_outcomes(root, repair.fields.heldback, sandbox)
        judged = judge_patch(repair, repair.fix, sandbox)
    if not visible.passed:
        problems.append(f"the visible tests do not pass before the fix: {visible.tail[-300:].strip()}")
    if wrong := sorted(before.failed.symmetric_difference(case.fields.fails)):
        problems.append(f"the tests that fail before the fix are not those of `fails`: {', '.join(wrong[:5])}")
    if missing := sorted(set(case.fields.fails) - after.passed):
        problems.append(f"these tests do not pass with the fix: {', '.join(missing[:5])}")
    if not judged.correct:
        problems.append("the fix is not judged correct")
    if foreign := sorted({*before.foreign, *after.foreign} - ALWAYS_INSTALLED):
        problems.append(f"the tests import {', '.join(foreign)}, which may not be installed")
    if quoted_line(case.issue, repair.fix):
        problems.append("the issue quotes a line of the fix; write it in a user's words")
    return problems
