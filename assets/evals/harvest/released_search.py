"""Finds released fixes: of two consecutive source releases, tests of the later one that fail on the earlier one, and
the few lines that make them pass.

These are candidates for a reviewer, who decides whether a difference is a bug fix and how a user would report the bug.
All code of the releases runs in the sandbox.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sandbox.protocol import Sandbox, SandboxUnavailable, WorkspaceRefused

from .released_fix import Piece, changed_lines, files_with, notes_between, pieces_between, unified
from .released_tests import (
    Outcomes,
    copy_files,
    files_of,
    import_folders,
    is_released_test,
    pytest_command,
    run_outcomes,
    test_files,
)
from .released_trials import first_good
from .releases import archive_hash, fetch_archive, release_versions, unpack

MAX_PIECES = 60
"""More differences than this are a rewrite, in which no single fix can be isolated."""
MAX_FAILING = 25
"""More failing tests than this indicate a new feature or a changed interface."""
SLOW_SECONDS = 10.0
"""Of a suite that takes longer, a case keeps only the files with a failing test."""
MAX_TRIALS = 120
"""Variants that are tried to isolate one fix from the rest of a release."""


@dataclass(frozen=True)
class ReleasedFix:
    """A candidate. `fails` are pytest ids that fail before the fix and pass after it; `keeps` are test files that pass
    both times, except for the ids in `left_out`; `lines` is the size of the fix (`released_fix.changed_lines`)."""

    package: str
    before: str
    before_sha256: str
    after: str
    after_sha256: str
    pieces: tuple[Piece, ...]
    lines: int
    fails: tuple[str, ...]
    keeps: tuple[str, ...]
    left_out: tuple[str, ...]
    foreign: tuple[str, ...]
    """Modules of other packages that the tests imported."""
    seconds: float
    patch: str
    notes: str
    """Lines that are new in the later release's changelog. Like `patch`, only for the reviewer: a set holds no code."""


def find_fixes(
    package: str,
    sandbox: Sandbox,
    *,
    last: int = 8,
    max_lines: int = 60,
    max_files: int = 3,
    tell: Callable[[str], None] = lambda line: None,
    cache: Path | None = None,
) -> Iterator[ReleasedFix]:
    """Searches the newest `last` pairs of consecutive releases, newest first. A pair is skipped if it has no tests, is
    a rewrite, or its tests cannot be run; `tell` receives the reason. Raises `ReleaseUnavailable`."""
    versions = release_versions(package)
    for before, after in list(reversed(list(pairwise(versions))))[:last]:
        with tempfile.TemporaryDirectory(prefix="penstock-fixes-") as scratch:
            pair = _open(package, before, after, Path(scratch), cache)
            name = f"{package} {before} to {after}"
            try:
                yield from _Pair(pair, sandbox, name, tell, max_lines, max_files).fixes()
            except (SandboxUnavailable, WorkspaceRefused) as error:
                tell(f"{name}: {error}")


@dataclass(frozen=True)
class _Releases:
    package: str
    versions: tuple[str, str]
    hashes: tuple[str, str]
    before: Path
    after: Path
    scratch: Path


def _open(package: str, before: str, after: str, scratch: Path, cache: Path | None) -> _Releases:
    archives = [fetch_archive(package, version, None, cache) for version in (before, after)]
    roots = [unpack(archive, scratch / place) for archive, place in zip(archives, ("before", "after"), strict=True)]
    return _Releases(
        package, (before, after), (archive_hash(archives[0]), archive_hash(archives[1])), roots[0], roots[1], scratch
    )


