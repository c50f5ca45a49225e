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
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from assets.executions.repository.checkout import open_checkout
from assets.executions.repository.environment import environment_options, installed_in, open_environment
from assets.executions.repository.test_command import NoTests, detect
from assets.executions.trial.baseline import Allowance, measure
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.settings import load_settings
from core.work import Outcome
from sandbox import open_sandbox
from sandbox.environments.interpreters import interpreters
from sandbox.environments.registry import configured_index
from sandbox.environments.resolve import Resolver
from sandbox.environments.sdists import fetch_source
from sandbox.environments.uv import FetchFailed, Uv
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Limits, Sandbox

_SUITE_SECONDS = 150.0


@dataclass
class Row:
    """One package: `ran` when tests were collected and most of them passed."""

    package: str
    collected: int = 0
    passed: int = 0
    failed: int = 0
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
    uv = Uv(settings.cache / "uv", configured_index(settings.package_index))
    resolver = Resolver(uv, interpreters(settings.cache)[0])
    source = fetch_source(resolver, resolver.source(row.package), scratch)
    repository = scratch / "repository"
    shutil.copytree(source, repository, symlinks=True)
    _commit(repository)
    checkout = open_checkout(repository, "HEAD", scratch / "checkout")
    options = environment_options(settings, row.package, checkout)
    assert options is not None
    began = time.monotonic()
    environment, row.notes = open_environment(checkout, sandbox, options)
    row.environment_seconds = round(time.monotonic() - began, 2)
    if environment is None:
        row.why = "declares nothing"
    else:
        environment.close()
        began = time.monotonic()
        environment, row.notes = open_environment(checkout, sandbox, options)
        row.cached_seconds = round(time.monotonic() - began, 4)
        row.python = environment.entry.facts["python"] if environment else ""
    command = detect(checkout.root, checkout.settings.test, installed_in(environment))
    limits = Limits(wall_seconds=4 * _SUITE_SECONDS, cpu_seconds=8 * _SUITE_SECONDS)
    runtime = environment.runtime if environment else None
    with closing(Worker(sandbox, checkout.root, command, limits, runtime)) as worker:
        for path, file in (environment.generated() if environment else {}).items():
            worker.session.write(path, file.read_bytes())
        began = time.monotonic()
        baseline = measure(worker, command, Allowance(_SUITE_SECONDS, cpu=10, wall=20, deferred=20))
        row.suite_seconds = round(time.monotonic() - began, 2)
    outcomes = list(baseline.run.outcomes.values())
    row.collected, row.uncollected = len(baseline.tests), len(baseline.uncollected)
    row.passed = sum(outcome in (Outcome.PASSED, Outcome.SKIPPED) for outcome in outcomes)
    row.failed = sum(outcome in (Outcome.FAILED, Outcome.ERROR) for outcome in outcomes)
    failures = [f"{test}: {found[0].short}" for test, found in baseline.failures.items() if found]
    row.why = " | ".join(text[:180] for text in failures[:3])
    if environment is not None:
        environment.close()


def _commit(repository: Path) -> None:
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    author = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for arguments in (["init", "-q"], ["add", "-A", "-f"], [*author, "commit", "-q", "-m", "Release"]):
        subprocess.run(["git", *arguments], cwd=repository, env=variables, check=True, timeout=120)


if __name__ == "__main__":
    main()
