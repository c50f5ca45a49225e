"""Failing tests that pass in another time zone: they need a machine that is set up for it, and reproduce nothing here.

Only tests that execute a file with a function of the local time, or have one in their own file, are run again.
"""

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assets.executions.trial.baseline import Allowance, Baseline, outcomes_of
from assets.executions.trial.environment.case import text_of
from assets.executions.trial.worker_client import Worker
from core.work import EnvironmentFailure, Outcome

ZONES: Mapping[str, str] = {
    "Europe/Berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
    "Europe/London": "GMT0BST,M3.5.0/1,M10.5.0",
    "America/Los_Angeles": "PST8PDT,M3.2.0,M11.1.0",
    "Asia/Kolkata": "IST-5:30",
    "Asia/Tokyo": "JST-9",
    "Australia/Sydney": "AEST-10AEDT,M10.1.0,M4.1.0/3",
}
"""Names, and their rules in the form that POSIX gives, which needs no time zone data."""
MOST_TESTS = 40
SHARE = 0.15
"""The part of an allowance that all zones together may take."""
_RUNS = 2
"""A test that passes at times depends on something else."""
_LOCAL = re.compile(
    r"\b(?:fromtimestamp|timestamp|localtime|mktime|tzset|astimezone|now|today|ctime|strftime|tzlocal)\s*\(|"
    r"\btime\.(?:timezone|altzone|tzname|daylight)\b"
)


def apart_for_time_zone(
    worker: Worker, root: Path, baseline: Baseline, variables: Mapping[str, str], allowance: Allowance
) -> Baseline:
    """The baseline with the tests set apart that fail here and pass, twice, in another time zone. `variables` are those
    of the test command; one that sets a time zone decides by itself. Raises `WorkerDied`."""
    tests = [] if "TZ" in variables else _tests(root, baseline)
    until = time.monotonic() + SHARE * allowance.seconds
    found: list[EnvironmentFailure] = []
    for zone, rules in ZONES.items():
        passing = tests
        for _ in range(_RUNS):
            left = until - time.monotonic()
            if not passing or left <= 0:
                return baseline.without(found)
            answer = _run(worker, passing, {**variables, "TZ": rules}, allowance.within(left))
            outcomes = outcomes_of(answer)
            passing = [test for test in passing if outcomes.get(test) is Outcome.PASSED]
            if not passing:
                break
        if passing:
            found.append(_failure(zone, passing))
            tests = [test for test in tests if test not in passing]
    return baseline.without(found)


def _tests(root: Path, baseline: Baseline) -> list[str]:
    """Failing tests that may depend on the local time, unless they were stopped."""
    known: dict[str, bool] = {}

    def local(paths: Iterable[str]) -> bool:
        for path in paths:
            if path not in known:
                known[path] = _LOCAL.search(text_of(root, path)) is not None
        return any(known[path] for path in paths)

    executed = {test: {baseline.places[n][0] for n in baseline.hits.get(test, ())} for test in baseline.failing}
    quick = [t for t in executed if "::" in t and t not in baseline.run.stopped and t not in baseline.uncollected]
    return [test for test in quick if local({*executed[test], test.partition("::")[0]})][:MOST_TESTS]


def _run(worker: Worker, tests: list[str], variables: Mapping[str, str], allowance: Allowance) -> dict[str, Any]:
    fields = allowance.as_fields()
    return worker.ask("run", allowance.seconds + 15, select=tests, variables=dict(variables), **fields)


def _failure(zone: str, tests: list[str]) -> EnvironmentFailure:
    they = "it passes" if len(tests) == 1 else "they pass"
    return EnvironmentFailure(
        kind="time zone",
        missing=f"a machine in another time zone ({they} with TZ={zone} on the unchanged commit)",
        remedy=f'Set it in the test command: `--test "TZ={zone} python -m pytest"`, or `test` in penstock.toml.',
        tests=tuple(tests),
    )
