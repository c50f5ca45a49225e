"""The rules on measured calls, without a sandbox."""

from typing import Any

from assets.executions.judging.behaviour.doubts import judge_behaviour
from assets.executions.judging.behaviour.measure import Measured, MeasuredCall, Measurement, Result


def measurement(*pairs: tuple[str, Result, Result, bool]) -> Measurement:
    """Calls of one function as (origin, original, with the patch, unusual)."""
    calls = tuple(MeasuredCall(0, origin, "x = 1", before, True, unusual=odd) for origin, before, _, odd in pairs)
    return Measurement(("f",), calls, (Measured(tuple(after for _, _, after, _ in pairs)),))


def value(form: str, lines: tuple[int, ...] = (1, 2), **holds: bool) -> Result:
    named = {name.replace("_", " "): held for name, held in holds.items()}
    return Result("value", "list", form, shown=form, lines=frozenset(lines), holds=named)


def error(kind: str, form: str = "", lines: tuple[int, ...] = (1, 2)) -> Result:
    return Result("raise", kind, form or kind, shown=f"{kind}: {form}", lines=frozenset(lines))


def kinds(found: Measurement) -> set[str]:
    return {doubt.kind for doubt in judge_behaviour(found, 0).doubts if doubt.severity != "note"}


def held(**holds: bool) -> list[tuple[str, Result, Result, bool]]:
    """Enough calls whose results the patch keeps, on which the relations hold."""
    return [("variation", value(str(n), **holds), value(str(n), **holds), False) for n in range(20)]


SORTED: dict[str, Any] = {"the_result_is_sorted": True}
MADE: dict[str, Any] = {"every_text_in_the_result_occurs_in_the_arguments": True}


def test_a_relation_that_is_broken_where_the_original_returned_is_doubted() -> None:
    for relation in (SORTED, MADE):
        broken = dict.fromkeys(relation, False)
        changed = ("variation", value("a", **relation), value("b", **broken), False)
        assert kinds(measurement(*held(**relation), changed)) == {"broken-invariant"}


def test_where_the_original_failed_only_what_a_result_is_made_of_counts() -> None:
    for relation, expected in ((SORTED, set()), (MADE, {"broken-invariant"})):
        broken = dict.fromkeys(relation, False)
        changed = ("variation", error("IndexError"), value("b", **broken), False)
        assert kinds(measurement(*held(**relation), changed)) == expected


def test_a_relation_that_is_broken_on_an_unusual_input_is_not_doubted() -> None:
    broken = dict.fromkeys(SORTED, False)
    changed = ("variation", value("a", **SORTED), value("b", **broken), True)
    assert kinds(measurement(*held(**SORTED), changed)) == set()
