"""Runs the tests of a checkout as an attempt does before it searches, for people and for measurements."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from assets.executions.attempt.reproduce import find_tests, measure_baseline
from assets.executions.attempt.state import AttemptInput, AttemptState, Callbacks
from assets.executions.engines.search.engine import Search
from assets.executions.repository.checkout import Checkout
from assets.executions.trial.baseline import Baseline
from core.work import Budget, Packages, Plan, TaskContext, TaskText
from sandbox.environments.prepare import Options
from sandbox.protocol import Sandbox


@dataclass(frozen=True)
class SuiteResult:
    """`packages` are those the tests ran with, None for Penstock's own, and `services` what ran beside them; the times
    are in seconds, `environment_seconds` for making or finding the environment."""

    baseline: Baseline
    packages: Packages | None
    command: tuple[str, ...]
    notes: tuple[str, ...]
    environment_seconds: float
    suite_seconds: float
    services: tuple[str, ...] = ()


def run_suite(
    checkout: Checkout,
    sandbox: Sandbox,
    options: Options | None,
    seconds: float,
    test_command: str | None = None,
    progress: Callable[[str], object] = str,
) -> SuiteResult:
    """Runs all tests once, and those that fail once more, within `seconds`.

    Raises `EnvironmentRefused`, `NoTests`, `WorkerDied` and `SandboxUnavailable`."""
    plan = Plan(goal="", hypotheses=(), steps=(), acceptance=(), budget=Budget(seconds=seconds))
    context = TaskContext(source="", commit=checkout.commit, index_version="0", models=(), locations=())
    given = AttemptInput(TaskText(title=""), context, plan, checkout, test_command, environments=options)

    def record(kind: str, body: dict[str, object]) -> None:
        if kind == "environment":
            progress(str(body.get("step", "")))

    attempt = AttemptState(given, Search(), sandbox, Callbacks(record=record))
    try:
        attempt.open_environment(any_language=True)
        find_tests(attempt)
        progress("running the tests")
        began = time.monotonic()
        _, baseline = measure_baseline(attempt)
        return SuiteResult(
            baseline,
            attempt.findings.packages,
            (attempt.black_box or attempt.command).shown,
            tuple(dict.fromkeys(attempt.findings.notes)),
            attempt.findings.timings.get("environment", 0.0),
            time.monotonic() - began,
            attempt.findings.services,
        )
    finally:
        attempt.close()
