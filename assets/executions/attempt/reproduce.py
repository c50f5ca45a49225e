"""Runs the suite on the unchanged commit; where no test of it fails, finds others that show the problem."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from assets.executions.judging.verify import run_command
from assets.executions.trial.worker_client import Spare, Worker
from core.work import Execution, Outcome

from .baseline import Baseline, measure
from .issue_examples import EXAMPLE_FILE, example_tests
from .test_command import COMMAND_FILE, NoTests, TestCommand, command_id, command_test, detect

if TYPE_CHECKING:
    from .state import AttemptState


def looking_inside(attempt: "AttemptState") -> TestCommand:
    """Our own runner beside a black box; one that collects nothing where the box is all there is."""
    try:
        return detect(attempt.checkout.root, None)
    except NoTests:
        return detect(attempt.checkout.root, "python -m pytest")


def unreproduced(attempt: "AttemptState", baseline: Baseline) -> Execution:
    """How an attempt ends for which no test fails."""
    ran = len(baseline.run.outcomes)
    flaky = f" ({len(baseline.flaky)} gave different results each time)" if baseline.flaky else ""
    text = f"Not reproduced: none of the {ran} tests fails reliably on the unchanged commit{flaky}"
    if EXAMPLE_FILE in attempt.extra:
        text += ", nor do the examples in the issue"
    return attempt.findings.ended(None, f"{text}. A test that fails because of the problem is needed.")


def measured(attempt: "AttemptState") -> tuple[Worker, Baseline]:
    """The suite's baseline; when no test fails, once more with the issue's own examples as tests."""
    began = time.monotonic()
    # The longest that any one process of this attempt can take is what is left of its budget.
    wall = attempt.left + 30
    attempt.limits = replace(attempt.limits, wall_seconds=wall, cpu_seconds=2 * wall)
    worker = attempt.open_worker()
    worker.start()
    worker.wait(attempt.left)
    # Not before: two interpreters that start at once on few cores are both late.
    attempt.spare = Spare(attempt.open_worker)
    allowance = attempt.allowance(0.45 * attempt.left)
    baseline = measure(worker, attempt.command, allowance)
    if attempt.box is not None:
        baseline = baseline.with_outcome(*run_command(worker, attempt.box, allowance))
    if not baseline.failing and baseline.run.outcomes:
        worker, baseline = reproduced_otherwise(attempt, worker, baseline)
    attempt.findings.baseline = baseline
    attempt.findings.notes.extend(baseline.notes)
    attempt.findings.spent("baseline", began)
    attempt.reserve = min(0.4 * attempt.budget.seconds, 1.5 * attempt.findings.timings["baseline"] + 1.0)
    return worker, baseline


def reproduced_otherwise(attempt: "AttemptState", worker: Worker, baseline: Baseline) -> tuple[Worker, Baseline]:
    """For when no test of the suite fails: the given command as a whole, else the issue's own examples."""
    if attempt.box is not None and baseline.run.outcomes[command_id(attempt.box)] is Outcome.FAILED:
        name, content = COMMAND_FILE, command_test(attempt.box.arguments[0], attempt.budget.seconds / 4)
        why = "The given command fails although no single test does; it was taken as one test."
    else:
        examples = example_tests(attempt.task.text, attempt.files)
        if examples is None:
            return worker, baseline
        name, content = EXAMPLE_FILE, examples
        attempt.reproduction = "issue"
        why = "No test fails; the examples in the issue were taken as tests."
    attempt.record("reproduce", {"command": [name], "why": why})
    attempt.findings.notes.append(why)
    attempt.extra = {name: content.encode()}
    attempt.command = attempt.command.with_file(name)
    worker = attempt.open_worker()
    if attempt.spare is not None:
        attempt.spare.close()
    attempt.spare = Spare(attempt.open_worker)
    again = measure(worker, attempt.command, attempt.allowance(0.3 * attempt.left))
    if attempt.box is not None:
        again = again.with_outcome(*run_command(worker, attempt.box, attempt.allowance(0.3 * attempt.left)))
    return worker, again
