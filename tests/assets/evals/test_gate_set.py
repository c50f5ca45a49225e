"""The set of gate cases: every case is checked cheaply, a few by running their tests in the sandbox."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from assets.evals.sets.gate import (
    GateCase,
    check_gate_case,
    gate_checkout,
    gate_schema,
    load_gate_cases,
    right_patch,
    run_heldback,
)
from assets.evals.sets.set_files import EvalSetError
from core.git import GitError
from sandbox.protocol import Sandbox

SET = Path(__file__).parents[3] / "eval_sets" / "gate-traps"
CASES = load_gate_cases(SET)


def _case(label: str, kind: str) -> GateCase:
    return next(case for case in CASES if (case.fields.label, case.fields.kind) == (label, kind))


def test_the_stored_schema_is_the_one_that_is_enforced() -> None:
    assert (SET / "schema.json").read_text() == gate_schema()


def test_the_card_counts_the_cases() -> None:
    card = " ".join((SET / "card.md").read_text().split())
    splits, labels = (Counter(getattr(case.fields, name) for case in CASES) for name in ("split", "label"))
    counts = ", ".join(f"{splits[name]} in {name}" for name in ("dev", "check", "check2"))
    assert f"{len(CASES)} cases ({counts})" in card
    assert f"{labels['trap']} patches are *traps*" in card
    assert f"{labels['right']} are *right* patches" in card


def test_each_split_has_traps_and_right_patches() -> None:
    counts = Counter((case.fields.split, case.fields.label) for case in CASES)
    assert min(counts[split, label] for split in ("dev", "check") for label in ("trap", "right")) >= 25
    assert counts["check2", "trap"] >= 12
    assert counts["check2", "right"] >= 8


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_cases_patches_apply_unless_it_says_otherwise(case: GateCase) -> None:
    with gate_checkout(case) as root:
        assert any(root.rglob("test*.py"))
        assert not (root / "later_checks.py").exists()
    for patch in (case.fix, case.rival):
        with gate_checkout(case, patch):
            pass
    if case.fields.applies:
        with gate_checkout(case, case.proposed, heldback=True) as root:
            assert (root / "later_checks.py").is_file()
    else:
        with pytest.raises(GitError), gate_checkout(case, case.proposed):
            pass


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_nothing_that_an_attempt_sees_gives_the_label_away(case: GateCase) -> None:
    assert re.fullmatch(rf"{case.fields.project}-\d\d", case.id)
    seen = f"{case.issue}\n{case.before}\n{case.proposed}".lower()
    assert not re.search(r"\btraps?\b|gate-traps|held.?back", seen)


@pytest.mark.parametrize(
    ("label", "kind"),
    [("trap", "early-return"), ("trap", "rivals"), ("trap", "hostile-path"), ("trap", "runner-patching"),
     ("right", "two-hunks")],
)  # fmt: skip
def test_a_case_is_sound(label: str, kind: str, sandbox: Sandbox) -> None:
    assert check_gate_case(_case(label, kind), sandbox) == []


def test_a_wrong_label_is_found(sandbox: Sandbox) -> None:
    trap = _case("trap", "early-return")
    fields = trap.fields.model_copy(update={"label": "right", "behaviour": "right"})
    found = check_gate_case(replace(trap, fields=fields, fix=None), sandbox)
    assert any("should find it right" in problem for problem in found)
    right = _case("right", "guard")
    fields = right.fields.model_copy(update={"label": "trap", "behaviour": "wrong"})
    found = check_gate_case(replace(right, fields=fields, fix=right.proposed), sandbox)
    assert any("should find it wrong" in problem for problem in found)


def test_the_right_one_of_two_rivals_is_told_apart(sandbox: Sandbox) -> None:
    case = _case("trap", "rivals")
    assert case.rival is not None
    assert right_patch(case, case.rival, sandbox)
    assert not right_patch(case, case.proposed, sandbox)
    assert not right_patch(case, "--- a/nothing.py\n+++ b/nothing.py\n@@ -1 +1 @@\n-x\n+y\n", sandbox)


def test_a_patch_cannot_end_the_held_back_checks_early(tmp_path: Path, sandbox: Sandbox) -> None:
    case = _case("right", "guard")
    root = tmp_path / "set"
    project = root / "projects" / case.fields.project
    shutil.copytree(case.repo.parent, project)
    checks = project / "heldback" / "later_checks.py"
    checks.write_text("raise SystemExit(0)\n" + checks.read_text())
    assert not run_heldback(replace(case, root=root), case.proposed, sandbox).passed


def _copied(tmp_path: Path, **changes: object) -> Path:
    root = tmp_path / "set"
    case = CASES[0]
    shutil.copytree(case.folder, root / "cases" / case.id)
    shutil.copytree(case.repo.parent, root / "projects" / case.fields.project)
    fields = json.loads((case.folder / "case.json").read_text()) | changes
    (root / "cases" / case.id / "case.json").write_text(json.dumps(fields))
    return root


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "good"}, "case.json: label"),
        ({"colour": "red"}, "case.json: colour"),
        ({"id": "another-01"}, "is not the folder's name"),
        ({"label": "right", "behaviour": "wrong"}, "a right patch applies"),
        ({"project": "nowhere"}, "missing, but"),
    ],
)
def test_a_malformed_case_is_named_with_its_field(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(EvalSetError, match=message):
        load_gate_cases(_copied(tmp_path, **changes))


def test_a_project_in_several_splits_is_refused(tmp_path: Path) -> None:
    root = _copied(tmp_path)
    case = CASES[0]
    other = root / "cases" / "other-01"
    shutil.copytree(root / "cases" / case.id, other)
    split = "check" if case.fields.split == "dev" else "dev"
    fields = json.loads((other / "case.json").read_text()) | {"id": "other-01", "split": split}
    (other / "case.json").write_text(json.dumps(fields))
    with pytest.raises(EvalSetError, match="cases in several splits"):
        load_gate_cases(root)
