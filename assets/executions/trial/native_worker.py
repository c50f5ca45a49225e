"""Runs the tests of a repository in another language than Python by its own runner, in the operations of a `Worker`.

There is no trial in place: each candidate is written into the session, its target tests are run, and what it replaced
is written back. What tests execute is only measured when it is asked for (`cover`).
"""

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.executions.trial.go_candidates import try_together
from assets.executions.trial.serial_batch import run_each
from assets.executions.trial.worker_client import WorkerDied
from sandbox.environments.languages.coverage import covered
from sandbox.environments.languages.prepare import LanguageEnvironment
from sandbox.environments.languages.suite import SuiteFailed, SuiteRun, open_session, run_tests
from sandbox.environments.services import Services
from sandbox.protocol import Limits, Sandbox, WorkspaceRefused
from sandbox.reports import TestCase

_MOST_SELECTED = 200


class NativeWorker:
    """Runs tests of `root` in a session with the environment; each run has services of its own. Raises `WorkerDied`
    when it cannot be used."""

    def __init__(
        self,
        sandbox: Sandbox,
        root: Path,
        environment: LanguageEnvironment,
        limits: Limits,
        services: Services | None = None,
    ) -> None:
        self.limits = limits
        self.overhead = 0.0
        self._environment = environment
        self._opened: dict[str, Any] | None = None
        try:
            self.session = open_session(environment, root, sandbox, limits, {}, services)
        except (SuiteFailed, WorkspaceRefused) as error:
            raise WorkerDied(str(error)) from error

    def start(self) -> None:
        """Nothing runs between operations."""

    def wait(self, timeout: float) -> None:
        """It is always ready."""

    def ask(self, operation: str, timeout: float, **fields: Any) -> dict[str, Any]:
        seconds = max(1.0, min(timeout, float(fields.get("seconds", timeout))))
        if operation == "open":
            began = time.monotonic()
            self._opened = self._suite((), seconds)
            tests = list(self._opened["outcomes"])
            self.overhead = max(0.0, time.monotonic() - began - sum(self._opened["seconds"].values()))
            return {"tests": tests, "unittest": None, "errors": {}, "broken": None, "seconds": 0.0}
        if operation == "run":
            select = fields.get("select")
            if not select and self._opened is not None:
                answer, self._opened = self._opened, None
                return answer
            return self._suite(select or (), seconds)
        if operation == "fresh" and "files" in fields:
            return {"trial": self._trial(fields["files"], fields["targets"], seconds)}
        if operation == "try":
            return {"trials": self._together(fields, seconds)}
        if operation == "cover":
            return {"lines": covered(self._environment, self.session, self.limits, fields["tests"], seconds)}
        if operation == "fresh":
            return self._suite(fields.get("select") or (), seconds)
        raise WorkerDied(f"{self._environment.language.title} tests cannot be used to {operation}")

    def stop(self) -> None:
        """Nothing runs between operations."""

    def close(self) -> None:
        self.session.close()

    def _run(self, tests: Collection[str], seconds: float) -> SuiteRun:
        selected: Sequence[str] = tuple(tests) if len(tests) <= _MOST_SELECTED else ()
        try:
            return run_tests(self._environment, self.session, self.limits, selected, seconds)
        except SuiteFailed as error:
            raise WorkerDied(str(error)) from error

    def _suite(self, select: Collection[str], seconds: float) -> dict[str, Any]:
        """A run as a worker's answer. Tests that were asked for and have no result are unfinished."""
        run = self._run(select, seconds)
        if not run.cases and not run.limit and not select:
            raise WorkerDied(f"{self._environment.needs.runner} ran no test: {run.said[-800:]}")
        cases = {case.id: case for case in run.cases}
        if select:
            cases = {test: cases[test] for test in select if test in cases}
        return {
            "outcomes": {case.id: case.outcome for case in cases.values()},
            "failures": {case.id: [_failure(case)] for case in _bad(cases.values())},
            "seconds": {case.id: case.seconds or 0.0 for case in cases.values()},
            "unfinished": [test for test in select if test not in cases] if run.limit else [],
            "stopped": {},
            "ended": bool(run.limit),
        }

    def _trial(self, files: Mapping[str, str | None], targets: Sequence[str], seconds: float) -> dict[str, Any]:
        """Runs the targets with files replaced, added or (None) deleted, and puts back what was there. Contents hold
        each byte as the character of that number."""
        before: dict[str, bytes | None] = {}
        try:
            for path, text in files.items():
                before[path] = self._content(path)
                self._put(path, None if text is None else text.encode("latin-1"))
            return self._judged(self._run(targets, seconds), targets)
        finally:
            for path, content in before.items():
                self._put(path, content)

    def _together(self, fields: Mapping[str, Any], seconds: float) -> list[dict[str, Any] | None]:
        """Trials of many candidates at once; None for each that must be tried by itself."""
        before = {path: text for path, text in fields["before"].items() if text is not None}
        candidates: list[Mapping[str, str | None]] = fields["candidates"]
        targets, each = fields["targets"], float(fields["each"])
        given = (before, candidates, targets, each, seconds)
        if self._environment.language.name == "go":
            return try_together(self._environment, self.session, self.limits, self._put, *given)
        runs = run_each(self._environment, self.session, self.limits, *given)
        return [None if run is None else self._judged(run, targets) for run in runs]

    def _judged(self, run: SuiteRun, targets: Sequence[str]) -> dict[str, Any]:
        cases = {case.id: case for case in run.cases}
        passed = [number for number, test in enumerate(targets) if test in cases and cases[test].outcome == "passed"]
        failed = [cases[test] for test in targets if test in cases and cases[test].outcome != "passed"]
        broken = [case for case in run.cases if case.outcome == "error"]
        if len(passed) == len(targets):
            return {"s": "pass", "p": passed}
        first = next(iter([*failed, *broken]), None)
        message = first.message if first is not None else run.said[-2000:]
        status = "compile" if broken else "hang" if run.limit else "fail"
        return {"s": status, "p": passed, "g": message[:400], "t": first.id if first is not None else "", "m": message}

    def _content(self, path: str) -> bytes | None:
        try:
            return self.session.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise WorkerDied(f"{path} cannot be read in the sandbox: {error}") from error

    def _put(self, path: str, content: bytes | None) -> None:
        if content is not None:
            with contextlib.suppress(FileNotFoundError):
                self.session.write(path, content)
        elif not self.session.run(["rm", "-f", "--", f"./{path}"]).ok:
            raise WorkerDied(f"{path} could not be deleted in the sandbox")


def _bad(cases: Iterable[TestCase]) -> list[TestCase]:
    return [case for case in cases if case.outcome in ("failed", "error")]


def _failure(case: TestCase) -> dict[str, Any]:
    """A failed case as a worker tells it."""
    frames = [(case.path, case.line, "")] if case.path else []
    return {"type": "Error" if case.outcome == "error" else "Failed", "message": case.message, "frames": frames,
            "when": "call"}  # fmt: skip