class _Pair:
    """The search in one pair of releases."""

    def __init__(
        self,
        pair: _Releases,
        sandbox: Sandbox,
        name: str,
        tell: Callable[[str], None],
        max_lines: int,
        max_files: int,
    ) -> None:
        self.pair, self.sandbox, self.name, self.tell = pair, sandbox, name, tell
        self.max_lines, self.max_files = max_lines, max_files
        self.between = pieces_between(pair.before, pair.after)
        self.tests = [path for path in files_of(pair.after) if is_released_test(path)]

    def fixes(self) -> Iterator[ReleasedFix]:
        runnable = test_files(self.pair.after)
        if not runnable or not self.between or len(self.between) > MAX_PIECES:
            self.tell(f"{self.name}: skipped: {len(runnable)} test files, {len(self.between)} differences in source")
            return
        old = self._run((), runnable)
        if not old.failed or not old.passed:
            self.tell(
                f"{self.name}: skipped: on the earlier sources, {len(old.failed)} tests of the later release fail "
                f"and {len(old.passed)} pass"
            )
            return
        new = self._run(tuple(self.between), runnable)
        wanted = sorted(new.passed & old.failed)
        self.tell(f"{self.name}: {len(wanted)} tests fail before and pass after; {len(self.between)} differences")
        if len(wanted) > MAX_FAILING:
            return
        while wanted:
            found = self._smallest(wanted[0])
            kept = old.passed if old.seconds < SLOW_SECONDS else ()
            files = sorted({name.partition("::")[0] for name in (*kept, *wanted)})
            healed = self._run(found, files)
            fails = tuple(name for name in wanted if name in healed.passed)
            if wanted[0] not in fails:
                self.tell(f"{self.name}: {wanted.pop(0)}: with its fix it passes alone, but not with the others")
                continue
            wanted = [name for name in wanted if name not in fails]
            lines, changed = changed_lines(found, self.between), len({piece.path for piece in found})
            if lines > self.max_lines or changed > self.max_files:
                self.tell(f"{self.name}: {fails[0]}: skipped: its fix has {lines} lines in {changed} files")
                continue
            yield self._candidate(found, fails, files, lines, old, healed)

    def _smallest(self, test: str) -> tuple[Piece, ...]:
        """A minimal subset of the pieces that makes the test pass (delta debugging: Zeller and Hildebrandt, 2002), or
        the smallest one found within about `MAX_TRIALS` trials."""
        root = self._tree(())
        command = pytest_command(import_folders(root), [test])
        needed, parts, tried = list(self.between), 2, 0
        while len(needed) > 1 and tried < MAX_TRIALS:
            size = -(-len(needed) // parts)
            chunks = [needed[at : at + size] for at in range(0, len(needed), size)]
            rests = [[piece for piece in needed if piece not in chunk] for chunk in chunks] if len(chunks) > 2 else []
            options = [*chunks, *rests]
            variants = [files_with(option, self.between, self.pair.before) for option in options]
            chosen = first_good(root, command, variants, self.sandbox)
            tried += len(options) if chosen is None else chosen + 1
            if chosen is not None:
                needed = options[chosen]
                parts = 2 if chosen < len(chunks) else max(parts - 1, 2)
            elif parts >= len(needed):
                break
            else:
                parts = min(len(needed), parts * 2)
        return tuple(needed)

    def _candidate(
        self,
        pieces: tuple[Piece, ...],
        fails: tuple[str, ...],
        files: Sequence[str],
        lines: int,
        old: Outcomes,
        healed: Outcomes,
    ) -> ReleasedFix:
        own_files = [name for name in test_files(self.pair.before) if name in files]
        own = self._run(pieces, own_files, own_tests=True).failed if own_files else frozenset()
        bad = (old.failed | healed.failed | own).difference(fails)
        # `bad` has the name of a file that cannot be collected; such a file is not kept.
        keeps = [name for name in files if name not in bad or any(test.startswith(f"{name}::") for test in fails)]
        left_out = [name for name in bad if "::" in name and name.partition("::")[0] in keeps]
        pair = self.pair
        return ReleasedFix(
            pair.package, pair.versions[0], pair.hashes[0], pair.versions[1], pair.hashes[1], pieces, lines, fails,
            tuple(keeps), tuple(sorted(left_out)), tuple(sorted({*old.foreign, *healed.foreign})),
            round(healed.seconds, 2), unified(pieces, self.between, pair.before),
            notes_between(pair.before, pair.after),
        )  # fmt: skip

    def _run(self, pieces: Sequence[Piece], tests: Sequence[str], *, own_tests: bool = False) -> Outcomes:
        root = self._tree(pieces, own_tests=own_tests)
        return run_outcomes(root, pytest_command(import_folders(root), tests), self.sandbox)

    def _tree(self, pieces: Sequence[Piece], *, own_tests: bool = False) -> Path:
        root = self.pair.scratch / "tree"
        shutil.rmtree(root, ignore_errors=True)
        copy_files(files_of(self.pair.before), self.pair.before, root)
        if not own_tests:
            copy_files(self.tests, self.pair.after, root)
        for path, content in files_with(pieces, self.between, self.pair.before).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        return root
