"""The bench of real bugs: what it counts as right, labels given by reading, and calls compared with the true fix."""

import json
from pathlib import Path

import pytest

from assets.evals.harvest import releases
from assets.evals.sets.released import ReleasedCase, load_released
from assets.evals.sets.released_laid_over import open_laid_over
from sandbox.protocol import Sandbox
from tests.assets.evals.released_sdists import Registry, case_of, write_case
from tests.bench.real_bugs import LABELS, Row, fix_lines, patch_hash, read_labels, totals, with_label
from tests.bench.real_bugs_calls import changed_functions, compare_calls

PATCH = """\
--- a/parcels/weights.py
+++ b/parcels/weights.py
@@ -4,4 +4,6 @@
 def total(parcels):
     \"\"\"The weight of all, 0 without any.\"\"\"
+    if CONDITION:
+        return 0
     weight = parcels[0]
     for parcel in parcels[1:]:
"""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReleasedCase:
    monkeypatch.setattr(releases, "CACHE", tmp_path / "cache")
    write_case(tmp_path / "toy", case_of(Registry(tmp_path / "registry", monkeypatch)))
    return load_released(tmp_path / "toy")[0]


def test_a_patch_that_differs_from_the_fix_on_other_arguments_is_told_from_one_that_does_not(
    case: ReleasedCase, sandbox: Sandbox
) -> None:
    with open_laid_over(case) as opened:
        wrong = PATCH.replace("CONDITION", "len(parcels) < 2")
        assert changed_functions(opened, wrong) == [("parcels/weights.py", "total")]
        differs = compare_calls(opened, wrong, sandbox)
        same = compare_calls(opened, PATCH.replace("CONDITION", "not parcels"), sandbox)
    assert differs.differing and any("total([1])" in line and "fix 1" in line for line in differs.different)
    assert same.calls == differs.calls > 2 and same.different == ()


def row(case: str, published: str, judged: str = "", **more: object) -> Row:
    return Row(case, f"package-{case[0]}", "dev", 1, published, judged, **more)  # type: ignore[arg-type]


def test_precision_counts_judged_patches_and_says_what_it_would_be_at_worst() -> None:
    rows = [
        row("a1", "pass", "right"), row("a2", "pass", "equivalent"), row("b1", "pass", "wrong"),
        row("b2", "pass", "unjudged"), row("c1", "draft", "wrong"), row("c2", "none"), row("c3", "failed"),
        row("c4", "none", environment=("the package x",)),
    ]  # fmt: skip
    found = totals(rows)
    assert found["pass"] == {
        "published": 4, "packages": 2, "right": 2, "wrong": 1, "unjudged": 1,
        "precision": "66.7% (20.8% to 93.9%)", "at_worst": "50.0% (15.0% to 85.0%)",
    }  # fmt: skip
    assert found["draft"]["precision"] == "0.0% (0.0% to 79.3%)"
    assert found["environment_failures"] == ["c4"] and found["could_not_be_run"] == ["c3"]
    assert (found["solvable_runs"], found["nothing_published"]) == (6, 1)


def test_a_label_belongs_to_one_patch_of_one_case(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    entry = {"case": "a1", "patch_sha256": patch_hash("+x"), "label": "wrong", "why": "drops the header"}
    labels.write_text(json.dumps([entry]))
    found = read_labels(labels)
    read = with_label(row("a1", "pass", "right", patch="+x"), found)
    assert (read.judged, read.judge, read.why) == ("wrong", "reading", "drops the header")
    assert with_label(row("a1", "pass", "right", patch="+y"), found).judged == "right"
    assert with_label(row("a2", "pass", "right", patch="+x"), found).judged == "right"


@pytest.mark.parametrize("change", [{"label": "good"}, {"why": " "}])
def test_a_label_needs_a_known_word_and_a_reason(tmp_path: Path, change: dict[str, str]) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps([{"case": "a", "patch_sha256": "0", "label": "right", "why": "so"} | change]))
    with pytest.raises(ValueError, match="must be right, wrong or equivalent, with a reason"):
        read_labels(labels)


def test_the_labels_of_the_bench_can_be_read() -> None:
    entries = json.loads(LABELS.read_text())
    assert len(read_labels()) == len(entries)


def test_the_size_of_a_fix_ignores_comments_and_blank_lines() -> None:
    assert fix_lines("--- a/x\n+++ b/x\n@@ -1,2 +1,4 @@\n-a\n+b\n+# why\n+\n+c\n d\n") == 2
