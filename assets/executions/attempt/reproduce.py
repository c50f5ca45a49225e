"""Runs the suite on the unchanged commit; when no test fails for the task, looks for another way to reproduce it."""

import hashlib
from dataclasses import replace

from assets.executions.attempt.derived.commands import console_scripts
from assets.executions.attempt.derived.derive import (
    Derived,
    NotDerived,
    evidence_in,
    place,
    probe,
    probe_module,
    question,
    written,
)
from assets.executions.attempt.derived.project_names import ProjectNames
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
from assets.executions.trial.worker_client import Worker, WorkerDied
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
    with a test derived from the issue's text. Raises `WorkerDied`."""
    began = attempt.journal.now()
    worker = attempt.open_worker()
    worker.start()
    worker.wait(attempt.left)
    # Not earlier: on few cores, two interpreters that start together slow each other down.
    attempt.prepare_worker()
    baseline = _measure(attempt, worker, 0.45)
    if _breaks(baseline):
        worker, baseline = _with_older_packages(attempt, worker, baseline)
    if _can_add_test(attempt, baseline) and _add_test(attempt, baseline):
        worker, baseline = _with_added_test(attempt)
    attempt.findings.baseline = baseline
    attempt.findings.notes.extend((*baseline.notes, *notes(baseline)))
    attempt.findings.spent("baseline", began)
    _set_reserve(attempt)
    return worker, baseline


def measure_with_derived_test(attempt: AttemptState, baseline: Baseline) -> tuple[Worker, Baseline] | None:
    """The baseline with a test derived from the task's text, for when none of the failing tests is about the task; None
    when none can be derived. Raises `WorkerDied`."""
    if attempt.derived or attempt.extra or attempt.native is not None:
        return None
    began = attempt.journal.now()
    made = _derive(attempt, baseline)
    measured = _with_added_test(attempt) if made else None
    attempt.findings.spent("baseline", began)
    if measured is not None:
        attempt.findings.baseline = measured[1]
        _set_reserve(attempt)
    return measured


def _set_reserve(attempt: AttemptState) -> None:
    attempt.reserve = min(0.4 * attempt.budget.seconds, 1.5 * attempt.findings.timings["baseline"] + 1.0)


def _with_added_test(attempt: AttemptState) -> tuple[Worker, Baseline]:
    worker = attempt.open_worker()
    attempt.prepare_worker()
    return worker, _measure(attempt, worker, 0.3)


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
    found = apart_for_time_zone(worker, root, apart, attempt.command.variables, allowance)
    observed = {"tests": len(found.run.outcomes), "failing": found.failing[:50], "seconds": found.run.seconds}
    attempt.seen = attempt.record("observed", {**observed, "notes": list(found.notes)})
    return found


def _can_add_test(attempt: AttemptState, baseline: Baseline) -> bool:
    """Whether no test fails although the suite runs: not when what is missing keeps all of it from running, nor where a
    test in Python cannot be added."""
    ran = any(outcome is not Outcome.UNKNOWN for outcome in baseline.run.outcomes.values())
    return not baseline.failing and ran and attempt.native is None


def _add_test(attempt: AttemptState, baseline: Baseline) -> bool:
    """Adds the given command as a test when it fails, else one derived from the issue; False when there is neither."""
    if attempt.black_box is not None and baseline.run.outcomes[command_id(attempt.black_box)] is Outcome.FAILED:
        name, content = COMMAND_FILE, command_test(attempt.black_box.arguments[0], attempt.budget.seconds / 4)
        why = "The given command fails although no single test does; it was used as one test."
        attempt.record("reproduce", {"command": [name], "why": why})
        attempt.findings.notes.append(why)
        attempt.extra = {name: content.encode()}
        attempt.command = attempt.command.with_file(name)
        return True
    return _derive(attempt, baseline)


def _derive(attempt: AttemptState, baseline: Baseline) -> bool:
    """Derives a test from the task's text, which is then a file of every worker; False when none can be."""
    root, command = attempt.checkout.root, attempt.command
    found = evidence_in(attempt.task.text, ProjectNames(attempt.files), console_scripts(root))
    made: Derived | NotDerived = NotDerived(found.notes, found.missing)
    path = place(root, baseline.tests, attempt.task.title)
    if found.claims:
        calls = [claim.name for claim in found.claims]
        attempt.record("reproduce", {"calls": calls, "why": "What the issue says of these calls is looked at."})
        attempt.extra = {path: probe_module(found.claims).encode("utf-8", "replace")}
        # As a command of pytest: what a test method returns or raises is not wanted here, but what the call gives.
        attempt.command = replace(command.with_file(path), runner="pytest")
        worker = None
        try:
            worker = attempt.open_worker()
            made = written(probe(worker, path, found, attempt.allowance(0.25 * attempt.left)), path, attempt.task.title,
                           command)  # fmt: skip
        except WorkerDied as died:
            made = NotDerived((*found.notes, f"The examples in the issue could not be run: {died}."))
        finally:
            if worker is not None:
                worker.close()
            attempt.extra, attempt.command = {}, command
    attempt.findings.notes.extend(made.notes)
    if isinstance(made, NotDerived):
        attempt.lacking = question(made.missing)
        attempt.record("observed", {"derived": None, "notes": list(made.notes), "missing": list(made.missing)})
        return False
    why = f"No test fails for the task; one was derived from the issue's text ({', '.join(made.sources)}): {path}."
    attempt.record("reproduce", {"command": [path], "why": why, "test": made.text})
    attempt.findings.notes.append(why)
    content = made.text.encode("utf-8", "surrogatepass")
    attempt.extra = {path: content}
    attempt.derived = {path: made.text}
    attempt.findings.derived = {path: hashlib.sha256(content).hexdigest()}
    attempt.command = command.with_file(path)
    return True


def not_reproduced(attempt: AttemptState, baseline: Baseline) -> str:
    """The summary of an attempt that ends because no test fails, or each for what its environment lacks."""
    if (missing := summary(baseline)) is not None:
        return missing
    ran = len(baseline.run.outcomes)
    flaky = f" ({len(baseline.flaky)} gave different results each time)" if baseline.flaky else ""
    text = f"Not reproduced: none of the {ran} tests fails reliably on the unchanged commit{flaky}"
    if attempt.derived:
        text += ", nor does the one derived from the issue"
    needed = f" {attempt.lacking}" if attempt.lacking else ""
    return (
        f"{text}. A test that fails because of the problem is needed, or an issue from which one can be made.{needed}"
    )


def question_of(attempt: AttemptState, baseline: Baseline) -> str:
    """What to ask a person when no test fails for the task; empty where the task's text is not what is missing."""
    return attempt.lacking if summary(baseline) is None else ""
