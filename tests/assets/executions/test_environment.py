"""Tests that fail for what is missing around them are told from those that the program fails, before any search."""

from collections.abc import Callable

import pytest

from core.work import Execution

from .environment_cases import FAULTS, LACKING

Repair = Callable[..., Execution]
ISSUE = "Free shipping starts too late\n\nshipping(50) should be 0"


@pytest.mark.parametrize("kind", LACKING)
def test_what_is_missing_is_said_first_and_nothing_is_tried(repair: Repair, kind: str) -> None:
    case = LACKING[kind]
    done = repair(case.files, ISSUE, seconds=60, test_command=case.test)
    first = done.summary.split(". ")[0]
    assert case.named in first and case.remedy in first, done.summary
    assert done.summary.startswith("The tests need ")
    assert done.patch is None and done.evidence.candidates.tried == 0
    assert done.evidence.environment[0].tests


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_that_looks_like_that_is_searched(repair: Repair, kind: str) -> None:
    done = repair(FAULTS[kind], "It does not work", seconds=12)
    assert not done.evidence.environment, done.summary
    assert done.evidence.candidates.tried > 0, done.summary
