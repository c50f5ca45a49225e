"""What a repository's own linters, type checkers and compilers say about changes: only what the changes brought."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from assets.executions.engines.protocol import Checked
from assets.executions.trial.worker_client import Worker
from core.source_encoding import encode
from sandbox.checks import Diagnostic, checks_for, run_checks
from sandbox.protocol import Session

MOST_SECONDS = 60.0
"""For each checker."""


class Checking:
    """Checks changes in the session of the worker that tries candidates; each call leaves the session as it was."""

    def __init__(self, root: Path, language: str, worker: Callable[[], Worker], left: Callable[[], float]) -> None:
        self._root, self._language, self._worker, self._left = root, language, worker, left
        self._before: dict[frozenset[str], Counter[tuple[str, ...]]] = {}

    def __call__(self, files: Mapping[str, str | None]) -> Checked:
        """`files` are the changed files' texts, None for a deleted one. Raises `SandboxUnavailable`."""
        there = frozenset(path for path, text in files.items() if text is not None)
        worker = self._worker()
        checks = checks_for(self._language, self._root, there)
        if not checks:
            return Checked()
        if there not in self._before:
            known = [path for path in there if (self._root / path).is_file()]
            found, _ = run_checks(worker.session, checks_for(self._language, self._root, known), worker.limits,
                                  self._seconds)  # fmt: skip
            self._before[there] = Counter(one.same for one in found)
        with _changed(worker.session, self._root, files):
            found, ran = run_checks(worker.session, checks, worker.limits, self._seconds)
        before = self._before[there].copy()
        new: list[Diagnostic] = []
        for one in found:
            if before[one.same] > 0:
                before[one.same] -= 1
            else:
                new.append(one)
        return Checked(tuple(new), before.total(), tuple(ran))

    @property
    def _seconds(self) -> float:
        return max(1.0, min(MOST_SECONDS, 0.25 * self._left()))


@contextlib.contextmanager
def _changed(session: Session, root: Path, files: Mapping[str, str | None]) -> Iterator[None]:
    """With files replaced, added or deleted in the session; puts back those of the checkout."""
    try:
        for path, text in files.items():
            _put(session, path, None if text is None else encode(path, text))
        yield
    finally:
        for path in files:
            _put(session, path, (root / path).read_bytes() if (root / path).is_file() else None)


def _put(session: Session, path: str, content: bytes | None) -> None:
    if content is not None:
        session.write(path, content)
    else:
        session.run(["rm", "-f", "--", f"./{path}"])
