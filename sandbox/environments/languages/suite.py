"""Runs tests of a repository in a session with its environment, and reads their reports."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.environments.services import Services, problem_of
from sandbox.protocol import Environment, Limits, Sandbox, SandboxUnavailable, Session, in_folder
from sandbox.reports import TestCase, unique

from .prepare import LanguageEnvironment
from .protocol import Ran, TestPlan

_MOST_REPORT = 16 << 20
_MOST_REPORTS = 2_000
_OUTPUT = 64 << 20
_REMOVE = 'for pattern; do find . -path "$pattern" -type f -delete; done'
_LIST = 'for pattern; do find . -path "$pattern" -type f; done'


class SuiteFailed(Exception):
    """The tests could not be run; the message is the end of what was said."""


@dataclass(frozen=True)
class SuiteRun:
    """One run. `limit` is the limit that ended it, empty for none; `said` the end of what the runner said."""

    cases: tuple[TestCase, ...]
    seconds: float
    limit: str = ""
    said: str = ""


def open_session(
    environment: LanguageEnvironment,
    root: Path,
    sandbox: Sandbox,
    limits: Limits,
    variables: Mapping[str, str],
    services: Services | None = None,
) -> Session:
    """A session on a copy of `root` in which the tests can be run, with these services for each run. Raises
    `SuiteFailed`, and what opening raises."""
    limits = replace(limits, output_bytes=max(limits.output_bytes, _OUTPUT), disk_bytes=max(limits.disk_bytes, 4 << 30),
                     file_bytes=max(limits.file_bytes, 1 << 30), processes=max(limits.processes, 256))  # fmt: skip
    given = {**environment.variables, "NO_COLOR": "1", "CI": "true", **variables}
    start = Environment(root, environment.mounts, given)
    session = sandbox.open(services.added_to(start) if services is not None else start, limits)
    try:
        for command in environment.language.prepare(environment.needs):
            done = session.run(list(command))
            if not done.ok:
                raise SuiteFailed(f"the environment cannot be used: {_end(done.stdout, done.stderr)}")
    except BaseException:
        session.close()
        raise
    return session


def run_tests(
    environment: LanguageEnvironment,
    session: Session,
    limits: Limits,
    tests: Sequence[str] = (),
    seconds: float = 600.0,
) -> SuiteRun:
    """Runs tests (all if none are named) within `seconds`. Raises `SandboxUnavailable`, and `SuiteFailed` when the
    session's services did not get ready."""
    language, needs = environment.language, environment.needs
    began = time.monotonic()
    cases: list[TestCase] = []
    limit, said = "", ""
    for plan in language.plans(needs, tests, seconds):
        left = seconds - (time.monotonic() - began)
        if left <= 0:
            limit = limit or "wall"
            break
        ran, ended = _run(plan, session, limits, left)
        limit = limit or ended
        cases += language.results(needs, ran, environment.tree)
        said = _end(ran.output, ran.errors)
    return SuiteRun(tuple(unique(cases)), time.monotonic() - began, limit, said)


def _run(plan: TestPlan, session: Session, limits: Limits, seconds: float) -> tuple[Ran, str]:
    patterns = [f"./{pattern}" for pattern in plan.reports]
    if patterns:
        session.run(["/bin/sh", "-c", _REMOVE, "sh", *patterns])
    given = replace(limits, output_bytes=_OUTPUT, disk_bytes=max(limits.disk_bytes, 4 << 30),
                    file_bytes=max(limits.file_bytes, 1 << 30), processes=max(limits.processes, 256))  # fmt: skip
    done = session.run(in_folder(plan.folder, plan.command), limits=given.with_wall(seconds),
                       variables=plan.variables, services=True)  # fmt: skip
    if why := problem_of(done):
        raise SuiteFailed(f"the services that the tests need did not start: {why}")
    reports: dict[str, bytes] = {}
    if patterns:
        listed = session.run(["/bin/sh", "-c", _LIST, "sh", *patterns]).stdout.decode(errors="replace")
        for path in sorted(set(listed.splitlines()))[:_MOST_REPORTS]:
            try:
                reports[path.removeprefix("./")] = session.read(path, _MOST_REPORT)
            except SandboxUnavailable:
                raise
            except (OSError, ValueError):
                continue
    return Ran(plan, done.exit_code, done.stdout, done.stderr, reports), str(done.limit or "")


def _end(output: bytes, errors: bytes) -> str:
    return (output[-2000:] + b"\n" + errors[-2000:]).decode(errors="replace").strip()[-2000:]
