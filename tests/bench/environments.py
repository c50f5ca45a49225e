"""Whether the tests of public packages run in environments of their own, without a word of configuration.

    python -m tests.bench.environments --list FILE [--json FILE] [--backend B]

Each line of FILE is `name==version`. The source distribution is fetched by uv and becomes a git repository with one
commit; then its environment is made and its suite runs once. Prints for each package how many tests were collected,
which share of them passed, what the environment cost, and why a suite could not run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from assets.executions.attempt.suite import SuiteResult, run_suite
from assets.executions.repository.checkout import open_checkout
from assets.executions.repository.environment import environment_options, open_environment
from assets.executions.repository.test_command import NoTests
from assets.executions.trial.worker_client import WorkerDied
from core.settings import load_settings
from core.work import Outcome
from sandbox import open_sandbox
from sandbox.environments.interpreters import interpreters
from sandbox.environments.registry import configured_index
from sandbox.environments.resolve import Resolver
from sandbox.environments.sdists import fetch_source
from sandbox.environments.uv import Uv
from sandbox.environments.wanted import EnvironmentRefused, FetchFailed
from sandbox.protocol import Sandbox

_SECONDS = 300.0


@dataclass
class Row:
    """One package: `ran` when tests were collected and most of them passed."""

    package: str
    collected: int = 0
    passed: int = 0
    uncollected: int = 0
    environment_seconds: float = 0.0
    cached_seconds: float = 0.0
    suite_seconds: float = 0.0
    python: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ran(self) -> bool:
        return self.collected > 0 and self.passed >= 0.5 * self.collected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--list", type=Path, required=True, help="file with one name==version in each line")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--backend", default="auto")
    given = parser.parse_args()
    lines = [line.split("#")[0].strip() for line in given.list.read_text().splitlines()]
    sandbox = open_sandbox(given.backend)
    rows = []
    for requirement in filter(None, lines):
        row = Row(requirement)
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as scratch:
            try:
                _try(row, Path(scratch), sandbox)
            except (FetchFailed, EnvironmentRefused, NoTests, WorkerDied) as error:
                row.why = f"{type(error).__name__}: {error}"[:600]
        rows.append(row)
        _say(_line(row))
        for note in row.notes:
            _say(f"       {note[:400]}")
    _say(f"{sum(row.ran for row in rows)} of {len(rows)} ran; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
         f"{sandbox.name}")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _line(row: Row) -> str:
    share = f"{row.passed / row.collected:4.0%}" if row.collected else "   -"
    tests = f"{row.collected:6} collected {share} passed {row.uncollected:3} not collected"
    cost = f"environment {row.environment_seconds:5.1f} s (cached {row.cached_seconds * 1000:3.0f} ms)"
    return (
        f"{'ran ' if row.ran else 'NOT '} {row.package:28} {tests}, {cost}, suite {row.suite_seconds:5.1f} s, "
        f"Python {row.python} {row.why}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _try(row: Row, scratch: Path, sandbox: Sandbox) -> None:
    settings = load_settings()
    uv = Uv(settings.cache / "uv", configured_index(settings.package_index), hosts=settings.registry_hosts)
    resolver = Resolver(uv, interpreters(settings.cache)[0])
    pin = resolver.source(row.package)
    repository = scratch / "repository"
    shutil.copytree(fetch_source(resolver, pin, scratch), repository, symlinks=True)
    _commit(repository, pin.published or "2020-01-01T00:00:00Z")
    checkout = open_checkout(repository, "HEAD", scratch / "checkout")
    options = environment_options(settings, row.package, checkout)
    _measure(row, run_suite(checkout, sandbox, options, _SECONDS))
    began = time.monotonic()
    again = open_environment(checkout, sandbox, options)[0] if options else None
    row.cached_seconds = round(time.monotonic() - began, 4)
    if again is not None:
        again.close()


def _measure(row: Row, result: SuiteResult) -> None:
    baseline = result.baseline
    row.environment_seconds, row.suite_seconds = result.environment_seconds, round(result.suite_seconds, 2)
    row.python = result.packages.python if result.packages else "of Penstock"
    row.notes = result.notes
    outcomes = list(baseline.run.outcomes.values())
    row.collected, row.uncollected = len(baseline.tests), len(baseline.uncollected)
    row.passed = sum(outcome in (Outcome.PASSED, Outcome.SKIPPED) for outcome in outcomes)
    failures = [f"{test}: {found[0].short}" for test, found in baseline.failures.items() if found]
    row.why = " | ".join(text[:180] for text in failures[:3])


def _commit(repository: Path, when: str) -> None:
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
                 "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}  # fmt: skip
    author = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for arguments in (["init", "-q"], ["add", "-A", "-f"], [*author, "commit", "-q", "-m", "Release"]):
        subprocess.run(["git", *arguments], cwd=repository, env=variables, check=True, timeout=120)


if __name__ == "__main__":
    main()
