"""Runs the suite on the unchanged commit; when no test fails, looks for another way to reproduce the problem."""

import time

from assets.executions.attempt.issue_examples import EXAMPLE_FILE, example_tests
from assets.executions.attempt.state import AttemptState
from assets.executions.judging.verify import run_command
from assets.executions.repository.languages import native_command, without_tests
from assets.executions.repository.test_command import (
    COMMAND_FILE,
    NoTests,
    black_box,
    command_id,
    command_test,
    detect,
    number_of_tests,
)
from assets.executions.trial.baseline import Baseline, measure
from assets.executions.trial.environment.case import passed
from assets.executions.trial.environment.classify import notes, set_apart, summary
from assets.executions.trial.environment.time_zones import apart_for_time_zone
from assets.executions.trial.worker_client import Worker
from core.work import Outcome

_LARGE = 20
"""Tests of a suite of which most should pass before a fault is repaired."""


def find_tests(attempt: AttemptState) -> None:
    """Determines how the tests are run. Raises `NoTests`."""
    root = attempt.checkout.root
    if attempt.native is not None:
        attempt.command = native_command(attempt.native)
        if attempt.test_command:
            attempt.black_box = black_box(attempt.test_command)
        return
    try:
        attempt.command = detect(root, attempt.test_command, attempt.installed)
    except NoTests as reason:
        other = without_tests(attempt.checkout)
        raise NoTests(f"no tests found: {other} Give the command that runs them with --test, or `test` in penstock.toml"
                      if other else str(reason)) from reason  # fmt: skip
    if attempt.command.runner == "command":
        # Only the exit code of such a command is known: our own runner says which tests fail, the command decides.
        attempt.black_box = attempt.command
        try:
            attempt.command = detect(root, None, attempt.installed)
        except NoTests:
            attempt.command = detect(
                root, "python -m pytest", attempt.installed
            )  # collects nothing: only the given command counts


def measure_baseline(attempt: AttemptState) -> tuple[Worker, Baseline]:
    """Measures the suite's baseline. When no test fails, measures it again with the given command as one more test, or
    with the issue's examples as tests. Raises `WorkerDied`."""
    began = time.monotonic()
    worker = attempt.open_worker()
    worker.start()
    worker.wait(attempt.left)
    # Not earlier: on few cores, two interpreters that start together slow each other down.
    attempt.prepare_worker()
    baseline = _measure(attempt, worker, 0.45)
    if _breaks(baseline):
        worker, baseline = _with_older_packages(attempt, worker, baseline)
    if _can_add_test(attempt, baseline) and _add_test(attempt, baseline):
        worker = attempt.open_worker()
        attempt.prepare_worker()
        baseline = _measure(attempt, worker, 0.3)
    attempt.findings.baseline = baseline
    attempt.findings.notes.extend((*baseline.notes, *notes(baseline)))
    attempt.findings.spent("baseline", began)
    attempt.reserve = min(0.4 * attempt.budget.seconds, 1.5 * attempt.findings.timings["baseline"] + 1.0)
    return worker, baseline


def _breaks(baseline: Baseline) -> bool:
    """Whether as many test files could not be collected as could, or most of a larger suite fails."""
    collected = {test.split("::")[0] for test in baseline.tests}
    uncollected = len(baseline.uncollected) >= max(1, len(collected))
    return uncollected or (len(baseline.tests) >= _LARGE and 2 * passed(baseline) < len(baseline.tests))


def _with_older_packages(attempt: AttemptState, worker: Worker, baseline: Baseline) -> tuple[Worker, Baseline]:
    """The baseline with the versions of packages at the commit's date, when more tests pass with them, or as many and
    more are collected."""
    older = attempt.open_older_environment()
    if older is None:
        return worker, baseline
    newest = attempt.exchange(older)
    find_tests(attempt)
    another = attempt.open_worker()
    measured = _measure(attempt, another, 0.3)
    if (passed(measured), len(measured.tests)) > (passed(baseline), len(baseline.tests)):
        attempt.prepare_worker()
        attempt.keep_older(
            f"With the newest versions of its packages {_counts(baseline)}, with those of the commit's date "
            f"{_counts(measured)}: the latter are used."
        )
        kept, left = (another, measured), newest
    else:
        attempt.exchange(newest)
        find_tests(attempt)
        kept, left = (worker, baseline), older
        another.close()
    if left is not None:
        left.close()
    return kept


def _counts(baseline: Baseline) -> str:
    return f"{passed(baseline)} of {number_of_tests(baseline.tests)} could be collected and passed"


def _measure(attempt: AttemptState, worker: Worker, share: float) -> Baseline:
    allowance = attempt.allowance(share * attempt.left)
    baseline = measure(worker, attempt.command, allowance)
    if attempt.black_box is not None:
        baseline = baseline.with_outcome(*run_command(worker, attempt.black_box, allowance))
    root = attempt.checkout.root
    apart = set_apart(root, baseline, attempt.installed)
    return apart_for_time_zone(worker, root, apart, attempt.command.variables, allowance)


def _can_add_test(attempt: AttemptState, baseline: Baseline) -> bool:
    """Whether no test fails although the suite runs: not when what is missing keeps all of it from running, nor where a
    test in Python cannot be added."""
    ran = any(outcome is not Outcome.UNKNOWN for outcome in baseline.run.outcomes.values())
    return not baseline.failing and ran and attempt.native is None


def _add_test(attempt: AttemptState, baseline: Baseline) -> bool:
    """Adds the given command as a test when it fails, else the issue's examples; False when there is neither."""
    if attempt.black_box is not None and baseline.run.outcomes[command_id(attempt.black_box)] is Outcome.FAILED:
        name, content = COMMAND_FILE, command_test(attempt.black_box.arguments[0], attempt.budget.seconds / 4)
        why = "The given command fails although no single test does; it was used as one test."
    else:
        examples = example_tests(attempt.task.text, attempt.files)
        if examples is None:
            return False
        name, content = EXAMPLE_FILE, examples
        why = "No test fails; the examples in the issue were used as tests."
    attempt.record("reproduce", {"command": [name], "why": why})
    attempt.findings.notes.append(why)
    attempt.extra = {name: content.encode()}
    attempt.command = attempt.command.with_file(name)
    return True


def not_reproduced(attempt: AttemptState, baseline: Baseline) -> str:
    """The summary of an attempt that ends because no test fails, or each for what its environment lacks."""
    if (missing := summary(baseline)) is not None:
        return missing
    ran = len(baseline.run.outcomes)
    flaky = f" ({len(baseline.flaky)} gave different results each time)" if baseline.flaky else ""
    text = f"Not reproduced: none of the {ran} tests fails reliably on the unchanged commit{flaky}"
    if EXAMPLE_FILE in attempt.extra:
        text += ", nor do the examples in the issue"
    return f"{text}. A test that fails because of the problem is needed."
