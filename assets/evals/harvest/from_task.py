"""Turns a task that the platform resolved into a proposed case: its repository at the base commit, patch and tests.

The tests are those that failed before the patch and pass with it. One of them stays visible to the solver; the others
are moved to the held-back tests. Like every proposal, the case needs a review before it can be added to a set.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from assets.evals.sets.repair import CaseFields
from assets.evals.sets.set_files import EvalSetError
from assets.evals.sets.split_tests import without_tests
from core.git import Repository

from .proposal import MAX_FILE, is_test, new_case

SUFFIX = "_heldback"
_HEADER = re.compile(r'^diff --git "?a/(?P<path>.+?)"? "?b/', re.MULTILINE)


@dataclass(frozen=True)
class ResolvedTask:
    """What the store holds of a resolved task. `tests` are the pytest ids of its failing tests."""

    id: str
    issue: str
    base_commit: str
    patch: str
    tests: tuple[str, ...]


def harvest_task(repository: Repository, task: ResolvedTask, fields: CaseFields, into: Path) -> Path:
    """Writes the case's folder `into/ID` and returns it; `check_case` says whether the case is sound.

    Raises `EvalSetError`, and leaves no folder, if the patch changes no code or no test is left to hold back.
    """
    code, brought = _parts(task.patch)
    if not code:
        raise EvalSetError(f"task {task.id} changed only tests, so there is no fix")
    if not task.tests and not brought:
        raise EvalSetError(
            f"task {task.id} has no recorded failing test, so nothing could judge a patch: give the merged commit, "
            f"with its tests, as --fixed"
        )
    with new_case(into, fields, task.issue, origin=f"task {task.id}, commit {task.base_commit}") as folder:
        repository.export(task.base_commit, folder / "repo")
        (folder / "heldback").mkdir()
        (folder / "fix.patch").write_text("".join(code.values()), encoding="utf-8")
        _hold_back(folder, task)
    return folder


def _parts(patch: str) -> tuple[dict[str, str], dict[str, str]]:
    """The patch split by path: first of code, second of tests."""
    starts = [*(found.start() for found in _HEADER.finditer(patch)), len(patch)]
    whole = {_HEADER.match(patch, at)["path"]: patch[at:end] for at, end in pairwise(starts)}  # type: ignore[index]
    tests = {path: text for path, text in whole.items() if is_test(path)}
    return {path: text for path, text in whole.items() if path not in tests}, tests


def _hold_back(folder: Path, task: ResolvedTask) -> None:
    """Keeps one failing test visible, and moves the others into held-back modules."""
    by_file: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for test in task.tests:
        path, *names = test.split("::")
        by_file[path].add(tuple(name.partition("[")[0] for name in names))
    functions = sorted((path, names) for path, found in by_file.items() for names in found)
    if len(functions) < 2:
        raise EvalSetError(
            f"task {task.id} has {len(functions)} recorded failing tests; at least 2 are needed, one to stay visible "
            f"and one to hold back. Give the merged commit, with its tests, as --fixed"
        )
    visible_path, visible_test = functions[0]
    for path, tests in by_file.items():
        source = _module(folder / "repo", path)
        cut = tests - {visible_test} if path == visible_path else tests
        if not cut:
            continue
        try:
            left = without_tests(source, cut)
        except SyntaxError as error:
            raise EvalSetError(f"{path} cannot be parsed: {error}") from error
        pure = PurePosixPath(path)
        held = folder / "heldback" / pure.with_name(f"{pure.stem}{SUFFIX}{pure.suffix}")
        held.parent.mkdir(parents=True, exist_ok=True)
        held.write_text(source, encoding="utf-8")
        (folder / "repo" / path).write_text(left, encoding="utf-8")


def _module(root: Path, path: str) -> str:
    target = (root / path).resolve()
    if not target.is_relative_to(root.resolve()) or not target.is_file() or target.stat().st_size > MAX_FILE:
        raise EvalSetError(f"{path} is not a file of the repository, or is larger than {MAX_FILE} bytes")
    try:
        return target.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EvalSetError(f"{path}: not UTF-8 at byte {error.start}") from error


def resolved_task(
    identity: str, issue: str, patch: Mapping[str, str] | None, tests: tuple[str, ...], state: str
) -> ResolvedTask:
    """The task as a `ResolvedTask`. Raises `EvalSetError` if it is not resolved or has no patch."""
    if state != "resolved" or patch is None:
        raise EvalSetError(f"task {identity} is {state}: only a resolved task with an accepted patch can become a case")
    return ResolvedTask(identity, issue, patch["base_commit"], patch["diff"], tests)
