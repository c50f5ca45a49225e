"""The repair set: every case is checked cheaply, a fixed few by running their tests in the sandbox."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from assets.evals.sets.repair import RepairCase, check_case, checkout, judge_patch, load_cases, schema
from assets.evals.sets.set_files import EvalSetError
from core.git import GitError
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
    assert list(case.heldback.rglob("test*.py"))
    paths = re.findall(r"^\+\+\+ b/(.+)$", case.fix, re.MULTILINE)
    assert paths
    assert not any(Path(path).name.startswith("test") for path in paths)
    with checkout(case, case.fix) as root:
        assert all((root / path).read_bytes() != (case.repo / path).read_bytes() for path in paths)
    hidden = {path.relative_to(case.heldback) for path in case.heldback.rglob("*.py")}
    assert not any((case.repo / path).exists() for path in hidden)


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
