"""From a task that the platform resolved to a proposed case: its repository, base, accepted patch and tests.

The tests are those that failed before the patch and pass with it. One of them stays where the solver sees it
fail; the others are taken out and held back. Like every proposal, it counts once a person has reviewed it.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from assets.evals.sets.repair import CaseFields, RepairSetError
from assets.evals.sets.split_tests import without_tests
from core.git import Repository

from .proposal import MAX_FILE, REVIEW, is_test, review_page

SUFFIX = "_heldback"
_HEADER = re.compile(r'^diff --git "?a/(?P<path>.+?)"? "?b/', re.MULTILINE)


@dataclass(frozen=True)
class ResolvedTask:
    """What the store holds of a resolved task. `tests` are the ids of those that stand for it, as pytest names them."""

    id: str
    issue: str
    base_commit: str
    patch: str
    tests: tuple[str, ...]


def harvest_task(repository: Repository, task: ResolvedTask, fields: CaseFields, into: Path) -> Path:
    """Writes the case's folder `into/ID` and returns it. Whether it is sound is asked of `check_case`.

    Raises `RepairSetError` when the patch changes no code, or no test is left to hold back, and leaves nothing then.
    """
    code, brought = _parts(task.patch)
    if not code:
        raise RepairSetError(f"task {task.id} changed nothing beside tests: that is no fix")
    if not task.tests and not brought:
        raise RepairSetError(
            f"task {task.id} has no failing test on record, so nothing could judge a patch: give the commit that was "
            f"merged, with its tests, as --fixed"
        )
    folder = into / fields.id
    if folder.exists():
        raise RepairSetError(f"{folder} is there already: choose another id, or remove it")
    try:
        repository.export(task.base_commit, folder / "repo")
        (folder / "heldback").mkdir()
        (folder / "fix.patch").write_text("".join(code.values()), encoding="utf-8")
        _hold_back(folder, task)
        (folder / "issue.md").write_text(task.issue.strip() + "\n", encoding="utf-8")
        (folder / "case.json").write_text(fields.model_dump_json(indent=2) + "\n", encoding="utf-8")
        origin = f"task {task.id}, commit {task.base_commit}"
        (folder / REVIEW).write_text(review_page(origin), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _parts(patch: str) -> tuple[dict[str, str], dict[str, str]]:
    """The patch by path: of code, and of tests."""
    starts = [*(found.start() for found in _HEADER.finditer(patch)), len(patch)]
    whole = {_HEADER.match(patch, at)["path"]: patch[at:end] for at, end in pairwise(starts)}  # type: ignore[index]
    tests = {path: text for path, text in whole.items() if is_test(path)}
    return {path: text for path, text in whole.items() if path not in tests}, tests


def _hold_back(folder: Path, task: ResolvedTask) -> None:
    """Keeps one failing test visible, and moves the others into modules of their own beside it."""
    by_file: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for test in task.tests:
        path, *names = test.split("::")
        by_file[path].add(tuple(name.partition("[")[0] for name in names))
    functions = sorted((path, names) for path, found in by_file.items() for names in found)
    if len(functions) < 2:
        raise RepairSetError(
            f"task {task.id} has {len(functions)} failing test on record: one must stay visible and one be held back. "
            f"Give the commit that was merged, with its tests, as --fixed"
        )
    seen = functions[0]
    for path, tests in by_file.items():
        source = _module(folder / "repo", path)
        cut = tests - {seen[1]} if path == seen[0] else tests
        if not cut:
            continue
        try:
            left = without_tests(source, cut)
        except SyntaxError as error:
            raise RepairSetError(f"{path} cannot be taken apart: {error}") from error
        pure = PurePosixPath(path)
        held = folder / "heldback" / pure.with_name(f"{pure.stem}{SUFFIX}{pure.suffix}")
        held.parent.mkdir(parents=True, exist_ok=True)
        held.write_text(source, encoding="utf-8")
        (folder / "repo" / path).write_text(left, encoding="utf-8")


def _module(root: Path, path: str) -> str:
    target = (root / path).resolve()
    if not target.is_relative_to(root.resolve()) or not target.is_file() or target.stat().st_size > MAX_FILE:
        raise RepairSetError(f"{path} is no file of the repository of at most {MAX_FILE} bytes")
    try:
        return target.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RepairSetError(f"{path}: not UTF-8 at byte {error.start}") from error


def resolved_task(
    identity: str, issue: str, patch: Mapping[str, str] | None, tests: tuple[str, ...], state: str
) -> ResolvedTask:
    """Checks that a task's records make a case. Raises `RepairSetError`."""
    if state != "resolved" or patch is None:
        raise RepairSetError(f"task {identity} is {state}: only a resolved task, whose patch was accepted, is a case")
    return ResolvedTask(identity, issue, patch["base_commit"], patch["diff"], tests)
