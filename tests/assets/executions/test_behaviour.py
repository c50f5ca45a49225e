"""What a patch changes beyond the tests, measured in a real sandbox on small programs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assets.executions.judging.behaviour.doubts import judge_behaviour
from assets.executions.judging.behaviour.measure import Measurement, measure_patches
from assets.executions.judging.behaviour.rivals import rival_doubt, rival_groups
from assets.executions.judging.diff import unified_diff
from assets.executions.judging.verify import Change
from assets.executions.repository.test_command import detect
from assets.executions.trial.baseline import Allowance, measure
from assets.executions.trial.worker_client import PytestWorker
from sandbox.protocol import Limits, Sandbox

from .conftest import Files, write_files

SPLIT = """
def split_after(iterable, pred, maxsplit=-1):
    buf = []
    it = iter(iterable)
    for item in it:
        buf.append(item)
        if pred(item) and buf:
            yield buf
            if maxsplit == 1:
                yield list(it)
                return
            buf = []
            maxsplit -= 1
    if buf:
        yield buf
"""
SPLIT_TESTS = """
from program import split_after

def test_letters():
    assert list(split_after("xooxoo", lambda c: c == "x")) == [["x"], ["o", "o", "x"], ["o", "o"]]
    assert list(split_after("a,b,c", lambda c: c == ",", 1)) == [["a", ","], ["b", ",", "c"]]
    assert list(split_after("a,b,c", lambda c: c == ",", 2)) == [["a", ","], ["b", ","], ["c"]]
    assert list(split_after("", lambda c: c == ",")) == []

def test_nothing_after_the_last():
    assert list(split_after([1], lambda x: x == 1, 1)) == [[1]]
