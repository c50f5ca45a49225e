"""The repair set: every case is checked cheaply, a fixed few by running their tests in the sandbox."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from assets.evals.runs.subject import Attempt, NotRunnable
from assets.evals.sets.eval_set import Case, load_set
from assets.evals.sets.repair import RepairCase, check_case, checkout, judge_patch, load_cases, schema
from assets.evals.sets.set_files import EvalSetError
from assets.evals.sets.suite_runs import CaseNotRunnable, run_native_tests, why_not_runnable
from assets.evals.sets.test_names import is_case_test
from core.git import GitError
from dagster_project.subjects.repair import RepairSubject
from sandbox.environments.languages import go
from sandbox.environments.languages.javascript import language as javascript
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Sandbox

SET = Path(__file__).parents[3] / "eval_sets" / "repair"
CASES = load_cases(SET)


@pytest.fixture(scope="module")
def case_of() -> dict[str, RepairCase]:
    return {case.id: case for case in CASES}


def test_the_stored_schema_is_the_one_that_is_enforced() -> None:
    assert (SET / "schema.json").read_text() == schema()


def test_the_set_has_a_version_and_a_card_that_counts_its_cases() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", (SET / "version").read_text())
    card = (SET / "card.md").read_text()
    splits = Counter(case.fields.split for case in CASES)
    assert f"{len(CASES)} cases" in card
    assert f"{splits['dev']} in dev, {splits['check']} in check" in card
    for language, title in (("python", "Python"), ("go", "Go"), ("javascript", "JavaScript")):
        of = [case for case in CASES if case.fields.language == language]
        halves = Counter(case.fields.split for case in of)
        projects = len({case.fields.cluster for case in of})
        assert f"| {title} | {len(of)} | {halves['dev']}, {halves['check']} | {projects} |" in card
    assert f"{sum(case.wrong is not None for case in CASES)} cases of 0.2.0 have a `wrong.patch`" in card
    assert f"{len({case.fields.bug_class for case in CASES})} classes" in card


def test_the_set_is_as_large_as_it_should_be_in_each_language() -> None:
    counts = Counter((case.fields.language, case.fields.split) for case in CASES)
    assert counts["python", "dev"] + counts["python", "check"] >= 80
    for language in ("go", "javascript"):
        assert counts[language, "dev"] == counts[language, "check"] >= 6


def test_projects_since_the_second_version_are_in_one_half() -> None:
    splits: dict[str, set[str]] = {}
    for fields in (case.fields for case in CASES):
        if str(fields.created) == "2026-11-30":
            splits.setdefault(fields.cluster, set()).add(fields.split)
    assert len(splits) == 14
    assert all(len(halves) == 1 for halves in splits.values())


def test_results_can_be_told_apart_by_language() -> None:
    strata = Counter(case.strata["language"] for case in load_set(SET).cases)
    assert strata == Counter(case.fields.language for case in CASES)


def test_each_half_has_about_half_of_the_cases_and_both_have_every_family() -> None:
    halves = Counter(case.fields.split for case in CASES)
    assert abs(halves["dev"] - halves["check"]) <= 3
    families = {split: {case.fields.family for case in CASES if case.fields.split == split} for split in halves}
    assert families["dev"] == families["check"]


def test_some_cases_are_out_of_reach_on_purpose() -> None:
    beyond = [case for case in CASES if case.fields.expected == "unresolved"]
    assert len(beyond) >= 4
    assert {case.fields.family for case in beyond} == {"out-of-reach"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_is_complete_and_its_fix_applies(case: RepairCase) -> None:
    assert case.title
    assert len(case.body) > 30
    names = [path.relative_to(case.heldback).as_posix() for path in case.heldback.rglob("*") if path.is_file()]
    assert any(is_case_test(case.fields.language, name) for name in names)
    paths = re.findall(r"^\+\+\+ b/(.+)$", case.fix, re.MULTILINE)
    assert paths
    assert not any(is_case_test(case.fields.language, path) for path in paths)
    with checkout(case, case.fix) as root:
        for path in paths:
            before = case.repo / path
            assert not before.exists() or (root / path).read_bytes() != before.read_bytes()
    assert not any((case.repo / name).exists() for name in names)
    if case.wrong is not None:
        with checkout(case, case.wrong):
            assert case.wrong != case.fix


def test_checking_out_a_case_does_not_change_its_files() -> None:
    case = CASES[0]
    before = {path: path.read_bytes() for path in case.repo.rglob("*.py")}
    with checkout(case, case.fix, heldback=True) as root:
        assert (root / "tests" / "test_heldback.py").is_file()
    assert {path: path.read_bytes() for path in case.repo.rglob("*.py")} == before


@pytest.mark.parametrize(
    "name", ["accesslog-long-visits", "lendery-second-renewal", "cachette-keyword-values", "wagebook-percent-form"]
)
def test_a_case_fails_before_its_fix_and_passes_with_it(
    case_of: dict[str, RepairCase], sandbox: Sandbox, name: str
) -> None:
    assert check_case(case_of[name], sandbox) == []


@pytest.mark.parametrize("name", [pytest.param("purse-one-bad-amount", marks=pytest.mark.services), "slotter-sundays"])
def test_cases_in_other_languages_are_judged_by_their_own_tests(
    case_of: dict[str, RepairCase], sandbox: Sandbox, shared_cache: Path, name: str
) -> None:
    case = case_of[name]
    _needs(case)
    judged = judge_patch(case, case.fix, sandbox, shared_cache)
    assert judged.correct, (judged.visible, judged.heldback)
    with checkout(case) as root:
        before = run_native_tests(case.fields.language, root, case.fields.test, sandbox, shared_cache)
    assert not before.passed
    assert before.limit is None


def _needs(case: RepairCase) -> None:
    """Skips the test where the case's language is not installed, and says how to install it; fails it in CI."""
    if (lacking := why_not_runnable(case.fields.language, case.repo)) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(lacking)


