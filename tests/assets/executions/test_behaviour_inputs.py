"""The pieces of the behaviour measurement that need no sandbox: differences as parts, copies, variations, relations."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.judging.behaviour.spans import blocks, function_lines
from assets.executions.trial.worker.behaviour_call import Call, bound
from assets.executions.trial.worker.behaviour_inputs import twins, variants, variations
from assets.executions.trial.worker.behaviour_outcome import canonical, copied, digest, run_call
from assets.executions.trial.worker.behaviour_relations import invariants, related_calls, rename, unrename
from assets.executions.trial.worker.behaviour_reload import functions_of, parts_of, recording
from assets.executions.trial.worker.patching import Unpatchable

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-400, 400) | st.text(max_size=6) | st.floats(-100, 100),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
OLD = """import os

LIMIT = 3
DOUBLE = LIMIT * 2


@staticmethod
def plain(a, b=1):
    return a + b


class Box:
    size = 1

    def area(self):
        '''Text.'''
        return self.size
"""


def test_an_edited_method_is_one_part_with_its_text() -> None:
    parts = parts_of("m.py", OLD, OLD.replace("self.size\n", "self.size * 2\n"))
    assert [(p["chain"], p["line"], p["signature"]) for p in parts] == [(["Box", "area"], 15, False)]
    assert "self.size * 2" in parts[0]["source"]
    assert functions_of("m.py", OLD, parts) == [("m.py", ["Box", "area"], 15)]


def test_a_changed_default_is_a_changed_signature() -> None:
    (part,) = parts_of("m.py", OLD, OLD.replace("b=1", "b=2"))
    assert part["signature"]
    assert part["line"] == 7


def test_an_assignment_brings_those_that_depend_on_it() -> None:
    (part,) = parts_of("m.py", OLD, OLD.replace("LIMIT = 3", "LIMIT = 4"))
    assert part["names"] == ["LIMIT", "DOUBLE"]
    (inside,) = parts_of("m.py", OLD, OLD.replace("size = 1", "size = 2"))
    assert (inside["chain"], inside["source"].strip()) == (["Box"], "size = 2")
    assert functions_of("m.py", OLD, [inside]) == [("m.py", ["Box", "area"], 15)]


def test_added_imports_and_functions_are_executed() -> None:
    parts = parts_of("m.py", OLD, "import re\n" + OLD + "\n\ndef more():\n    return re\n")
    assert [p["exec"].split("\n")[0] for p in parts] == ["def more():", "import re"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@staticmethod\n", ""),
        ("class Box:", "class Box(dict):"),
        ("class Box:", "print(1)\n\n\nclass Box:"),
        ("DOUBLE = LIMIT * 2\n", ""),
    ],
)
def test_what_an_import_alone_can_change_is_refused(old: str, new: str) -> None:
    with pytest.raises(Unpatchable):
        parts_of("m.py", OLD, OLD.replace(old, new))


def test_a_recorded_function_reports_its_arguments_first() -> None:
    found = recording(OLD, ["Box", "area"], 15, 7)
    assert found is not None
    text, names = found
    assert names == ["self"]
    assert text.split("\n")[2].strip() == "__penstock_record__(7, locals())"
    one_line = recording("def f(a, *b, c=1, **d): return a\n", ["f"], 1, 0)
    assert one_line is not None
    assert one_line[0] == "def f(a, *b, c=1, **d): __penstock_record__(0, locals()); return a\n"
    assert one_line[1] == ["a", "c", "b", "d"]


@given(plain)
def test_renaming_has_an_inverse(value: Any) -> None:
    assert unrename(rename(value)) == pytest.approx(value) if isinstance(value, float) else True
    if not _floats(value):
        assert unrename(rename(value)) == value


@given(plain)
def test_a_copy_is_canonically_equal_and_shares_nothing(value: Any) -> None:
    twin = copied(value)
    assert digest(canonical(twin)) == digest(canonical(value))
    assert twin is not value or not isinstance(value, list | dict) or not value


@given(plain)
def test_variations_leave_the_value_alone_and_differ_from_it(value: Any) -> None:
    before = copy.deepcopy(value)
    found = [*variants(value), *twins(value)]
    assert value == before or value != value
    assert all(type(v) is type(value) for v in variants(value) if type(value) in (str, list, dict, bool))
    assert len(found) < 80


@given(st.lists(plain, max_size=3), plain)
def test_generating_is_repeatable_bounded_and_without_duplicates(items: list[Any], other: Any) -> None:
    calls = [Call(0, {"items": items, "other": other}, "target")]
    first, second = variations(calls, 30), variations(calls, 30)
    assert [c.how for c in first] == [c.how for c in second]
    assert len(first) <= 30
    forms = [digest((c.origin == "twin", canonical(c.arguments))) for c in first]
    assert len(set(forms)) == len(forms)
    assert len(related_calls(first, 10)) <= 10


@given(plain, plain)
def test_relations_never_raise(given_value: Any, result: Any) -> None:
    assert all(isinstance(v, bool) for v in invariants({"a": given_value, "n": 3}, result).values())


def _floats(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, float) or any(_floats(v) for v in inner)


def test_an_outcome_holds_the_result_the_error_and_the_effect() -> None:
    def work(items: list[int], *more: int, key: int = 0, **rest: int) -> int:
        items.append(key)
        return len(items) // len(more)

    arguments = {"items": [1], "more": (1,), "key": 2, "rest": {"x": 1}}
    assert bound(work, arguments) == ([[1], 1], {"key": 2, "x": 1})
    done = run_call(Call(0, arguments, "target"), work, 5.0, traced=True)
    assert (done.status, done.kind, done.shown) == ("value", "int", "2")
    assert done.effect
    assert len(done.lines) == 2
    assert arguments["items"] == [1]
    failed = run_call(Call(0, {**arguments, "more": ()}, "target"), work, 5.0, traced=False)
    assert (failed.status, failed.kind) == ("raise", "ZeroDivisionError")


def test_numbers_are_compared_by_value_and_values_by_type() -> None:
    assert canonical(2) == canonical(2.0)
    assert canonical(True) != canonical(1)
    assert canonical([1]) != canonical((1,))
    assert canonical({1: 2, 3: 4}) != canonical({3: 4, 1: 2})
    assert canonical(iter([1, 2])) == canonical(n for n in (1, 2))


def test_blocks_and_the_function_around_them() -> None:
    after = OLD.replace("LIMIT = 3", "LIMIT = 4").replace("return a + b", "return a - b")
    first, second = blocks(OLD, after)
    assert function_lines(OLD, first.old) is None
    assert function_lines(OLD, second.old) == ("plain", 8, 9)


def test_negative_numbers_are_unusual_only_where_no_recorded_call_has_one() -> None:
    plain = variations([Call(0, {"n": 3, "m": 4}, "target")], 40)
    assert any(call.unusual for call in plain) and not all(call.unusual for call in plain)
    assert all(call.unusual == any(type(v) is not str and v < 0 for v in call.arguments.values()) for call in plain)
    assert all(call.unusual for call in related_calls([c for c in plain if c.unusual], 20))
    signed = variations([Call(0, {"n": 3, "m": -4}, "target")], 40)
    assert not any(call.unusual for call in signed)
