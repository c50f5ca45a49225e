"""The gate: a pure function from stored evidence to a verdict, without a model or a clock.

`pass` means that every check passes and nothing that was measured speaks against the patch; `draft`, that every check
passes on weaker evidence; anything else is `fail`. The verdict is bound to the patch by its hash.
"""

import hashlib
from collections.abc import Callable, Collection

from assets.executions.judging.diff import new_file, new_paths
from assets.executions.repository.protected_paths import is_test_path, steers_tests
from assets.executions.repository.test_command import number_of_tests
from core.patch_paths import changed_paths
from core.work import Evidence, GateCheck, Outcome, Patch, TestRun, Verdict, VerdictKind
from sandbox.reports.results import is_test

MOST_OF_A_STOPPED_RUN = 0.25
"""A target that was stopped without the patch must end with it within this part of that time."""


def judge(evidence: Evidence, patch: Patch | None) -> Verdict:
    """The verdict on `patch`. Pure: the same evidence always gives the same verdict."""
    if patch is None:
        check = GateCheck(name="patch", passed=False, detail="There is no patch to judge.")
        return Verdict(verdict=VerdictKind.FAIL, patch_sha256=None, checks=(check,))
    checks = tuple(check(evidence, patch) for check in CHECKS)
    reasons = weaknesses(evidence)
    if not all(check.passed for check in checks):
        kind, reasons = VerdictKind.FAIL, ()
    else:
        kind = VerdictKind.DRAFT if reasons else VerdictKind.PASS
    proof = "" if kind is VerdictKind.FAIL else _proof(evidence)
    return Verdict(verdict=kind, patch_sha256=patch.sha256, checks=checks, reasons=reasons, proof=proof)


def weaknesses(evidence: Evidence) -> tuple[str, ...]:
    """Why evidence that passes every check only justifies a draft; empty when it justifies `pass`."""
    found = []
    if evidence.reproduction != "tests" and not evidence.derived_suffices:
        found.append("The failure was reproduced by a test derived from the task's text, not by one of the repository.")
    if (relation := evidence.relation) is not None and relation.related and relation.score < relation.threshold:
        shared = f" beyond this: {'; '.join(relation.shared[:3])}" if relation.shared else ""
        found.append(f"Little shows that the failing tests are about this task{shared}.")
    if unknown := sorted(unknown_tests(evidence)):
        found.append(f"{_names(unknown)} did not run to the end, so nothing is known about what the patch does to it.")
    for name, run in (("before", evidence.before), ("after", evidence.after)):
        if run is not None and (
            run.limit is not None or not (run.complete or Outcome.UNKNOWN in run.outcomes.values())
        ):
            found.append(f"The whole suite could not be completed {name} the patch.")
    if evidence.flaky:
        found.append(f"Left out, since the same code gave different results: {_names(sorted(evidence.flaky))}.")
    if data := [path for path in evidence.changed_paths if not path.endswith(".py")]:
        found.append(f"{_names(data)} is not Python: which tests execute it is not measured.")
    found += [doubt.detail for doubt in evidence.doubts if doubt.severity == "draft"]
    return tuple(dict.fromkeys(found))


def unknown_tests(evidence: Evidence) -> frozenset[str]:
    """Tests of which it is unknown whether the patch makes them worse: unknown with the patch after passing or being
    unknown without it, or failing with the patch after being unknown without it."""
    before, after = evidence.before, evidence.after
    if before is None or after is None:
        return frozenset()
    open_before = {t for t, o in before.outcomes.items() if o in (Outcome.PASSED, Outcome.UNKNOWN)}
    lost = {
        t for t, o in after.outcomes.items() if o is Outcome.UNKNOWN and (t in open_before or t not in before.outcomes)
    }
    if not after.complete or after.limit is not None:
        lost |= open_before - set(after.outcomes)
    failed = {t for t in after.failing() if before.outcomes.get(t) is Outcome.UNKNOWN}
    # Nothing can be known here about a test that lacks what it needs, whatever the patch is.
    apart = {test for failure in evidence.environment for test in failure.tests}
    return frozenset((lost | failed) - apart - set(evidence.flaky) - set(evidence.target_tests))


def _passing(run: TestRun) -> int:
    return sum(outcome is Outcome.PASSED and is_test(test) for test, outcome in run.outcomes.items())


def _proof(evidence: Evidence) -> str:
    """What was proven and how, in one paragraph."""
    after = evidence.after
    count = _passing(after) if after else 0
    targets = number_of_tests(evidence.target_tests)
    what = f"{targets} derived from the task's text" if evidence.reproduction == "issue" else targets
    parts = [f"On the unchanged commit, {what} failed; on a clean checkout with the patch, every one of these passes."]
    if evidence.relation is not None and evidence.relation.shared:
        parts.append(f"They represent this task: {'; '.join(evidence.relation.shared[:3])}.")
    passing = "1 test passes" if count == 1 else f"{count} tests pass"
    parts.append(f"{passing} with the patch, and none that passed before is worse.")
    parts += [support.detail for support in evidence.supports]
    return " ".join(parts)