"""
RIGHT = (
    "yield list(it)\n                return",
    "rest = list(it)\n                if rest:\n                    yield rest\n                return",
)
WRAP = ("pred(item)", "pred(str(item))")
Measure = Callable[..., Measurement]


@pytest.fixture
def measured(tmp_path: Path, bubblewrap: Sandbox) -> Iterator[Measure]:
    """Measures edits (old text, new text) of program.py; `files` are further files, or other versions of these."""
    workers: list[PytestWorker] = []

    def run(source: str, tests: str, *edits: tuple[str, str], seconds: float = 120.0, **files: str) -> Measurement:
        named: Files = {f"{name}.md": text for name, text in files.items()}
        write_files(tmp_path, {"program.py": source, "test_program.py": tests, **named})
        command = detect(tmp_path, None)
        worker = PytestWorker(bubblewrap, tmp_path, command, Limits(wall_seconds=300, cpu_seconds=300))
        workers.append(worker)
        baseline = measure(worker, command, Allowance(60.0))
        before = (tmp_path / "program.py").read_text()
        changes = []
        for old, new in edits:
            assert old in before
            after: dict[str, str | None] = {"program.py": before.replace(old, new, 1)}
            changes.append(Change(unified_diff({"program.py": before}, after), after))
        return measure_patches(worker, tmp_path, changes, baseline, tuple(baseline.failing), seconds)

    yield run
    for worker in workers:
        worker.close()


def kinds(measurement: Measurement, number: int = 0) -> set[str]:
    return {doubt.kind for doubt in judge_behaviour(measurement, number).doubts}


def test_a_type_wrap_is_doubted_and_the_right_patch_is_not(measured: Measure) -> None:
    found = measured(SPLIT, SPLIT_TESTS, RIGHT, WRAP)
    right, wrong = judge_behaviour(found, 0), judge_behaviour(found, 1)
    assert right.measured
    assert right.doubts == ()
    assert [support.kind for support in right.supports] == ["compared-calls"]
    assert wrong.supports == ()
    assert "unlike-inputs" in {doubt.kind for doubt in wrong.doubts}
    assert "split_after" in next(doubt.detail for doubt in wrong.doubts if doubt.kind == "unlike-inputs")


def test_a_patch_that_tells_a_list_from_a_tuple_is_doubted(measured: Measure) -> None:
    found = measured(SPLIT, SPLIT_TESTS, ("pred(item) and buf:", "pred(item) and buf and buf != iterable:"))
    doubts = {doubt.kind: doubt.severity for doubt in judge_behaviour(found, 0).doubts}
    assert doubts.get("told-apart") == "draft"


def test_measuring_twice_gives_the_same(measured: Measure) -> None:
    first = measured(SPLIT, SPLIT_TESTS, WRAP)
    second = measured(SPLIT, SPLIT_TESTS, WRAP)
    assert [c.how for c in first.calls] == [c.how for c in second.calls]
    assert judge_behaviour(first, 0) == judge_behaviour(second, 0)


def test_a_value_of_the_test_in_the_program_is_doubted(measured: Measure) -> None:
    source = """
    def last_index(items, wanted):
        for position, item in enumerate(items):
            if item == wanted:
                return position
        return -1
    """
    tests = """
    from program import last_index

    def test_last():
        assert last_index([4, 7, 7], 7) == 2

    def test_first():
        assert last_index([5, 6], 5) == 0

    def test_none():
        assert last_index([1, 2], 3) == -1
    """
    special = ("if item == wanted:", "if item == wanted and (wanted != 7 or position == 2):")
    multiplied = ("return position", "return position * 2")
    right = ("if item == wanted:", "if item == wanted and wanted not in items[position + 1:]:")
    found = measured(source, tests, special, multiplied, right)
    assert kinds(found, 0) == {"broken-relation"}
    assert "broken-invariant" in kinds(found, 1)
    assert kinds(found, 2) == set()


def test_a_new_error_is_doubted(measured: Measure) -> None:
    source = """
    def first_word(text):
        return text.split(" ")[0]
    """
    tests = """
    from program import first_word

    def test_tabs():
        assert first_word("a\\tb") == "a"

    def test_space():
        assert first_word("c d") == "c"
    """
    found = measured(source, tests, ('text.split(" ")[0]', "text.split()[0]"))
    assert "new-error" in kinds(found)


def test_a_patch_that_never_ends_on_other_inputs_is_doubted(measured: Measure) -> None:
    source = """
    def halvings(n):
        count = 0
        while n > 1:
            n = n // 2
            count += 1
        return count + 1
    """
    tests = """
    from program import halvings

    def test_eight():
        assert halvings(8) == 3
    """
    found = measured(source, tests, ("return count + 1", "while n <= 0:\n        pass\n    return count"))
    assert "new-error" in kinds(found)
    assert "does not end" in judge_behaviour(found, 0).doubts[0].detail


def test_an_example_that_breaks_fails_the_patch(measured: Measure) -> None:
    source = '''
    def scale(n, by=2):
        """Multiplies.

        >>> scale(5)
        10
        """
        return n * by
    '''
    tests = """
    from program import scale

    def test_scale():
        assert scale(2, 3) == 7
    """
    readme = "Use it so:\n\n    >>> from program import scale\n    >>> scale(2, 3)\n    7\n"
    found = measured(source, tests, ("return n * by", "return n * by + 1"), README=readme)
    behaviour = judge_behaviour(found, 0)
    broken = [doubt for doubt in behaviour.doubts if doubt.kind == "broken-example"]
    assert broken[0].severity == "fail"
    assert "scale(5)" in broken[0].detail
    assert "scale(2, 3)" in behaviour.supports[-1].detail


def test_a_change_of_a_function_that_no_failing_test_executes_is_doubted(measured: Measure) -> None:
    source = """
    def total(prices):
        return sum(prices) - 1

    def label(name):
        return name.strip()
    """
    tests = """
    from program import label, total

    def test_total():
        assert total([1, 2]) == 3

    def test_label():
        assert label(" x") == "x"
    """
    between = "\n\ndef label(name):\n    return "
    both = (f"sum(prices) - 1{between}name.strip()", f"sum(prices){between}name.strip().lower()")
    found = measured(source, tests, both, ("sum(prices) - 1", "sum(prices)"))
    assert kinds(found, 0) == {"unreached-function"}
    assert kinds(found, 1) == set()


def test_one_value_for_every_input_is_doubted(measured: Measure) -> None:
    source = """
    def longest(words):
        return max((len(word) for word in words), default=0) + 1
    """
    tests = """
    from program import longest

    def test_longest():
        assert longest(["ab", "abcd"]) == 4
    """
    constant = ("return max((len(word) for word in words), default=0) + 1", "return 4 if words else 1")
    text = ("return max((len(word) for word in words), default=0) + 1",
            "n = max((len(word) for word in words), default=0)\n    return n if n > 3 else str(n)")  # fmt: skip
    found = measured(source, tests, constant, text, ("default=0) + 1", "default=0)"))
    assert "constant-result" in kinds(found, 0)
    assert "other-type" in kinds(found, 1)
    assert kinds(found, 2) == set()


def test_a_call_that_gives_another_result_each_time_is_left_out(measured: Measure) -> None:
    source = """
    import time

    def stamp(n):
        return (n + 1, time.perf_counter_ns())
    """
    tests = """
    from program import stamp

    def test_stamp():
        assert stamp(1)[0] == 1
    """
    found = measured(source, tests, ("n + 1", "n"))
    assert found.calls
    assert not any(call.steady and call.original.status == "value" for call in found.calls)
    assert judge_behaviour(found, 0).doubts == ()


def test_methods_generators_and_module_values_are_measured(measured: Measure) -> None:
    source = """
    STEP = 2

    class Counter:
        def __init__(self, start):
            self.start = start

        def upto(self, end):
            for n in range(self.start, end, STEP):
                yield n
    """
    tests = """
    from program import Counter

    def test_every_number():
        assert list(Counter(1).upto(4)) == [1, 2, 3]
    """
    found = measured(
        source, tests, ("STEP = 2", "STEP = 1"), ("range(self.start, end, STEP)", "range(self.start, end)")
    )
    assert found.functions == ("Counter.upto",)
    assert {group.patches for group in rival_groups(found)} == {(0, 1)}
    assert any("self.start" in call.slots for call in found.calls)
    changed = [
        r for c, r in zip(found.calls, found.patches[0].results or (), strict=True) if r and r.differs(c.original)
    ]
    assert len(changed) > 3


def test_rivals_are_grouped_by_what_they_do(measured: Measure) -> None:
    source = """
    LIMIT = 10

    def price(count, cents):
        total = count * cents
        if count > LIMIT:
            total -= total // 10
        return total
    """
    tests = """
    from program import price

    def test_ten():
        assert price(10, 100) == 900

    def test_few():
        assert price(2, 100) == 200
    """
    found = measured(
        source,
        tests,
        ("count > LIMIT", "count >= LIMIT"),
        ("count > LIMIT", "count > LIMIT - 1"),
        ("LIMIT = 10", "LIMIT = 5"),
    )
    assert {group.patches for group in rival_groups(found)} == {(0, 1), (2,)}
    doubt = rival_doubt(found, 0)
    assert doubt is not None
    assert "price" in doubt.detail


def test_what_cannot_be_measured_gives_a_note_and_no_doubt(measured: Measure) -> None:
    source = """
    class Number(int):
        def half(self):
            return self // 2 + 1
    """
    tests = """
    from program import Number

    def test_half():
        assert Number(4).half() == 2
    """
    other_base = (
        "class Number(int):\n    def half(self):\n        return self // 2 + 1",
        "class Number(float):\n    def half(self):\n        return int(self) // 2",
    )
    behaviour = judge_behaviour(measured(source, tests, other_base), 0)
    assert not behaviour.measured
    assert behaviour.doubts == ()
    assert any("fresh import" in note for note in behaviour.notes)


def test_a_repository_that_ends_the_process_gives_a_note(measured: Measure) -> None:
    source = """
    import os

    def stop(n):
        return n + 1
    """
    tests = """
    import os
    import sys

    from program import stop

    def test_stop():
        if "__penstock_record__" in dir(__builtins__) or "__penstock_record__" in __builtins__:
            os._exit(3)
        assert stop(1) == 1
    """
    behaviour = judge_behaviour(measured(source, tests, ("n + 1", "n")), 0)
    assert not behaviour.measured
    assert behaviour.doubts == ()


def test_calls_that_cannot_be_recorded_are_reported_as_lost(measured: Measure) -> None:
    first = "def first(items):\n    return next(items, 0) + 1\n"
    tests = "from program import first\n\ndef test_first():\n    assert first(n for n in [4]) == 4\n"
    found = measured(first, tests, (" + 1", ""), (" + 1", " + 0"))
    assert found.calls == ()
    assert "calls were not recorded: iterator" in found.lost
    assert measured(SPLIT, SPLIT_TESTS, RIGHT).lost == ""
