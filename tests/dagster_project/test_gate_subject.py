"""Given patches: a diff becomes a candidate as it is, and goes through a real attempt to the gate."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.evals.runs.subject import Attempt, CaseOutcome
from assets.evals.sets.eval_set import Case
from assets.evals.sets.gate import GateCase, load_gate_cases
from assets.executions.engines.search.source import SourceFile
from assets.executions.judging.diff import unified_diff
from dagster_project.subjects.given_patches import UnreadablePatch, candidate_of, file_patches
from dagster_project.subjects.registry import open_subject

SET = Path(__file__).parents[2] / "eval_sets" / "gate-traps"
LINES = st.lists(st.sampled_from(["a = 1\n", "b = 2\n", "\n", "def f():\n", "    return 3\n"]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(LINES, LINES, st.booleans(), st.booleans())
def test_a_candidate_gives_the_text_that_the_diff_describes(
    old: list[str], new: list[str], old_end: bool, new_end: bool
) -> None:
    before, after = "".join(old), "".join(new)
    before = before if old_end else before.rstrip("\n")
    after = after if new_end else after.rstrip("\n")
    diff = unified_diff({"m.py": before}, {"m.py": after})
    if "@@" not in diff:
        return
    sources = {"m.py": SourceFile("m.py", before.encode(), broken_ok=True)}
    assert candidate_of(diff, sources, Path("/")).files(sources) == {"m.py": after}


def test_new_deleted_and_other_files_are_changed_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("one\ntwo\n")
    (tmp_path / "gone.txt").write_text("x\n")
    before = {"old.txt": "one\ntwo\n", "gone.txt": "x\n", "new/file.py": None}
    after = {"old.txt": "one\nthree\n", "gone.txt": None, "new/file.py": "y = 1\n"}
    assert candidate_of(unified_diff(before, after), {}, tmp_path).files({}) == after


def test_a_path_outside_the_repository_is_proposed_as_it_is(tmp_path: Path) -> None:
    diff = "--- /dev/null\n+++ b/../outside.pth\n@@ -0,0 +1 @@\n+import os\n"
    assert candidate_of(diff, {}, tmp_path).files({}) == {"../outside.pth": "import os\n"}
    with pytest.raises(UnreadablePatch, match="cannot be changed"):
        candidate_of("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n", {}, tmp_path)


@pytest.mark.parametrize(
    ("diff", "message"),
    [
        ("nothing\n", "changes no file"),
        ("--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n-a = 1\n", "ends early"),
        ("--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-b = 1\n+b = 2\n", "m.py:1 is not what the patch removes"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(diff: str, message: str) -> None:
    sources = {"m.py": SourceFile("m.py", b"a = 1\n")}
    with pytest.raises(UnreadablePatch, match=message):
        candidate_of(diff, sources, Path("/"))


def test_the_lines_of_a_hunk_are_counted() -> None:
    diff = unified_diff({"m.py": "a\nb\nc\n"}, {"m.py": "a\nB\nc\nd\n"})
    (found,) = file_patches(diff)
    assert [(block.start, block.old, block.new) for block in found.blocks] == [
        (2, ("b\n",), ("B\n",)),
        (4, (), ("d\n",)),
    ]


def _solved(case: GateCase, folder: Path) -> tuple[CaseOutcome, bool, float, float]:
    subject = open_subject("given:seconds=60")
    attempt = Attempt(Case(case.id, case.fields.split, case.fields.project, {}, case), 0, 1, 60.0, folder)
    found = subject.solve(attempt)
    assert (folder / "trajectory.jsonl").is_file()
    return found.outcome, found.success, found.metrics["wrong_pass"], found.metrics["lost_pass"]


def test_a_right_patch_passes_and_a_patch_of_a_test_does_not(tmp_path: Path) -> None:
    cases = load_gate_cases(SET)
    right = next(case for case in cases if case.fields.label == "right" and case.fields.kind == "index")
    changed = next(case for case in cases if case.fields.kind == "changed-tests")
    assert _solved(right, tmp_path / "right") == (CaseOutcome.CORRECT, True, 0.0, 0.0)
    assert _solved(changed, tmp_path / "changed") == (CaseOutcome.CORRECT, True, 0.0, 0.0)