def reproduced(evidence: Evidence, patch: Patch) -> GateCheck:
    """The target tests, at least one, failed on the unchanged commit."""
    before = evidence.before
    failing = before.failing() | set(before.stopped) if before else frozenset()
    missing = [test for test in evidence.target_tests if test not in failing]
    passed = before is not None and evidence.reproduction != "none" and bool(evidence.target_tests) and not missing
    if passed:
        detail = f"{number_of_tests(evidence.target_tests)} failed on the unchanged commit."
    elif not evidence.target_tests or evidence.reproduction == "none":
        detail = "No failing test reproduces this task."
    else:
        detail = f"{_names(missing)} did not fail on the unchanged commit."
    return GateCheck(name="reproduced", passed=passed, detail=detail)


def related(evidence: Evidence, patch: Patch) -> GateCheck:
    """The target tests represent the task: what they have in common with it is more than chance."""
    relation = evidence.relation
    passed = relation is not None and relation.related
    if relation is not None and passed:
        detail = f"The target tests are about the task: {'; '.join(relation.shared[:3]) or 'they are named in it'}."
    else:
        detail = "Nothing shows that the failing tests are about this task."
    return GateCheck(name="related", passed=passed, detail=detail)


def applies(evidence: Evidence, patch: Patch) -> GateCheck:
    """The patch applied to a clean checkout."""
    passed = evidence.applies is True and bool(patch.diff.strip())
    detail = "The patch applies to a clean checkout." if passed else "The patch does not apply to a clean checkout."
    return GateCheck(name="applies", passed=passed, detail=detail)


def failing_tests_pass(evidence: Evidence, patch: Patch) -> GateCheck:
    """Every target test passes with the patch."""
    after = evidence.after
    still = [t for t in evidence.target_tests if not _passes(after, t) or not _in_time(evidence, t)]
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
    if not broken and (unknown := sorted(unknown_tests(evidence) & set(evidence.reached))):
        detail = f"{_names(unknown)} executes changed code and did not run to the end, so it may be worse."
        return GateCheck(name="suite-no-worse", passed=False, detail=detail)
    count = _passing(after)
    detail = (
        f"{_names(broken)} is worse with the patch."
        if broken
        else f"{number_of_tests(range(count))} passed with the patch, none is worse."
    )
    return GateCheck(name="suite-no-worse", passed=not broken, detail=detail)


def worse_tests(before: TestRun, after: TestRun, flaky: Collection[str] = ()) -> list[str]:
    """Tests that passed before and do not pass now, and tests that newly fail, without the `flaky` ones, sorted."""
    lost = [
        t
        for t, o in before.outcomes.items()
        if o is Outcome.PASSED and after.outcomes.get(t) not in (o, Outcome.UNKNOWN)
    ]
    if after.limit is not None or (not after.complete and Outcome.UNKNOWN not in after.outcomes.values()):
        lost = [t for t in lost if t in after.outcomes]  # which tests were not reached is not recorded
    # A test that could not be collected before cannot be worse now.
    open_before = (Outcome.ERROR, Outcome.UNKNOWN)
    unknown = tuple(f"{t}::" for t, o in before.outcomes.items() if o in open_before and "::" not in t)
    known = before.failing() | {t for t, o in before.outcomes.items() if o is Outcome.UNKNOWN}
    new = [t for t in after.failing() if t not in known and not t.startswith(unknown)]
    return sorted((set(lost) | set(new)) - set(flaky))


def allowed_paths(evidence: Evidence, patch: Patch) -> GateCheck:
    """The patch changes only allowed files, and no test; a test that was derived from the task's text is added as it
    was measured."""
    added = {path for path, digest in evidence.derived.items() if _sha256(new_file(patch.diff, path)) == digest}
    changed = (set(changed_paths(patch.diff)) | set(evidence.changed_paths)) - added
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
        if added:
            detail += f" {_names(sorted(added))}, derived from the task's text, is added."
    return GateCheck(
        name="allowed-paths", passed=bool(changed) and not tests and not steering and not outside, detail=detail
    )


def undisputed(evidence: Evidence, patch: Patch) -> GateCheck:
    """No grave measurement beyond the tests speaks against the patch, nor do its text and its behaviour both."""
    wrong = [doubt.detail for doubt in evidence.doubts if doubt.severity == "fail"]
    doubted = any(doubt.origin == "text" and doubt.severity == "draft" for doubt in evidence.doubts)
    if not wrong and doubted and any(doubt.origin == "run" for doubt in evidence.doubts):
        wrong = [doubt.detail for doubt in evidence.doubts if doubt.origin != "rival"]
    detail = " ".join(wrong) or "No measurement beyond the tests shows that the patch is wrong."
    return GateCheck(name="undisputed", passed=not wrong, detail=detail)


CHECKS: tuple[Callable[[Evidence, Patch], GateCheck], ...] = (
    reproduced,
    related,
    applies,
    failing_tests_pass,
    suite_no_worse,
    allowed_paths,
    undisputed,
)


def _sha256(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _passes(run: TestRun | None, test: str) -> bool:
    return run is not None and run.outcomes.get(test) is Outcome.PASSED


def _in_time(evidence: Evidence, test: str) -> bool:
    """Whether a target that was stopped without the patch ended so early with it that it would have ended then."""
    before, after = evidence.before, evidence.after
    if before is None or after is None or test not in before.stopped:
        return True
    return after.took.get(test, float("inf")) <= MOST_OF_A_STOPPED_RUN * before.stopped[test]


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
