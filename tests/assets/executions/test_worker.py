"""The worker tries candidates in one process: none leaves traces, none that hangs or grows stops the rest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.engines.protocol import Candidate
from assets.executions.engines.search.files import EditableFiles
from assets.executions.engines.search.source import Edit
from assets.executions.repository.checkout import Checkout
from assets.executions.repository.test_command import detect
from assets.executions.trial.baseline import Allowance, Baseline, measure
from assets.executions.trial.worker_client import PytestWorker
from core.work import Outcome
from sandbox.protocol import Limits, Sandbox

from .conftest import Files

PROGRAM = """
import functools

LIMIT = 10
DOUBLE = LIMIT * 2
_cache = {}
calls = 0


def grow(n):
    global calls
    calls += 1
    _cache[n] = n
    return len(_cache) + 1


@functools.lru_cache
def square(n):
    return n + n


def count(n, start=1):
    total = 0
    while n > 0:
        total += start
        n -= 1
    return total


class Box:
    size = 3

    def area(self):
        return self.size + self.size


def limit():
    return DOUBLE
"""
TESTS = """
import os
from mod import Box, count, grow, limit, square

def test_grow():
    assert grow(1) == 1

def test_square():
    assert square(3) == 9

def test_count(tmp_path):
    (tmp_path / "x").write_text("y")
    assert count(3) == 0

def test_area():
    assert Box().area() == 9

def test_size():
    assert Box().size == 4

def test_limit():
    assert limit() == 22

def test_other(capsys):
    print("hello")
    assert capsys.readouterr().out == "hello\\n"
    assert count(2) == 2
