"""What a measurement says for and against a patch, as doubts and supports.

Each rule is kept because it catches more wrong patches than it hurts right ones: `python -m tests.bench.doubts` prints
the table that docs/gate.md shows.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from core.work import Doubt, Support

from .influence import KEEPS, changed_arguments, lost_influence, lost_items, mixed_kinds
from .measure import Measurement, Result
from .view import Pair, View

PROGRAMMING_ERRORS = frozenset(
    {"TypeError", "AttributeError", "NameError", "UnboundLocalError", "IndexError", "KeyError", "RecursionError"}
)
"""Exceptions that a program raises by mistake, unlike `ValueError` or its own, which may be the fix."""
ENOUGH = 50
"""Fewer compared calls say too little to speak for a patch."""
SEVERAL = 3
"""On fewer inputs, a new error may be that of a boundary that callers avoid, such as an empty list."""
FEW_INPUTS = 8
"""A relation that was observed on fewer inputs may hold by chance."""
FEW_OTHERS = 3
"""At least this many of them must have another than the most frequent result."""
MOSTLY = 0.9
"""The share of inputs on which the original must satisfy a relation between calls, so that one exception matters."""
OFTEN, MUCH = 0.6, 0.3
"""The share that suffices when the patched program satisfies the relation on a share that is smaller by 0.3."""


@dataclass(frozen=True)
class Behaviour:
    """What was measured of one patch beyond the tests. `notes` say what could not be measured, and why."""

    doubts: tuple[Doubt, ...] = ()
    supports: tuple[Support, ...] = ()
    notes: tuple[str, ...] = ()
    measured: bool = False
    """Whether calls of the changed functions were compared."""


Rule = Callable[[View], str | None]
"""The doubt's detail, a sentence; None when there is no doubt."""


def new_errors(view: View) -> str | None:
    """The patched program makes programming errors, hangs or crashes on several inputs on which the original
    returned."""
    failing = [pair for pair in view.pairs if pair.returned and pair.call.origin in _PLAIN and _fails(pair.result)]
    if len(failing) < SEVERAL:
        return None
    pair = failing[0]
    what = f"raises {pair.result.kind}" if pair.result.status == "raise" else "does not end"
    return (
        f"With the patch, `{view.name(pair)}` {what} where it returned {pair.call.original.shown} before "
        f"({pair.call.how}), and fails on {len(failing) - 1} other inputs."
    )


_PLAIN = ("target", "passing", "variation")


def _fails(result: Result) -> bool:
    return result.status in ("hang", "crash") or (result.status == "raise" and result.kind in PROGRAMMING_ERRORS)


def unlike_inputs(view: View) -> str | None:
    """Results change on inputs that take another path through the original than the failing ones."""
    if not view.repaired:
        return None
    spread = [pair for pair in view.pairs if pair.returned and pair.changed and not view.like_repaired(pair)]
    if not spread:
        return None
    pair = spread[0]
    return (
        f"The patch also changes results of `{view.name(pair)}` on inputs that do not take the path of the failing "
        f"ones: {_change(pair)} for {pair.call.how}."
    )


def constant_result(view: View) -> str | None:
    """The patched program returns one value on inputs for which the original returned several."""
    changed = [pair for pair in view.pairs if pair.changed and pair.result.status == "value"]
    changed = [p for p in changed if p.result.kind not in ("bool", "NoneType") and not _made_of_arguments(p.result)]
    before = {pair.call.original.form for pair in changed if pair.returned}
    after = {pair.result.form for pair in changed}
    if len(before) < 3 or len(after) > 1:
        return None
    pair = changed[0]
    return f"With the patch, `{view.name(pair)}` returns {pair.result.shown} on every input whose result it changes."


def _made_of_arguments(result: Result) -> bool:
    """Whether each text and number in a container or text occurs in the arguments."""
    known = [holds for name, holds in result.holds.items() if name.endswith("occurs in the arguments")]
    return bool(known) and all(known)


