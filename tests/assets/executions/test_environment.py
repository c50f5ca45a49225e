"""Tests that fail for what is missing around them are told from those that the program fails, before any search."""

from collections.abc import Callable

import pytest

from assets.executions.judging.gate import judge
from core.work import Execution, Outcome, VerdictKind

from .conftest import Files
from .environment_cases import CONFIG, FAULTS, LACKING, SHIP, TEST

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
    done = repair(FAULTS[kind], "The tests fail", seconds=12)
    assert not done.evidence.environment, done.summary
    assert done.evidence.candidates.tried > 0, done.summary


def test_other_failures_are_searched_and_the_tests_left_aside_are_named(repair: Repair) -> None:
    """A module that cannot be imported here stands beside a test that fails for the fault."""
    files: Files = {**LACKING["a declared package"].files, "test_other.py": TEST}
    done = repair(files, ISSUE)
    assert done.patch is not None and ">=" in done.patch.diff, done.summary
    assert done.evidence.target_tests == ("test_other.py::test_free",)
    assert done.evidence.environment[0].tests == ("test_ship.py",)
    assert any(note.startswith("1 test left aside, which needs the package") for note in done.evidence.notes)
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.PASS, verdict


def test_a_test_without_a_network_is_neither_repaired_nor_counted(repair: Repair) -> None:
    hidden = LACKING["a network whose absence the program hides"].files
    files: Files = {"net.py": hidden["ship.py"], "ship.py": SHIP, "test_ship.py": TEST,
             "test_net.py": str(hidden["test_ship.py"]).replace("ship", "net")}  # fmt: skip
    done = repair(files, ISSUE)
    assert done.patch is not None and done.evidence.changed_paths == ("ship.py",)
    before = done.evidence.before
    assert before is not None and before.outcomes["test_net.py::test_online"] is Outcome.UNKNOWN
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.PASS, verdict


def test_examples_in_the_issue_are_used_when_the_rest_of_the_suite_runs(repair: Repair) -> None:
    files: Files = {**LACKING["a service"].files, "cost.py": SHIP.replace("shipping", "cost"),
             "test_cost.py": "from cost import cost\n\n\ndef test_cost():\n    assert cost(60) == 0\n"}  # fmt: skip
    done = repair(files, "Free shipping starts too late\n\n```\n>>> cost(50)\n0\n```\n")
    assert done.patch is not None and done.evidence.reproduction == "issue", done.summary


def test_a_script_that_doctest_collects_and_that_needs_a_package_is_left_aside(repair: Repair) -> None:
    files: Files = {"ship.py": SHIP, "test_ship.py": TEST,
             "pyproject.toml": CONFIG.format("addopts = '--doctest-modules'"),
             "scripts/plot.py": "import zebra_striper\n", "scripts/run.py": "import sys\n\nsys.exit(2)\n"}  # fmt: skip
    done = repair(files, ISSUE)
    assert done.patch is not None and done.evidence.target_tests == ("test_ship.py::test_free",), done.summary
    notes = " ".join(done.evidence.notes)
    assert "zebra-striper" in notes and "scripts/plot.py" in notes and "scripts/run.py" in notes


@pytest.mark.parametrize(("zone", "fails"), [("Europe/Berlin", False), ("UTC", True)])
def test_the_time_zone_of_the_test_command_is_used_and_decides(repair: Repair, zone: str, fails: bool) -> None:
    done = repair(LACKING["another time zone"].files, ISSUE, seconds=20, test_command=f"TZ={zone} python -m pytest")
    before = done.evidence.before
    assert before is not None and bool(before.failing()) is fails, done.summary
    assert not done.evidence.environment
