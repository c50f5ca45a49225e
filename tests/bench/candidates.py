"""How many candidates a second the engine `search` tries, beside one process of pytest for each.

No edit repairs these programs, so the search goes on until its budget is spent: a small program whose tests are quick,
one that hangs with many edits, and a package with a thousand tests. Both rates are of the same sandbox in the same run.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from assets.executions.engines.open_engine import EngineChoice, open_engine
from core.settings import load_settings
from core.work import Budget, TaskText
from dagster_project.subjects.repair import solve_folder
from sandbox import backends
from sandbox.protocol import Environment, Limits, Sandbox
from sandbox.python import python_runtime

SECONDS = 40.0
CANDIDATES = 4_000
PROCESSES = 8

HEAP = '''"""Sorts with a heap."""


def sift(items, start, end):
    root = start
    while 2 * root + 1 <= end:
        child = 2 * root + 1
        if child + 1 <= end and items[child] < items[child + 1]:
            child += 1
        if items[root] >= items[child]:
            return
        items[root], items[child] = items[child], items[root]
        root = child


def descending(items):
    heap = list(items)
    for start in range(len(heap) // 2 - 1, -1, -1):
        sift(heap, start, len(heap) - 1)
    for end in range(len(heap) - 1, -1, -1):
        yield heap[0]
        heap[0] = heap[end]
        sift(heap, 0, end - 1)
'''
HEAP_TESTS = """import pytest

from program import descending


@pytest.mark.parametrize("items", [[], [1], [2, 1], [1, 2], [3, 1, 2], list(range(20))])
def test_descending_sorts(items):
    assert list(descending(items)) == sorted(items, reverse=True)


def test_descending_says_how_many():
    assert list(descending([3, 1])) == [3, 1, "two items"]


def test_descending_takes_no_number():
    assert list(descending(7)) == ["seven"]
"""
FIND = '''"""Finds a place in a sorted list."""


def place(items, wanted):
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
'''
FIND_TESTS = """import pytest

from program import place


@pytest.mark.parametrize(("wanted", "expected"), [(1, 0), (2, 1), (9, 3)])
def test_place_among_three(wanted, expected):
    assert place([1, 2, 3], wanted) == expected


def test_place_has_words():
    assert place([1, 5, 9, 13], 9) == "the third"


def test_place_of_two():
    assert place([1, 5, 9, 13], (9, 13)) == [2, 3]
"""
PACKAGE_TESTS = (
    HEAP_TESTS
    + """

@pytest.mark.parametrize("number", range(992))
def test_descending_keeps_each(number):
    assert list(descending([number, number + 1])) == [number + 1, number]
"""
)
PROGRAMS = {
    "small program": (HEAP, HEAP_TESTS),
    "program that hangs with many edits": (FIND, FIND_TESTS),
    "package with 1,000 tests": (HEAP, PACKAGE_TESTS),
}


def measure() -> list[dict[str, Any]]:
    rows = []
    for sandbox in backends():
        if sandbox.available() is not None:
            continue
        for name, (program, tests) in PROGRAMS.items():
            with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
                root = Path(folder)
                (root / "program.py").write_text(program)
                (root / "test_program.py").write_text(tests)
                rate, tried = _rate(root, sandbox)
                rows.append(
                    _row(f"candidates, {name}, {sandbox.name} ({tried} tried)", rate, _processes(root, sandbox))
                )
    return rows


def _rate(root: Path, sandbox: Sandbox) -> tuple[float, int]:
    """Candidates a second in the search itself, without what comes before and after it."""
    text = TaskText(title="The suite is red", body="Make the failing tests pass.")
    budget = Budget(seconds=SECONDS, candidates=CANDIDATES)
    settings = load_settings()
    engine = open_engine(EngineChoice("search"), settings)
    execution = solve_folder(root, text, "bench", engine, sandbox, settings, budget).execution
    if execution.patch is not None or "search" not in execution.evidence.timings:
        raise RuntimeError(f"this program was to be searched for a repair in vain: {execution.summary}")
    tried = execution.evidence.candidates.tried
    return tried / execution.evidence.timings["search"], tried


def _processes(root: Path, sandbox: Sandbox) -> float:
    """Runs of the failing tests a second, each in a process of pytest."""
    runtime = python_runtime()
    with sandbox.open(Environment(root, runtime.mounts, runtime.variables), Limits(wall_seconds=120)) as session:
        argv = [runtime.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "test_program.py"]
        session.run(argv)
        began = time.perf_counter()
        for _ in range(PROCESSES):
            session.run(argv)
        return PROCESSES / (time.perf_counter() - began)


def _row(name: str, value: float, against: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": "per second",
        "against": "one process of pytest for each",
        "against_value": round(against, 2),
        "ratio": round(value / against, 1),
    }
