"""Small edits beside a proposed patch: how many are tried, and that one of another behaviour makes a draft."""

from pathlib import Path

import pytest

from assets.evals.sets.gate import load_gate_cases
from assets.executions.attempt.alternatives import LEAST_TRIED, TRIED, _count
from dagster_project.subjects.gate import answer
from sandbox.protocol import Sandbox

SET = Path(__file__).parents[3] / "eval_sets" / "gate-traps"


@pytest.mark.parametrize(("seconds", "count"), [(0.0, TRIED), (1.0, TRIED), (2.0, 12), (60.0, LEAST_TRIED)])
def test_fewer_edits_are_tried_where_the_targets_are_slow(seconds: float, count: int) -> None:
    assert _count(seconds) == count


def test_a_more_natural_edit_with_another_behaviour_makes_a_draft(sandbox: Sandbox) -> None:
    case = next(case for case in load_gate_cases(SET, "dev") if case.fields.kind == "wrong-operator")
    found = answer(case, sandbox, 120.0)
    assert found.verdict == "draft"
    assert "Another patch that passes every test" in " ".join(found.reasons)