def other_kind(view: View) -> str | None:
    """The patched program returns another type than the original ever does."""
    kinds = {pair.call.original.kind for pair in view.pairs if pair.returned}
    repaired = {pair.result.kind for pair in view.repaired}
    for pair in view.pairs:
        other = pair.result.status == "value" and pair.result.kind not in kinds | repaired
        if pair.returned and pair.changed and other:
            return (
                f"With the patch, `{view.name(pair)}` returns a value of type {pair.result.kind}, which it did for no "
                f"input before ({pair.call.how})."
            )
    return None


def broken_relation(view: View) -> str | None:
    """A relation between calls that the original satisfies on nearly all inputs is broken."""
    return _broken(view, _RELATIONS)


def told_apart(view: View) -> str | None:
    """A list and a tuple of the same items, which the original does not tell apart, lead to different results: the
    patch compares a container as a whole, where only its items are meant."""
    return _broken(view, _TYPES)


def _broken(view: View, relations: Mapping[str, "_Relation"]) -> str | None:
    for relation, (text, satisfied) in relations.items():
        by_function: dict[int, list[tuple[Pair, Pair]]] = {}
        for pair in view.pairs_with(relation):
            base = view.by_number.get(pair.call.base)
            if base is not None:
                by_function.setdefault(pair.call.function, []).append((base, pair))
        for together in by_function.values():
            before = [_together(satisfied, b.call.original, p.call.original) for b, p in together]
            after = [_together(satisfied, b.result, p.result) for b, p in together]
            if len(before) < FEW_INPUTS:
                continue
            lost = sum(before) - sum(after) >= MUCH * len(before)
            if _share(together, before) < (OFTEN if lost else MOSTLY):
                continue
            broken = [
                base
                for (base, pair), was, now in zip(together, before, after, strict=True)
                if was and not now and (base.changed or pair.changed)
            ]
            if broken:
                base = broken[0]
                return (
                    f"With the patch, `{view.name(base)}` gives another result for {text}, which made no difference on "
                    f"{sum(before)} of {len(before)} inputs before ({base.call.how})."
                )
    return None


def _share(together: list[tuple[Pair, Pair]], satisfied: list[bool]) -> float:
    """The share of calls that satisfy a relation: the smallest among the calls with one result, which may satisfy it
    for a trivial reason. Results of fewer than `FEW_OTHERS` calls are taken together. 0 for a single group."""
    forms = Counter(base.call.original.form for base, _ in together)
    groups: dict[str, list[bool]] = {}
    for (base, _), fine in zip(together, satisfied, strict=True):
        form = base.call.original.form
        groups.setdefault(form if forms[form] >= FEW_OTHERS else "", []).append(fine)
    large = [group for group in groups.values() if len(group) >= FEW_OTHERS]
    return min(sum(group) / len(group) for group in large) if len(large) > 1 else 0.0


def _renamed(first: Result, second: Result) -> bool:
    return second.form in (first.form, first.renamed)


def _equal(first: Result, second: Result) -> bool:
    return second.form == first.form


_Relation = tuple[str, Callable[[Result, Result], bool]]
_RELATIONS: dict[str, _Relation] = {
    "renamed": ("other letters and numbers in the same places", _renamed),
    "renamed inside": ("other letters and numbers in the same places of a container", _renamed),
    "reversed": ("the same items in reversed order", _equal),
}
_TYPES: dict[str, _Relation] = {"retyped": ("a tuple in place of a list, or a list in place of a tuple", _equal)}


def _together(satisfied: Callable[[Result, Result], bool], first: Result, second: Result) -> bool:
    return first.status == second.status and satisfied(first, second)


