"""From a fix that was accepted to a proposed case of a repair set, for a person to review.

The repository before the fix is what a solver gets. Tests that came with the fix are held back, but for
those that are named as visible, since a solver must see something fail. A proposal is no part of any set
until somebody adds it.
"""

import re
import shutil
from pathlib import Path

from assets.evals.sets.repair import CaseFields, RepairSetError
from core.git import Repository

_TEST = re.compile(r"(^|/)(tests?/.+|test_[^/]+|[^/]+_test)\.py$")
REVIEW = "review.md"
REVIEWED_BY = "Reviewed by:"
MAX_FILES = 5_000
MAX_FILE = 1 << 20


def is_test(path: str) -> bool:
    """Whether a path is by its name a Python test or beside them."""
    return _TEST.search(path) is not None


def review_page(origin: str) -> str:
    """What a person looks at before a proposal counts. `origin` stays with the case."""
    return f"""# Review

Proposed from {origin}.

- The issue says what goes wrong, in a user's words, and neither where nor how to mend it.
- Nothing in the repository, the issue or the visible tests gives the fix away; nothing in it is secret or personal.
- The held-back tests ask for what the issue asks for, and no more: a right fix of another shape passes them.
- It may be used: the repository's licence allows it.

{REVIEWED_BY}
"""


def reviewer(folder: Path) -> str | None:
    """Who has reviewed a proposal; empty while nobody has, None for a case that was not proposed but written."""
    page = folder / REVIEW
    if not page.is_file():
        return None
    said = page.read_text(encoding="utf-8", errors="replace").partition(REVIEWED_BY)[2]
    return " ".join(said.split())[:200]


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
    """Writes the case's folder `into/ID` and returns it. Whether it is sound is asked of `check_case`.

    `base` and `fixed` are the commits before and after the accepted fix. Raises `RepairSetError` when the fix brings
    no test to hold back or changes nothing else, `GitError` for commits that are not there, and leaves nothing then.
    """
    before, after = repository.resolve(base), repository.resolve(fixed)
    changes = repository.diff_names(before, after, renames=False)
    tests = {change.path for change in changes if change.status != "D" and is_test(change.path)}
    code = [change.path for change in changes if not is_test(change.path)]
    unknown = sorted(set(visible) - tests)
    if unknown:
        raise RepairSetError(
            f"{unknown[0]} is no test that {after[:12]} changes; it changes {', '.join(sorted(tests))}"
        )
    if not code or len(changes) > MAX_FILES:
        raise RepairSetError(f"{before[:12]} to {after[:12]} is no fix: {len(code)} files beside tests are changed")
    if not tests - set(visible):
        raise RepairSetError(f"{after[:12]} brings no test that could be held back, so nothing could judge a patch")
    folder = into / fields.id
    if folder.exists():
        raise RepairSetError(f"{folder} is there already: choose another id, or remove it")
    try:
        repository.export(before, folder / "repo")
        for path in sorted(tests):
            _write(repository, after, path, folder / ("repo" if path in visible else "heldback"))
        (folder / "fix.patch").write_bytes(_patch(repository, before, after, code))
        (folder / "issue.md").write_text(issue.strip() + "\n", encoding="utf-8")
        (folder / "case.json").write_text(fields.model_dump_json(indent=2) + "\n", encoding="utf-8")
        origin = f"commits {before} to {after}"
        (folder / REVIEW).write_text(review_page(origin), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _write(repository: Repository, commit: str, path: str, root: Path) -> None:
    content = repository.read_file(commit, path, limit=MAX_FILE)
    if content is None:
        raise RepairSetError(f"{path} of {commit[:12]} is no regular file of at most {MAX_FILE} bytes")
    target = root / path
    if not target.resolve().is_relative_to(root.resolve()):
        raise RepairSetError(f"{path} of {commit[:12]} leads out of the case")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _patch(repository: Repository, before: str, after: str, paths: list[str]) -> bytes:
    _, patch = repository.git(
        "--literal-pathspecs", "diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-renames",
        before, after, "--", *paths, purpose="taking the fix apart from its tests",
    )  # fmt: skip
    return patch
