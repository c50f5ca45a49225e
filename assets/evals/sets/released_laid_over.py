"""Released fixes as a test-first commit: the earlier release with the later release's tests laid over it.

The solver sees the tests that fail for the bug, so they cannot judge its patch. A release that came even later judges:
its tests that pass with the true fix must pass with the patch. Not for cases whose solver only gets an issue
(`released.open_released`).
"""

import ast
import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assets.evals.harvest.released_tests import (
    Outcomes,
    copy_files,
    files_of,
    import_folders,
    is_released_test,
    pytest_command,
    run_outcomes,
    test_files,
)
from assets.evals.harvest.releases import archive_hash, fetch_archive, release_versions, unpack
from core.git import command
from sandbox.protocol import Sandbox

from .released import Release, ReleasedCase, open_released
from .repair import RepairCase, apply, checkout

_SHELL = re.compile(r"[|;&<>`$()]")


@contextlib.contextmanager
def open_laid_over(case: ReleasedCase, cache: Path | None = None) -> Iterator[RepairCase]:
    """The case as a repair case whose repository already has the later release's tests. Its `test` command runs all
    tests of the case, of which `fails` fail before the fix. Raises as `open_released` does."""
    with open_released(case, cache) as held:
        copy_files(files_of(held.heldback), held.heldback, held.repo)
        left_out = dict.fromkeys(_without_signs(name, case.fields.fails) for name in case.fields.left_out)
        test = pytest_command(import_folders(held.repo), case.fields.keeps, tuple(left_out))
        yield replace(held, fields=held.fields.model_copy(update={"test": test}))


def _without_signs(name: str, fails: Sequence[str]) -> str:
    """A test id without parameters that a shell would interpret: a command that contains such signs is not understood
    as a run of pytest. All parameters are left out then, unless one of them is in `fails`."""
    plain = name.partition("[")[0]
    return plain if _SHELL.search(name) and not any(test.startswith(plain) for test in fails) else name


@dataclass(frozen=True)
class LaterTests:
    """What the tests of a later release say about the fix: ids of those that pass with it, and of those among them
    that fail without it and are not shown to the solver (`telling`)."""

    passing: frozenset[str]
    telling: frozenset[str]


@dataclass(frozen=True)
class LaterJudgement:
    """What they say about a patch: `broken` pass with the fix, every time, and do not pass with the patch."""

    applies: bool
    tests: LaterTests
    broken: tuple[str, ...]


class LaterRelease:
    """The tests of one release, run on a case's sources. `tests` is the folder of the unpacked release."""

    def __init__(self, case: ReleasedCase, repair: RepairCase, tests: Path, sandbox: Sandbox) -> None:
        self.case, self.repair, self.tests, self.sandbox = case, repair, tests, sandbox

    def run(self, patch: str | None) -> Outcomes:
        """The outcome of each test on the earlier release with a patch. Raises `core.git.GitError` if the patch does
        not apply, and `SandboxUnavailable`."""
        with checkout(self.repair, patch) as root:
            copy_files((name for name in files_of(self.tests) if is_released_test(name)), self.tests, root)
            arguments = pytest_command(import_folders(root), test_files(self.tests))
            return run_outcomes(root, arguments, self.sandbox)

    def with_fix(self) -> LaterTests:
        fixed, before = self.run(self.repair.fix), self.run(None)
        return LaterTests(fixed.passed, fixed.passed - before.passed - set(self.case.fields.fails))

    def judge(self, patch: str) -> LaterJudgement:
        """Raises `SandboxUnavailable`."""
        known = self.with_fix()
        try:
            broken = known.passing - self.run(patch).passed
        except command.GitError:
            return LaterJudgement(False, known, ())
        if broken:  # a test that does not pass with the fix every time says nothing
            broken &= self.run(self.repair.fix).passed
        return LaterJudgement(True, known, tuple(sorted(broken)))


@contextlib.contextmanager
def open_later(
    case: ReleasedCase, repair: RepairCase, release: Release, sandbox: Sandbox, cache: Path | None = None
) -> Iterator[LaterRelease]:
    """A later release's tests for a case that is open as `repair`. Raises `releases.ReleaseUnavailable`."""
    archive = fetch_archive(case.fields.package, release.version, release.sha256, cache)
    with tempfile.TemporaryDirectory(prefix="penstock-later-") as scratch:
        yield LaterRelease(case, repair, unpack(archive, Path(scratch) / "later"), sandbox)


PROBES = 3
"""Later releases whose tests are run to choose the one that judges."""
ENOUGH = 10
"""With so many more passing tests, no further release is tried."""


def find_later(case: ReleasedCase, sandbox: Sandbox, cache: Path | None = None) -> Release | None:
    """The release after the fix with the most tests that pass with the fix and that the solver does not see: the
    newest if it has `ENOUGH`. None if no later release has any. Raises `ReleaseUnavailable` and `SandboxUnavailable`.
    """
    versions = release_versions(case.fields.package)
    after = case.fields.after.version
    later = versions[versions.index(after) + 1 :] if after in versions else []
    probes = dict.fromkeys(later[at] for at in (-1, len(later) // 2, 0)[:PROBES] if later)
    best: tuple[int, Release | None] = (0, None)
    with open_laid_over(case, cache) as repair:
        with checkout(repair, repair.fix) as root:
            shown = run_outcomes(root, repair.fields.test, sandbox).passed if probes else frozenset()
        for version in probes:
            archive = fetch_archive(case.fields.package, version, None, cache)
            release = Release(version=version, sha256=archive_hash(archive))
            with open_later(case, repair, release, sandbox, cache) as opened:
                if not test_files(opened.tests):
                    continue
                more = len(opened.run(repair.fix).passed - shown)
            best = max(best, (more, release), key=lambda one: one[0])
            if more >= ENOUGH:
                break
    return best[1]


def same_code(repair: RepairCase, patch: str) -> bool:
    """Whether a patch and the fix lead to the same Python programs, ignoring comments, docstrings and layout."""
    return programs(repair, patch) == programs(repair, repair.fix)


def programs(repair: RepairCase, patch: str) -> dict[str, str]:
    """The syntax tree of each file that a patch changes. Raises `core.git.GitError` if it does not apply."""
    changed = {}
    with tempfile.TemporaryDirectory(prefix="penstock-same-") as scratch:
        root = Path(scratch) / "repo"
        copy_files(files_of(repair.repo), repair.repo, root)
        apply(root, patch)
        for name in files_of(root):
            old = repair.repo / name
            if name.endswith(".py") and (not old.is_file() or old.read_bytes() != (root / name).read_bytes()):
                changed[name] = ast.dump(_without_docstrings(ast.parse((root / name).read_bytes())))
    return changed


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1:
                del node.body[0]
    return tree