def broken_invariant(view: View) -> str | None:
    """A relation between arguments and result that holds for every result of the original, and for the repaired
    results, is broken. Where the original returned nothing, such as for the failing inputs, only what the result is
    made of counts: its size and order say little about inputs that are new to the program."""
    held: dict[tuple[int, str], int] = {}
    broken: set[tuple[int, str]] = set()
    for pair in view.pairs:
        results = [pair.call.original] if pair.returned else []
        for result in [*results, *([pair.result] if pair in view.repaired else [])]:
            for name, holds in result.holds.items():
                key = (pair.call.function, name)
                held[key] = held.get(key, 0) + 1
                if not holds:
                    broken.add(key)
    for pair in view.pairs:
        if not pair.changed or pair.result.status != "value" or pair.call.unusual:
            continue
        for name, holds in pair.result.holds.items():
            if name.startswith(KEEPS) or not (pair.returned or _MADE_OF.search(name)):
                continue
            key = (pair.call.function, name)
            if not holds and key not in broken and held.get(key, 0) >= FEW_INPUTS:
                return (
                    f"With the patch, it is not true that {name} for `{view.name(pair)}` with {pair.call.how}, as it "
                    f"was on {held[key]} inputs before."
                )
    return None


_MADE_OF = re.compile(r"occurs in the arguments$|\b(?:items|letters and digits|parts) of\b|are those of\b")


def unreached_function(view: View) -> str | None:
    """The patch changes a function that no failing test executes."""
    if not view.patch.unreached:
        return None
    return f"The patch also changes {view.patch.unreached[0]}, which no failing test executes."


def broken_examples(view: View) -> str | None:
    """An interactive example passed before and fails now."""
    for example in view.patch.examples:
        if example.before and example.after is False:
            return f"The example `{example.source}` in {example.document} gives another result with the patch."
    return None


RULES: dict[str, Rule] = {
    "new-error": new_errors,
    "unlike-inputs": unlike_inputs,
    "constant-result": constant_result,
    "other-type": other_kind,
    "broken-relation": broken_relation,
    "told-apart": told_apart,
    "broken-invariant": broken_invariant,
    "unreached-function": unreached_function,
    "broken-example": broken_examples,
    "lost-influence": lost_influence,
    "lost-items": lost_items,
    "changed-argument": changed_arguments,
    "mixed-kinds": mixed_kinds,
}
_SEVERITIES: dict[str, Literal["note", "draft", "fail"]] = {
    "broken-example": "fail",
    # These hurt nearly as many right patches as they catch wrong ones: they only count together with others.
    "broken-relation": "note",
    "constant-result": "note",
}


def judge_behaviour(measurement: Measurement, number: int) -> Behaviour:
    """The doubts and supports of one patch of a measurement."""
    if number >= len(measurement.patches):
        return Behaviour(notes=measurement.notes)
    view = View(measurement, number)
    doubts = []
    for kind, rule in RULES.items():
        detail = rule(view)
        if detail is not None:
            doubts.append(Doubt(kind=kind, detail=detail, severity=_SEVERITIES.get(kind, "draft")))
    doubted = any(doubt.severity != "note" for doubt in doubts)
    return Behaviour(tuple(doubts), _supports(view, doubted), measurement.notes, bool(view.pairs))


def _supports(view: View, doubted: bool) -> tuple[Support, ...]:
    found = []
    changed = [pair for pair in view.pairs if pair.changed]
    if view.repaired and not doubted and len(view.pairs) >= ENOUGH:
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(view.name(pair) for pair in view.pairs))
        detail = f"Of {len(view.pairs)} recorded and generated calls of {names[:200]}, the patch changes {len(changed)}"
        if all(view.like_repaired(pair) for pair in changed):
            detail += ", all on the path of the failing ones"
        detail += "; the others keep their results."
        found.append(Support(kind="compared-calls", detail=detail))
    repaired = [e for e in view.patch.examples if not e.before and e.after]
    if repaired:
        example = repaired[0]
        detail = f"The example `{example.source}` in {example.document} failed before and gives what it documents now."
        found.append(Support(kind="repaired-example", detail=detail))
    return tuple(found)


def _change(pair: Pair) -> str:
    after = pair.result.shown or pair.result.kind or pair.result.status
    return f"{pair.call.original.shown or pair.call.original.kind} becomes {after}"
