"""The rules on what reaches a result, on measured calls without a sandbox."""

import pytest

from assets.executions.judging.behaviour.doubts import judge_behaviour
from assets.executions.judging.behaviour.measure import Measured, MeasuredCall, Measurement, Result
from assets.executions.judging.behaviour.rivals import rival_doubt

Row = tuple[MeasuredCall, Result]


def kinds(rows: list[Row]) -> set[str]:
    measurement = Measurement(("f",), tuple(call for call, _ in rows), (Measured(tuple(now for _, now in rows)),))
    return {doubt.kind for doubt in judge_behaviour(measurement, 0).doubts if doubt.severity != "note"}


def value(form: str, *arguments: str, **holds: bool) -> Result:
    named = {name.replace("_", " "): held for name, held in holds.items()}
    return Result("value", "str", form, effect=" ".join(arguments), shown=form, holds=named, arguments=arguments)


def call(origin: str, original: Result, base: int = -1, slot: str = "x") -> MeasuredCall:
    slots = (slot,) if origin == "variation" else ()
    return MeasuredCall(0, origin, "x = 1", original, True, base, slots=slots)


def varied(after: list[str], slot: str = "x") -> list[Row]:
    """A failing call, and variations of it for which the original gives different results."""
    rows = [(call("target", value("wrong")), value(after[0]))]
    for number, form in enumerate(after[1:]):
        rows.append((call("variation", value(f"before {number}"), 0, slot), value(form)))
    return rows


def test_an_input_that_no_longer_matters_is_a_doubt() -> None:
    assert "lost-influence" in kinds(varied(["same"] * 8))


def test_an_input_that_matters_once_is_no_doubt() -> None:
    assert "lost-influence" not in kinds(varied(["same"] * 7 + ["other"]))


def test_few_pairs_of_inputs_say_nothing_about_influence() -> None:
    assert "lost-influence" not in kinds(varied(["same"] * 4))


def test_an_order_that_no_longer_matters_is_a_doubt() -> None:
    rows: list[Row] = []
    for number in range(6):
        base = len(rows)
        rows.append((call("variation", value(f"a{number}")), value(f"s{number}")))
        rows.append((call("reversed", value(f"b{number}"), base), value(f"s{number}")))
    assert "lost-influence" in kinds(rows)


KEEPS = "the_result_has_all_of_x"


def lost(before: Result, kept: int) -> list[Row]:
    rows = [(call("variation", value(str(n), **{KEEPS: True})), value(str(n), **{KEEPS: True})) for n in range(kept)]
    return [*rows, (call("target", before), value("less", **{KEEPS: False}))]


def test_a_repaired_result_without_all_items_is_a_doubt() -> None:
    failed = Result("raise", "KeyError", "KeyError")
    assert kinds(lost(failed, 10)) == {"lost-items"}
    assert kinds(lost(failed, 3)) == set()
    assert kinds(lost(value("more", **{KEEPS: True}), 10)) == set()


def test_an_argument_that_is_changed_for_the_first_time_is_a_doubt() -> None:
    rows = [(call("variation", value(str(n))), value(str(n))) for n in range(10)]
    changing = (call("variation", value("a")), value("a", "items"))
    assert "changed-argument" in kinds([*rows, changing])
    assert "changed-argument" not in kinds([*rows, (call("variation", value("a")), value("a", "self"))])
    usual = (call("variation", value("b", "items")), value("b", "items"))
    assert "changed-argument" not in kinds([*rows, usual, changing])


def rivals(origin: str, result: Result) -> bool:
    """Whether a patch and another one with this result of one call are rivals."""
    rows = [(call("target", value("wrong")), value("fixed")), (call(origin, value("a")), value("a"))]
    other = (value("fixed"), result)
    calls, mine = tuple(c for c, _ in rows), tuple(now for _, now in rows)
    return rival_doubt(Measurement(("f",), calls, (Measured(mine), Measured(other))), 0) is not None


def test_patches_that_differ_for_another_type_alone_are_no_rivals() -> None:
    assert rivals("variation", value("b"))
    assert not rivals("twin", value("b"))
    assert not rivals("retyped", value("b"))


def test_patches_with_other_effects_are_rivals() -> None:
    assert rivals("variation", value("a", "self"))
    assert not rivals("variation", value("a"))
    assert not rivals("variation", Result("raise", "ValueError", "ValueError"))


def of_kind(name: str, form: str) -> Result:
    return Result("value", name, form, shown=form)


def kept_and_repaired(kept: str, before: str, after: str) -> list[Row]:
    """Three calls of passing tests that give the same as before, and one repaired call."""
    same = [of_kind(kept, str(number)) for number in range(3)]
    repaired = (call("target", of_kind(before, "wrong")), of_kind(after, "right"))
    return [*((call("passing", one), one) for one in same), repaired]


def test_results_of_two_kinds_where_there_was_one_are_a_doubt() -> None:
    assert "mixed-kinds" in kinds(kept_and_repaired("str", "str", "set"))


@pytest.mark.parametrize(
    "rows",
    [
        kept_and_repaired("str", "str", "str"),
        kept_and_repaired("list", "list", "tuple"),
        kept_and_repaired("str", "list", "set"),
        kept_and_repaired("str", "NoneType", "set"),
        kept_and_repaired("str", "str", "NoneType"),
        [(call("target", of_kind("str", str(number))), of_kind("set", str(number))) for number in range(4)],
    ],
    ids=["same", "alike", "mixed before", "from none", "to none", "all at once"],
)
def test_another_kind_of_result_alone_is_no_doubt(rows: list[Row]) -> None:
    assert "mixed-kinds" not in kinds(rows)