"""


class Lab:
    """A worker with a measured baseline, and candidates made from text."""

    def __init__(self, worker: PytestWorker, made: Checkout, baseline: Baseline) -> None:
        self.worker, self.baseline = worker, baseline
        self.files = EditableFiles(made.root, made.settings)
        self.runner = CandidateRunner(worker, baseline, self.files)

    def candidate(self, old: str, new: str, path: str = "mod.py") -> Candidate:
        at = self.files[path].text.index(old)
        return Candidate((Edit(path, at, at + len(old), new),), "test", 1.0, 1.0, path, self.files[path].line_of(at))

    def statuses(self, target: str, *changes: tuple[str, str]) -> list[str]:
        self.runner.set_targets((f"tests/test_mod.py::{target}",))
        return [o.status for o in self.runner.try_all([self.candidate(*change) for change in changes], 30)]


@pytest.fixture
def lab(checkout: Callable[[Files], Checkout], bubblewrap: Sandbox) -> Iterator[Callable[..., Lab]]:
    workers: list[PytestWorker] = []

    def make(files: Files | None = None, deferred: float = 3) -> Lab:
        made = checkout(files or {"mod.py": PROGRAM, "tests/test_mod.py": TESTS, "conftest.py": ""})
        command = detect(made.root, None)
        workers.append(PytestWorker(bubblewrap, made.root, command, Limits(wall_seconds=120, cpu_seconds=120)))
        return Lab(workers[-1], made, measure(workers[-1], command, Allowance(20, cpu=1, wall=1.3, deferred=deferred)))

    yield make
    for worker in workers:
        worker.close()


def test_outcomes_failures_and_coverage_come_from_one_start(lab: Callable[..., Lab]) -> None:
    found = lab().baseline
    assert found.run.outcomes["tests/test_mod.py::test_other"] is Outcome.PASSED
    assert len(found.failing) == 6
    failure = found.failures["tests/test_mod.py::test_square"][0]
    assert (failure.type, failure.compare[:3]) == ("AssertionError", ("==", "6", "9"))
    lines = {found.places[n] for n in found.hits["tests/test_mod.py::test_square"]}
    assert lines == {("mod.py", 19)}


def test_candidates_are_tried_in_place_and_leave_no_traces(lab: Callable[..., Lab]) -> None:
    made = lab()
    right = ("n + n", "n * n")
    wrong = ("n + n", "n - n")
    assert made.statuses("test_square", wrong, right, wrong, right) == ["fail", "pass", "fail", "pass"]
    # Module state that each run changes (a dictionary, a counter, a cache) is put back between candidates.
    shrink = ("len(_cache) + 1", "len(_cache)")
    assert made.statuses("test_grow", shrink, shrink, shrink) == ["pass", "pass", "pass"]
    assert made.runner.fresh == 0


def test_a_candidate_that_hangs_costs_little_and_stops_no_other(lab: Callable[..., Lab]) -> None:
    made = lab()
    hang = ("n -= 1", "n += 0")
    stubborn = ("        n -= 1", "        try:\n            n -= 0\n        except BaseException:\n            pass")
    assert made.statuses("test_count", hang, ("total += start", "total += 0"), stubborn, ("return total", "return 0"))[
        ::2
    ] == ["hang", "hang"]
    assert made.statuses("test_count", hang, ("return total", "return 0")) == ["hang", "regress"]


def test_a_candidate_that_needs_many_turns_gets_a_second_trial(lab: Callable[..., Lab]) -> None:
    program = "def fill(n):\n    done = 0\n    while done < n - n:\n        done += 1\n    return done\n"
    test = "from mod import fill\n\ndef test_fill():\n    assert fill(30_000) == 30_000\n"
    made = lab({"mod.py": program, "tests/test_mod.py": test, "conftest.py": ""})
    right, endless = ("n - n", "n"), ("done += 1", "done -= 1")
    assert made.statuses("test_fill", right, endless) == ["hang", "fail"]
    assert [one.edits[0].text for one in made.runner.later] == ["n"]
    assert [found.status for found in made.runner.try_all([], 20)] == ["pass"]
    assert made.runner.later == []


def test_a_candidate_that_eats_memory_or_ends_the_process_stops_no_other(lab: Callable[..., Lab]) -> None:
    made = lab()
    statuses = made.statuses(
        "test_square", ("n + n", "len([0] * (1 << 40))"), ("n + n", "__import__('os')._exit(1)"), ("n + n", "n * n")
    )
    assert statuses == ["fail", "crash", "pass"]


def test_a_candidate_that_breaks_a_test_that_passed_is_seen_at_once(lab: Callable[..., Lab]) -> None:
    made = lab()
    observations = None
    made.runner.set_targets(("tests/test_mod.py::test_count",))
    observations = made.runner.try_all([made.candidate("return total", "return 0")], 20)
    assert (observations[0].status, observations[0].broken) == ("regress", "tests/test_mod.py::test_other")


def test_constants_class_attributes_and_defaults_change_in_place(lab: Callable[..., Lab]) -> None:
    made = lab()
    assert made.statuses("test_limit", ("LIMIT = 10", "LIMIT = 11"), ("LIMIT = 10", "LIMIT = 12")) == ["pass", "fail"]
    assert made.statuses("test_size", ("size = 3", "size = 4")) == ["pass"]
    assert made.statuses("test_count", ("start=1", "start=0"))[0] == "regress"
    assert made.runner.fresh == 0


def test_edits_outside_functions_are_tried_by_a_fresh_import(lab: Callable[..., Lab]) -> None:
    made = lab()
    assert made.statuses(
        "test_square", ("@functools.lru_cache\ndef square(n):\n    return n + n", "def square(n):\n    return n * n")
    ) == ["pass"]
    assert made.runner.fresh > 0
    assert "n + n" in made.worker.session.read("mod.py").decode()


def test_a_candidate_that_does_not_compile_is_reported_as_such(lab: Callable[..., Lab]) -> None:
    assert lab().statuses("test_square", ("n + n", "n +"), ("n + n", "n * n")) == ["compile", "pass"]


def test_a_worker_that_died_says_so_and_can_be_started_again(lab: Callable[..., Lab]) -> None:
    made = lab()
    made.worker.stop()
    made.worker.ask("open", 20, coverage=False, instrument_seconds=0)
    assert made.statuses("test_square", ("n + n", "n * n")) == ["pass"]


def test_what_the_tests_print_or_read_does_not_reach_the_messages(lab: Callable[..., Lab]) -> None:
    noisy = """
    import os, sys
    def test_noise():
        os.write(1, b'{"outcomes": {}}\\n' * 100)
        os.write(2, b"x" * 100000)
        sys.__stdout__.write("more\\n")
        assert sys.stdin.read() == ""
    """
    made = lab({"mod.py": "x = 1\n", "tests/test_noise.py": noisy})
    assert set(made.baseline.run.outcomes) == {"tests/test_noise.py::test_noise"}


def test_the_run_continues_with_the_next_test_after_a_hang(lab: Callable[..., Lab]) -> None:
    tests = """
    import time
    def test_sleeps():
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    def test_after():
        assert True
    """
    found = lab({"mod.py": "x = 1\n", "tests/test_hang.py": tests}).baseline
    assert found.run.outcomes == {
        "tests/test_hang.py::test_sleeps": Outcome.UNKNOWN,
        "tests/test_hang.py::test_after": Outcome.PASSED,
    }
    assert list(found.run.stopped) == ["tests/test_hang.py::test_sleeps"]
    assert not found.run.complete and not found.run.failing()
    assert any("did not end within the time there was" in note for note in found.notes)


def test_a_slow_test_is_run_to_its_end_and_does_not_count_as_failing(lab: Callable[..., Lab]) -> None:
    tests = """
    import time, pytest
    @pytest.mark.parametrize("n", range(3))
    def test_slow(n):
        time.sleep(1.6)
        assert n < 2
    def test_quick():
        assert True
    """
    found = lab({"mod.py": "x = 1\n", "tests/test_slow.py": tests}, deferred=30).baseline
    outcomes = [found.run.outcomes[f"tests/test_slow.py::test_slow[{n}]"] for n in range(3)]
    assert outcomes == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]
    assert found.run.complete and not found.run.stopped


def test_fresh_trials_leave_the_repository_unchanged(lab: Callable[..., Lab], tmp_path: Path) -> None:
    made = lab()
    before = made.worker.session.read("mod.py")
    made.statuses("test_square", ("import functools\n", "import functools\nimport os\n"))
    assert made.worker.session.read("mod.py") == before
