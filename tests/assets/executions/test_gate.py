"""The gate is a pure function; what it accepts has every piece of evidence."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.judging.diff import unified_diff, without
from assets.executions.judging.gate import CHECKS, judge, weaknesses
from assets.executions.repository.protected_paths import is_test_path, steers_tests
from core.work import Doubt, EnvironmentFailure, Evidence, Outcome, Patch, Relation, TestRun, VerdictKind

DIFF = "diff --git a/shop/cart.py b/shop/cart.py\n--- a/shop/cart.py\n+++ b/shop/cart.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
PATCH = Patch(base_commit="0" * 40, diff=DIFF)


RELATED = Relation(related=True, score=9.0, threshold=6.5, shared=("the task names `total`",))


def run(outcomes: dict[str, Outcome], **fields: object) -> TestRun:
    return TestRun(command=("pytest",), outcomes=outcomes, seconds=1.0, exit_code=0, **fields)  # type: ignore[arg-type]


def good(**fields: object) -> Evidence:
    values: dict[str, object] = {
        "sandbox": "bubblewrap",
        "reproduction": "tests",
        "target_tests": ("t::a",),
        "before": run({"t::a": Outcome.FAILED, "t::b": Outcome.PASSED}),
        "after": run({"t::a": Outcome.PASSED, "t::b": Outcome.PASSED}),
        "relation": RELATED,
        "applies": True,
        "changed_paths": ("shop/cart.py",),
        "allowed_paths": ("shop/cart.py", "shop/other.py"),
    }
    return Evidence(**{**values, **fields})  # type: ignore[arg-type]


def test_complete_evidence_passes_and_is_bound_to_the_patch() -> None:
    verdict = judge(good(), PATCH)
    assert verdict.verdict is VerdictKind.PASS
    assert verdict.patch_sha256 == PATCH.sha256
    assert [check.name for check in verdict.checks] == [
        "reproduced", "related", "applies", "failing-tests-pass", "suite-no-worse", "allowed-paths", "undisputed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"reproduction": "none"}, "reproduced"),
        ({"target_tests": ()}, "reproduced"),
        ({"before": run({"t::a": Outcome.PASSED})}, "reproduced"),
        ({"before": None}, "reproduced"),
        ({"applies": False}, "applies"),
        ({"applies": None}, "applies"),
        ({"after": None}, "failing-tests-pass"),
        ({"after": run({"t::a": Outcome.SKIPPED, "t::b": Outcome.PASSED})}, "failing-tests-pass"),
        ({"after": run({"t::a": Outcome.PASSED, "t::b": Outcome.FAILED})}, "suite-no-worse"),
        ({"after": run({"t::a": Outcome.PASSED})}, "suite-no-worse"),
        ({"after": run({"t::a": Outcome.PASSED, "t::b": Outcome.SKIPPED})}, "suite-no-worse"),
        ({"after": run({"t::a": Outcome.PASSED, "t::b": Outcome.PASSED, "t::c": Outcome.FAILED})}, "suite-no-worse"),
        ({"after": run({"t::a": Outcome.PASSED, "t::b": Outcome.UNKNOWN}, complete=False), "reached": ("t::b",)},
        "suite-no-worse"),
        ({"relation": None}, "related"),
        ({"relation": Relation(related=False, score=0.1, threshold=1.0)}, "related"),
        ({"doubts": (Doubt(kind="examples", detail="A README example fails now.", severity="fail"),)}, "undisputed"),
        ({"doubts": (Doubt(kind="wrap", detail="a", origin="text"), Doubt(kind="unlike", detail="b", origin="run"))},
        "undisputed"),
        ({"before": run({"t::a": Outcome.UNKNOWN, "t::b": Outcome.PASSED}, stopped={"t::a": 4.0}),
        "after": run({"t::a": Outcome.PASSED, "t::b": Outcome.PASSED}, took={"t::a": 3.0})}, "failing-tests-pass"),
        ({"before": run({"t::a": Outcome.UNKNOWN, "t::b": Outcome.PASSED})}, "reproduced"),
        ({"allowed_paths": ("shop/other.py",)}, "allowed-paths"),
        ({"changed_paths": ("shop/cart.py", "tests/test_cart.py"),
        "allowed_paths": ("shop/cart.py", "tests/test_cart.py")}, "allowed-paths"),
    ],
)  # fmt: skip
def test_each_gap_in_the_evidence_fails_its_own_check(fields: dict[str, object], check: str) -> None:
    verdict = judge(good(**fields), PATCH)
    assert verdict.verdict is VerdictKind.FAIL
    assert check in {c.name for c in verdict.checks if not c.passed}


@pytest.mark.parametrize(
    "fields",
    [
        {"reproduction": "issue"},
        {"flaky": ("t::z",)},
        {"before": run({"t::a": Outcome.FAILED, "t::b": Outcome.PASSED}, complete=False)},
        {"after": run({"t::a": Outcome.PASSED, "t::b": Outcome.PASSED}, limit="wall")},
        {"after": run({"t::a": Outcome.PASSED, "t::b": Outcome.UNKNOWN}, complete=False)},
        {
            "before": run({"t::a": Outcome.FAILED, "t::b": Outcome.UNKNOWN}, complete=False),
            "after": run({"t::a": Outcome.PASSED, "t::b": Outcome.FAILED}),
        },
        {"relation": Relation(related=True, score=5.0, threshold=7.5, shared=('both speak of "total"',))},
        {"doubts": (Doubt(kind="behaviour", detail="It changes results of other inputs.", origin="run"),)},
        {"doubts": (Doubt(kind="wrap", detail="a"), Doubt(kind="rivals", detail="b", origin="rival"))},
    ],
)
def test_weaker_evidence_is_good_for_a_draft_only(fields: dict[str, object]) -> None:
    evidence = good(**fields)
    assert judge(evidence, PATCH).verdict is VerdictKind.DRAFT
    assert weaknesses(evidence)


def test_a_flaky_test_that_fails_afterwards_is_no_regression() -> None:
    after = run({"t::a": Outcome.PASSED, "t::b": Outcome.FAILED})
    assert judge(good(after=after, flaky=("t::b",)), PATCH).verdict is VerdictKind.DRAFT


def test_a_test_that_lacks_what_it_needs_is_neither_credit_nor_blame() -> None:
    lacking = EnvironmentFailure(kind="network", missing="a network", remedy="None.", tests=("t::net", "t_x.py"))
    before = run({"t::a": Outcome.FAILED, "t::b": Outcome.PASSED, "t::net": Outcome.UNKNOWN, "t_x.py": Outcome.UNKNOWN})
    after = {"t::a": Outcome.PASSED, "t::b": Outcome.PASSED, "t_x.py": Outcome.ERROR}
    for outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.PASSED, Outcome.UNKNOWN):
        evidence = good(before=before, after=run({**after, "t::net": outcome}), environment=(lacking,),
                        reached=("t::net",))  # fmt: skip
        assert judge(evidence, PATCH).verdict is VerdictKind.PASS
        credited = evidence.model_copy(update={"target_tests": ("t::net",)})
        assert judge(credited, PATCH).verdict is VerdictKind.FAIL


def test_a_patch_whose_diff_touches_more_than_the_evidence_says_fails() -> None:
    more = Patch(base_commit="0" * 40, diff=DIFF + DIFF.replace("shop/cart.py", "setup.py"))
    assert judge(good(), more).verdict is VerdictKind.FAIL


def test_without_a_patch_the_verdict_is_fail_and_bound_to_nothing() -> None:
    verdict = judge(good(), None)
    assert (verdict.verdict, verdict.patch_sha256) == (VerdictKind.FAIL, None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/helpers.py", True), ("pkg/test_x.py", True), ("pkg/x_test.py", True), ("conftest.py", True),
        ("a/tests/data.py", True),
        ("pkg/testing_tools.py", False), ("pkg/latest.py", False), ("contest.py", False), ("pkg/attest/core.py", False),
    ],
)  # fmt: skip
def test_test_files_are_distinguished_from_the_program(path: str, expected: bool) -> None:
    assert is_test_path(path) is expected


outcomes = st.dictionaries(st.sampled_from([f"t::{c}" for c in "abcdef"]), st.sampled_from(Outcome), max_size=6)
runs = st.none() | st.builds(run, outcomes, complete=st.booleans(), limit=st.sampled_from([None, "wall"]))
evidences = st.builds(
    Evidence,
    sandbox=st.just("bubblewrap"),
    reproduction=st.sampled_from(["tests", "issue", "none"]),
    target_tests=st.lists(st.sampled_from([f"t::{c}" for c in "abc"]), max_size=3, unique=True).map(tuple),
    relation=st.sampled_from([None, RELATED, RELATED.model_copy(update={"related": False})]),
    before=runs,
    after=runs,
    applies=st.sampled_from([True, False, None]),
    changed_paths=st.sampled_from([(), ("shop/cart.py",), ("tests/test_cart.py",)]),
    allowed_paths=st.sampled_from([(), ("shop/cart.py",), ("shop/cart.py", "tests/test_cart.py")]),
    flaky=st.lists(st.sampled_from(["t::e", "t::f"]), max_size=1).map(tuple),
)


@given(evidences)
def test_what_passes_has_everything(evidence: Evidence) -> None:
    verdict = judge(evidence, PATCH)
    assert verdict == judge(evidence, PATCH)
    assert len(verdict.checks) == len(CHECKS)
    assert (verdict.verdict is VerdictKind.FAIL) is (not all(check.passed for check in verdict.checks))
    if verdict.verdict is VerdictKind.FAIL:
        return
    before, after = evidence.before, evidence.after
    assert before is not None and after is not None and evidence.target_tests
    for test in evidence.target_tests:
        assert before.outcomes[test] in (Outcome.FAILED, Outcome.ERROR)
        assert after.outcomes[test] is Outcome.PASSED
    for test, outcome in before.outcomes.items():
        if outcome is Outcome.PASSED and test not in evidence.flaky and after.complete and after.limit is None:
            assert after.outcomes.get(test) in (Outcome.PASSED, Outcome.UNKNOWN)
            assert after.outcomes.get(test) is Outcome.PASSED or verdict.verdict is VerdictKind.DRAFT
    assert evidence.applies and set(evidence.changed_paths) <= set(evidence.allowed_paths)
    assert not any(is_test_path(path) for path in evidence.changed_paths)
    if verdict.verdict is VerdictKind.PASS:
        assert evidence.reproduction == "tests" and not evidence.flaky
        assert evidence.relation == RELATED
        assert before.complete and after.complete


STEERING = [
    "pytest.ini", "setup.cfg", "pyproject.toml", "Makefile", "sub/tox.ini", ".github/workflows/test.yml", "pytest.py",
    "_pytest/__init__.py", "json.py", "sitecustomize.py", "evil.pth", "lib/evil.so", ".coveragerc",
    "json/__init__.py", "src/json.py", "src/logging/__init__.py", "lib/pytest/extra.py",
]  # fmt: skip
FREE = [
    "data/rates.json", "shop/json.py", "shop/new.py", "README.md", "templates/page.html", "locale/de.po", "js.py",
    "src/shop/json.py", "json/readme.txt",
]  # fmt: skip


@pytest.mark.parametrize("path", STEERING)
def test_a_new_file_that_steers_the_tests_is_never_accepted(path: str) -> None:
    assert steers_tests(path)
    patch = Patch(base_commit="0" * 40, diff=unified_diff({path: None}, {path: "x = 1\n"}))
    verdict = judge(good(changed_paths=(path,), allowed_paths=(path,)), patch)
    assert verdict.verdict is VerdictKind.FAIL
    detail = next(check.detail for check in verdict.checks if check.name == "allowed-paths")
    assert "decides how tests are run" in detail


@pytest.mark.parametrize("path", FREE)
def test_other_files_may_be_added_and_those_that_are_not_python_give_a_draft(path: str) -> None:
    assert not steers_tests(path)
    patch = Patch(base_commit="0" * 40, diff=unified_diff({path: None}, {path: "x = 1\n"}))
    verdict = judge(good(changed_paths=(path,), allowed_paths=(path,)), patch)
    assert verdict.verdict is (VerdictKind.PASS if path.endswith(".py") else VerdictKind.DRAFT)


def test_a_source_that_has_the_name_of_a_standard_module_may_be_changed() -> None:
    patch = Patch(base_commit="0" * 40, diff=unified_diff({"queue.py": "a = 1\n"}, {"queue.py": "a = 2\n"}))
    verdict = judge(good(changed_paths=("queue.py",), allowed_paths=("queue.py",)), patch)
    assert verdict.verdict is VerdictKind.PASS


def test_a_rule_of_the_repository_lets_a_derived_test_prove_a_patch() -> None:
    path, text = "tests/test_issue_x.py", "def test_x():\n    assert f() == 1"
    digest = hashlib.sha256(text.encode()).hexdigest()
    evidence = good(reproduction="issue", derived={path: digest}, changed_paths=("shop/cart.py", path))
    diff = unified_diff({"shop/cart.py": "a = 1\n", path: None}, {"shop/cart.py": "a = 2\n", path: text})
    patch = Patch(base_commit="0" * 40, diff=diff)
    assert judge(evidence, patch).verdict is VerdictKind.DRAFT
    trusted = evidence.model_copy(update={"derived_suffices": True})
    assert judge(trusted, patch).verdict is VerdictKind.PASS
    assert "derived from the task's text" in judge(trusted, patch).proof
    weak = trusted.model_copy(update={"flaky": ("t",)})
    assert judge(weak, patch).verdict is VerdictKind.DRAFT, "every other reason still counts"


def test_only_the_derived_test_as_it_was_measured_may_be_added() -> None:
    path, text = "tests/test_issue_x.py", "def test_x():\n    assert f() == 1"
    before: dict[str, str | None] = {"shop/cart.py": "a = 1\n", path: None}
    digest = hashlib.sha256(text.encode()).hexdigest()
    evidence = good(reproduction="issue", derived={path: digest}, changed_paths=("shop/cart.py", path))
    for content, passes in ((text, True), (f"{text}\n", False), ("", False)):
        diff = unified_diff(before, {"shop/cart.py": "a = 2\n", path: content})
        found = judge(evidence, Patch(base_commit="0" * 40, diff=diff))
        assert {c.name: c.passed for c in found.checks}["allowed-paths"] is passes
    other = unified_diff({path: "old\n", "shop/cart.py": "a = 1\n"}, {path: text, "shop/cart.py": "a = 2\n"})
    found = judge(evidence, Patch(base_commit="0" * 40, diff=other))
    assert not {c.name: c.passed for c in found.checks}["allowed-paths"], "an existing test may not be changed"
    assert without(other, [path]) == unified_diff({"shop/cart.py": "a = 1\n"}, {"shop/cart.py": "a = 2\n"})
