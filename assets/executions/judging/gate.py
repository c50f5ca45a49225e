"""The gate: a pure function from stored evidence to a verdict, without a model or a clock.

`pass` means that every check passes and the repository's own tests reproduced the failure; `draft`, that every
check passes on weaker evidence; anything else is `fail`. The verdict is bound to the patch by its hash.
"""

from collections.abc import Callable, Collection

from assets.executions.judging.diff import changed_paths, new_paths
from assets.executions.repository.protected_paths import is_test_path, steers_tests
from assets.executions.repository.test_command import number_of_tests
from core.work import Evidence, GateCheck, Outcome, Patch, TestRun, Verdict, VerdictKind


def judge(evidence: Evidence, patch: Patch | None) -> Verdict:
    """The verdict on `patch`. Pure: the same evidence always gives the same verdict."""
    if patch is None:
        check = GateCheck(name="patch", passed=False, detail="There is no patch to judge.")
        return Verdict(verdict=VerdictKind.FAIL, patch_sha256=None, checks=(check,))
    checks = tuple(check(evidence, patch) for check in CHECKS)
    if not all(check.passed for check in checks):
        kind = VerdictKind.FAIL
    elif weaknesses(evidence):
        kind = VerdictKind.DRAFT
    else:
        kind = VerdictKind.PASS
    return Verdict(verdict=kind, patch_sha256=patch.sha256, checks=checks)


def weaknesses(evidence: Evidence) -> tuple[str, ...]:
    """Why evidence that passes every check only justifies a draft; empty when it justifies `pass`."""
    found = []
    if evidence.reproduction != "tests":
        found.append("The failure was reproduced by an example from the issue, not by a test of the repository.")
    for name, run in (("before", evidence.before), ("after", evidence.after)):
        if run is not None and (run.limit is not None or not run.complete):
            found.append(f"The whole suite could not be completed {name} the patch.")
    if evidence.flaky:
        found.append(f"{len(evidence.flaky)} tests gave different results on the same code and were left out.")
    if data := [path for path in evidence.changed_paths if not path.endswith(".py")]:
        found.append(f"{_names(data)} is not Python, so no test covers it.")
    return tuple(found)


def reproduced(evidence: Evidence, patch: Patch) -> GateCheck:
    """The target tests, at least one, failed on the unchanged commit."""
    before = evidence.before
    failing = before.failing() if before else frozenset()
    missing = [test for test in evidence.target_tests if test not in failing]
    passed = before is not None and evidence.reproduction != "none" and bool(evidence.target_tests) and not missing
    if passed:
        detail = f"{number_of_tests(evidence.target_tests)} failed on the unchanged commit."
    elif not evidence.target_tests or evidence.reproduction == "none":
        detail = "No failing test reproduces this task."
    else:
        detail = f"{_names(missing)} did not fail on the unchanged commit."
    return GateCheck(name="reproduced", passed=passed, detail=detail)


def applies(evidence: Evidence, patch: Patch) -> GateCheck:
    """The patch applied to a clean checkout."""
    passed = evidence.applies is True and bool(patch.diff.strip())
    detail = "The patch applies to a clean checkout." if passed else "The patch does not apply to a clean checkout."
    return GateCheck(name="applies", passed=passed, detail=detail)


def failing_tests_pass(evidence: Evidence, patch: Patch) -> GateCheck:
    """Every target test passes with the patch."""
    after = evidence.after
    still = [t for t in evidence.target_tests if not _passes(after, t)]
    passed = after is not None and bool(evidence.target_tests) and not still
    detail = (
        f"{number_of_tests(evidence.target_tests)} that failed before pass with the patch."
        if passed
        else f"{_names(still) or 'No test'} does not pass with the patch."
    )
    return GateCheck(name="failing-tests-pass", passed=passed, detail=detail)


def suite_no_worse(evidence: Evidence, patch: Patch) -> GateCheck:
    """No test that passed before fails, errs or is missing with the patch, and no other test newly fails."""
    before, after = evidence.before, evidence.after
    if before is None or after is None:
        detail = "The whole suite was not run both before and after the patch."
        return GateCheck(name="suite-no-worse", passed=False, detail=detail)
    broken = worse_tests(before, after, evidence.flaky)
    count = sum(1 for o in after.outcomes.values() if o is Outcome.PASSED)
    detail = (
        f"{_names(broken)} is worse with the patch." if broken else f"{count} tests pass with the patch, none is worse."
    )
    return GateCheck(name="suite-no-worse", passed=not broken, detail=detail)


def worse_tests(before: TestRun, after: TestRun, flaky: Collection[str] = ()) -> list[str]:
    """Tests that passed before and do not pass now, and tests that newly fail, without the `flaky` ones, sorted."""
    lost = [t for t, o in before.outcomes.items() if o is Outcome.PASSED and after.outcomes.get(t) is not o]
    if not after.complete or after.limit is not None:
        lost = [t for t in lost if t in after.outcomes]
    # A test that could not be collected before cannot be worse now.
    unknown = tuple(f"{t}::" for t, o in before.outcomes.items() if o is Outcome.ERROR and "::" not in t)
    new = [t for t in after.failing() if t not in before.failing() and not t.startswith(unknown)]
    return sorted((set(lost) | set(new)) - set(flaky))


def allowed_paths(evidence: Evidence, patch: Patch) -> GateCheck:
    """The patch changes only allowed files, and no test."""
    changed = set(changed_paths(patch.diff)) | set(evidence.changed_paths)
    made = set(new_paths(patch.diff))
    tests = sorted(path for path in changed if is_test_path(path))
    # An existing Python file with such a name belongs to the program.
    steering = sorted(p for p in changed if (p in made or not p.endswith(".py")) and steers_tests(p))
    outside = sorted(changed - set(evidence.allowed_paths))
    if tests:
        detail = f"{_names(tests)} is a test, which a patch may not change."
    elif steering:
        detail = f"{_names(steering)} decides how tests are run, which a patch may not change."
    elif outside:
        detail = f"{_names(outside)} is outside the allowed paths."
    elif not changed:
        detail = "The patch changes no file."
    else:
        detail = f"Only allowed files change: {_names(sorted(changed))}."
    return GateCheck(
        name="allowed-paths", passed=bool(changed) and not tests and not steering and not outside, detail=detail
    )


CHECKS: tuple[Callable[[Evidence, Patch], GateCheck], ...] = (
    reproduced,
    applies,
    failing_tests_pass,
    suite_no_worse,
    allowed_paths,
)


def _passes(run: TestRun | None, test: str) -> bool:
    return run is not None and run.outcomes.get(test) is Outcome.PASSED


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
