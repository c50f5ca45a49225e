"""Turns an accepted fix into a proposed case of a repair set, for a reviewer.

The solver receives the repository before the fix. Tests that came with the fix are held back, except those named as
visible, since a solver must see something fail. A proposal is not part of any set until somebody adds it.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from assets.evals.sets.repair import CaseFields
from assets.evals.sets.set_files import EvalSetError
from core.git import Repository

_TEST = re.compile(r"(^|/)(tests?/.+|test_[^/]+|[^/]+_test)\.py$")
REVIEW = "review.md"
REVIEWED_BY = "Reviewed by:"
MAX_FILES = 5_000
MAX_FILE = 1 << 20


def is_test(path: str) -> bool:
    """Whether a path's name is that of a Python test, or of a Python file in a folder of tests."""
    return _TEST.search(path) is not None


def _review_page(origin: str) -> str:
    """The reviewer's checklist. `origin` says where the case comes from and stays with it."""
    return f"""# Review

Proposed from {origin}.

- The issue describes what goes wrong in a user's words, and neither where nor how to fix it.
- The repository, the issue and the visible tests do not reveal the fix, and contain nothing secret or personal.
- The held-back tests require what the issue requires and no more: a different but correct fix passes them.
- The repository's licence allows this use.

{REVIEWED_BY}
"""


def reviewer(folder: Path) -> str | None:
    """The name of a proposal's reviewer; empty if it has none yet, None for a case without a review page."""
    page = folder / REVIEW
    if not page.is_file():
        return None
    name = page.read_text(encoding="utf-8", errors="replace").partition(REVIEWED_BY)[2]
    return " ".join(name.split())[:200]


@contextlib.contextmanager
def new_case(into: Path, fields: CaseFields, issue: str, *, origin: str) -> Iterator[Path]:
    """Yields the path `into/ID`, for the caller to write repository, tests and fix; then adds fields, issue and the
    review page. Removes the folder on any error. Raises `EvalSetError` if it exists already."""
    folder = into / fields.id
    if folder.exists():
        raise EvalSetError(f"{folder} already exists: choose another id, or remove it")
    try:
        yield folder
        (folder / "issue.md").write_text(issue.strip() + "\n", encoding="utf-8")
        (folder / "case.json").write_text(fields.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (folder / REVIEW).write_text(_review_page(origin), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def harvest(
    repository: Repository,
    base: str,
    fixed: str,
    fields: CaseFields,
    issue: str,
    into: Path,
    *,
    visible: tuple[str, ...] = (),
) -> Path:
    """Writes the case's folder `into/ID` and returns it; `check_case` says whether the case is sound.

    `base` and `fixed` are the commits before and after the accepted fix. Raises `EvalSetError` if the fix has no test
    to hold back or changes only tests, and `GitError` for unknown commits; then it leaves no folder.
    """
    before, after = repository.resolve(base), repository.resolve(fixed)
    changes = repository.diff_names(before, after, renames=False)
    tests = {change.path for change in changes if change.status != "D" and is_test(change.path)}
    code = [change.path for change in changes if not is_test(change.path)]
    unknown = sorted(set(visible) - tests)
    if unknown:
        raise EvalSetError(f"{unknown[0]} is not a test changed by {after[:12]}; it changes {', '.join(sorted(tests))}")
    if not code or len(changes) > MAX_FILES:
        raise EvalSetError(
            f"{before[:12]} to {after[:12]} is not a fix: it changes {len(code)} files other than tests, and "
            f"{len(changes)} of at most {MAX_FILES} in all"
        )
    if not tests - set(visible):
        raise EvalSetError(f"{after[:12]} has no test that could be held back, so nothing could judge a patch")
    with new_case(into, fields, issue, origin=f"commits {before} to {after}") as folder:
        repository.export(before, folder / "repo")
        for path in sorted(tests):
            _write(repository, after, path, folder / ("repo" if path in visible else "heldback"))
        (folder / "fix.patch").write_bytes(_patch(repository, before, after, code))
    return folder


def _write(repository: Repository, commit: str, path: str, root: Path) -> None:
    content = repository.read_file(commit, path, limit=MAX_FILE)
    if content is None:
        raise EvalSetError(f"{path} of {commit[:12]} is not a regular file of at most {MAX_FILE} bytes")
    target = root / path
    if not target.resolve().is_relative_to(root.resolve()):
        raise EvalSetError(f"{path} of {commit[:12]} is outside the case")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _patch(repository: Repository, before: str, after: str, paths: list[str]) -> bytes:
    _, patch = repository.git(
        "--literal-pathspecs", "diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-renames",
        before, after, "--", *paths, purpose="separate the fix from its tests",
    )  # fmt: skip
    return patch