def _without_node(*_: object) -> None:
    raise EnvironmentRefused("Node.js, and there is no `node` on this machine", "Install it.")


@pytest.mark.parametrize("name", ["relayq-nobody-idle", "hubbub-orders"])
def test_a_case_whose_language_is_missing_is_not_runnable_and_not_wrong(
    case_of: dict[str, RepairCase], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(go, "_installed", lambda: None)
    monkeypatch.setattr(javascript, "choose_node", _without_node)
    case = case_of[name]
    assert "on this machine: install it" in str(why_not_runnable(case.fields.language, case.repo)).lower()
    with pytest.raises(CaseNotRunnable, match="on this machine"):
        judge_patch(case, case.fix, sandbox, tmp_path)
    with pytest.raises(NotRunnable, match="on this machine"):
        RepairSubject().solve(Attempt(as_case(case), 0, 0, 60.0, tmp_path / "attempt"))
    assert why_not_runnable("python", case.repo) is None


def as_case(case: RepairCase) -> Case:
    return Case(case.id, case.fields.split, case.fields.cluster, {}, case)


def test_a_patch_that_passes_only_the_visible_tests_is_plausible_but_not_correct(
    case_of: dict[str, RepairCase], sandbox: Sandbox
) -> None:
    case = case_of["waygraph-relax"]
    judgement = judge_patch(
        case, case.fix.replace("+            if total > limit:", "+            if weight >= limit:"), sandbox
    )
    assert judgement.plausible
    assert not judgement.correct


def test_a_patch_for_something_else_does_not_apply(case_of: dict[str, RepairCase], sandbox: Sandbox) -> None:
    judgement = judge_patch(case_of["waygraph-relax"], case_of["lendery-second-renewal"].fix, sandbox)
    assert (judgement.applies, judgement.correct) == (False, False)


def test_a_patch_cannot_leave_the_checkout(case_of: dict[str, RepairCase]) -> None:
    outside = "--- a/../evil.py\n+++ b/../evil.py\n@@ -0,0 +1 @@\n+x = 1\n"
    with pytest.raises(GitError), checkout(case_of["waygraph-relax"], outside):
        pass


def _broken(tmp_path: Path, **changes: object) -> Path:
    folder = tmp_path / "cases" / "a-case"
    (folder / "repo").mkdir(parents=True)
    (folder / "heldback").mkdir()
    fields = json.loads((CASES[0].folder / "case.json").read_text()) | {"id": "a-case"} | changes
    (folder / "case.json").write_text(json.dumps(fields))
    for name in ("issue.md", "fix.patch"):
        (folder / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, "case.json: split"),
        ({"test": []}, "case.json: test"),
        ({"colour": "red"}, "case.json: colour"),
        ({"language": "cobol"}, "case.json: language"),
        ({"id": "another-case"}, "is not the folder's name"),
    ],
)
def test_a_malformed_case_is_named_with_its_field(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(EvalSetError, match=message):
        load_cases(_broken(tmp_path, **changes))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    root = _broken(tmp_path)
    (root / "cases" / "a-case" / "fix.patch").unlink()
    with pytest.raises(EvalSetError, match=r"fix\.patch: No such file"):
        load_cases(root)


def test_a_folder_without_cases_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(EvalSetError, match="give the folder that holds cases/"):
        load_cases(tmp_path)
