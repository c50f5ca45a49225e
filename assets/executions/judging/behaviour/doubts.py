"""What a measurement says for and against a patch, as doubts and supports.

Each rule is kept because it catches more wrong patches than it hurts right ones: `python -m tests.bench.doubts` prints
the table that docs/gate.md shows.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from core.work import Doubt, Support

from .measure import MeasuredCall, Measured, Measurement, Result

PROGRAMMING_ERRORS = frozenset(
    {"TypeError", "AttributeError", "NameError", "UnboundLocalError", "IndexError", "KeyError", "RecursionError"}
)
"""Exceptions that a program raises by mistake, unlike `ValueError` or its own, which may be the fix."""
FEW_INPUTS = 8
"""A relation that was observed on fewer inputs may hold by chance."""
FEW_OTHERS = 3
"""At least this many of them must have another than the most frequent result."""
MOSTLY = 0.9
"""The share of inputs on which the original must satisfy a relation between calls, so that one exception matters."""
OFTEN, MUCH = 0.6, 0.3
"""The share that suffices when the patched program satisfies the relation on a share that is smaller by 0.3."""
MANY_VARIATIONS = 8
"""Of fewer variations of the failing call, that none changes says nothing."""


@dataclass(frozen=True)
class Behaviour:
    """What was measured of one patch beyond the tests. `notes` say what could not be measured, and why."""

    doubts: tuple[Doubt, ...] = ()
    supports: tuple[Support, ...] = ()
    notes: tuple[str, ...] = ()
    measured: bool = False
    """Whether calls of the changed functions were compared."""


@dataclass(frozen=True)
class Pair:
    """One call with the original and with the patched program."""

    call: MeasuredCall
    number: int
    result: Result

    @property
    def changed(self) -> bool:
        return self.result.differs(self.call.original)

    @property
    def returned(self) -> bool:
        """Whether the original returned normally."""
        return self.call.original.status == "value"


class View:
    """One patch of a measurement, in the terms of the rules."""

    def __init__(self, measurement: Measurement, number: int) -> None:
        self.measurement = measurement
        self.patch: Measured = measurement.patches[number]

    @cached_property
    def pairs(self) -> list[Pair]:
        """The calls that give the same result each time and ran with both versions."""
        found = zip(self.measurement.calls, self.patch.results or (), strict=False)
        pairs = [Pair(call, number, r) for number, (call, r) in enumerate(found) if r is not None and call.steady]
        return [pair for pair in pairs if pair.result.status != "unknown"]

    @cached_property
    def by_number(self) -> dict[int, Pair]:
        return {pair.number: pair for pair in self.pairs}

    def pairs_with(self, origin: str) -> list[Pair]:
        return [pair for pair in self.pairs if pair.call.origin == origin]

    @cached_property
    def repaired(self) -> list[Pair]:
        """The calls of failing tests whose result the patch changes."""
        return [pair for pair in self.pairs if pair.call.origin == "target" and pair.changed]

    @cached_property
    def needed_lines(self) -> dict[int, frozenset[int]]:
        """By function, the lines of the original that every repaired call of it executes."""
        found: dict[int, frozenset[int]] = {}
        for pair in self.repaired:
            lines = pair.call.original.lines
            found[pair.call.function] = found.get(pair.call.function, lines) & lines
        return found

    def like_repaired(self, pair: Pair) -> bool:
        """Whether the original executes on this call all lines that it executes on every repaired one."""
        needed = self.needed_lines.get(pair.call.function)
        return needed is None or needed <= pair.call.original.lines

    def near_repaired(self) -> list[Pair]:
        """Variations of repaired calls in one argument."""
        numbers = {pair.number for pair in self.repaired}
        varied = self.pairs_with("variation")
        return [pair for pair in varied if pair.call.base in numbers and len(pair.call.slots) == 1]

    def name(self, pair: Pair) -> str:
        return self.measurement.functions[pair.call.function]


Rule = Callable[[View], str | None]
"""The doubt's detail, a sentence; None when there is no doubt."""


def new_errors(view: View) -> str | None:
    """The patched program makes a programming error, hangs or crashes where the original returned."""
    for pair in view.pairs:
        result = pair.result
        if pair.returned and (result.kind in PROGRAMMING_ERRORS and result.status == "raise"):
            return (
                f"With the patch, `{view.name(pair)}` raises {result.kind} where it returned "
                f"{pair.call.original.shown} before ({pair.call.how})."
            )
    return None


def hangs(view: View) -> str | None:
    """The patched program does not end where the original returned."""
    for pair in view.pairs:
        if pair.returned and pair.result.status in ("hang", "crash"):
            return f"With the patch, `{view.name(pair)}` does not end where it returned before ({pair.call.how})."
    return None


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


def passing_calls(view: View) -> str | None:
    """The result of a call that a passing test makes changes."""
    for pair in view.pairs:
        same_effect = pair.result.effect == pair.call.original.effect
        if pair.call.origin == "passing" and pair.returned and pair.changed and same_effect:
            return (
                f"The patch changes the result of a call that a passing test makes, `{view.name(pair)}` with "
                f"{pair.call.how}: {_change(pair)}."
            )
    return None


def special_case(view: View) -> str | None:
    """No variation of the failing call is changed in any argument, so the patch may know only the test's input."""
    near = [pair for pair in view.near_repaired()]
    slots = {slot for pair in near for slot in pair.call.slots}
    if len(near) < MANY_VARIATIONS or len(slots) < 2 or any(pair.changed for pair in near):
        return None
    return (
        f"The patch changes the result of the failing call of `{view.name(near[0])}` and of none of its "
        f"{len(near)} variations in one argument, so it may only recognise the test's input."
    )


def constant_result(view: View) -> str | None:
    """The patched program returns one value on inputs for which the original returned several."""
    changed = [pair for pair in view.pairs if pair.changed and pair.result.status == "value"]
    changed = [pair for pair in changed if pair.result.kind not in ("bool", "NoneType")]
    before = {pair.call.original.form for pair in changed if pair.returned}
    after = {pair.result.form for pair in changed}
    if len(before) < 3 or len(after) > 1:
        return None
    pair = changed[0]
    return f"With the patch, `{view.name(pair)}` returns {pair.result.shown} on every input whose result it changes."


def new_effects(view: View) -> str | None:
    """The patched program changes its arguments, or prints, where the original did not."""
    for pair in view.pairs:
        if pair.returned and not pair.call.original.effect and pair.result.status == "value" and pair.result.effect:
            return f"With the patch, `{view.name(pair)}` changes its arguments or prints, as it did not ({pair.call.how})."
    return None


def other_kind(view: View) -> str | None:
    """The patched program returns another type than the original ever does."""
    kinds = {pair.call.original.kind for pair in view.pairs if pair.returned}
    repaired = {pair.result.kind for pair in view.repaired}
    for pair in view.pairs:
        if pair.returned and pair.changed and pair.result.status == "value":
            if pair.result.kind not in kinds | repaired:
                return (
                    f"With the patch, `{view.name(pair)}` returns a value of type {pair.result.kind}, which it did for "
                    f"no input before ({pair.call.how})."
                )
    return None


def broken_relation(view: View) -> str | None:
    """A relation between calls that the original satisfies on nearly all inputs is broken."""
    for relation, (text, satisfied) in _RELATIONS.items():
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
    """The share of calls that satisfy a relation: the smaller of those with the most frequent result, which may satisfy
    it for a trivial reason, and those with another. 0 when there are too few others."""
    forms = Counter(base.call.original.form for base, _ in together)
    usual = forms.most_common(1)[0][0]
    groups: tuple[list[bool], list[bool]] = ([], [])
    for (base, _), fine in zip(together, satisfied, strict=True):
        groups[base.call.original.form == usual].append(fine)
    if len(groups[0]) < FEW_OTHERS:
        return 0.0
    return min(sum(group) / len(group) for group in groups)


def _renamed(first: Result, second: Result) -> bool:
    return second.form in (first.form, first.renamed)


def _equal(first: Result, second: Result) -> bool:
    return second.form == first.form


_RELATIONS: dict[str, tuple[str, Callable[[Result, Result], bool]]] = {
    "renamed": ("other letters and numbers in the same places", _renamed),
    "renamed inside": ("other letters and numbers in the same places of a container", _renamed),
    "reversed": ("the same items in reversed order", _equal),
    "retyped": ("a tuple in place of a list, or a list in place of a tuple", _equal),
}


def _together(satisfied: Callable[[Result, Result], bool], first: Result, second: Result) -> bool:
    return first.status == second.status and satisfied(first, second)


def broken_invariant(view: View) -> str | None:
    """A relation between arguments and result that holds for every result of the original, and for the repaired
    results, is broken."""
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
        if not pair.changed or pair.result.status != "value":
            continue
        for name, holds in pair.result.holds.items():
            key = (pair.call.function, name)
            if not holds and key not in broken and held.get(key, 0) >= FEW_INPUTS:
                return (
                    f"With the patch, it is not true that {name} for `{view.name(pair)}` with {pair.call.how}, as it "
                    f"was on {held[key]} inputs before."
                )
    return None


def unproven_lines(view: View) -> str | None:
    """No mutant of a changed block is noticed by the tests that reach it."""
    by_block: dict[tuple[str, int], list[str]] = {}
    for mutant, status in view.patch.mutants:
        if status is not None and not mutant.revert:
            by_block.setdefault((mutant.path, mutant.block), []).append(status)
    for (path, number), statuses in by_block.items():
        if len(statuses) >= 2 and all(status == "pass" for status in statuses):
            return f"None of {len(statuses)} small changes of changed block {number + 1} in {path} makes a test fail."
    return None


def needless_block(view: View) -> str | None:
    """Every test that reaches the change passes without one of the changed blocks."""
    for mutant, status in view.patch.mutants:
        if mutant.revert and status == "pass":
            return f"Every test passes without changed block {mutant.block + 1} in {mutant.path}."
    return None


def broken_examples(view: View) -> str | None:
    """An interactive example passed before and fails now."""
    for example in view.patch.examples:
        if example.before and example.after is False:
            return f"The example `{example.source}` in {example.document} gives another result with the patch."
    return None


RULES: dict[str, Rule] = {
    "new-error": new_errors,
    "hang": hangs,
    "unlike-inputs": unlike_inputs,
    "passing-calls": passing_calls,
    "special-case": special_case,
    "constant-result": constant_result,
    "new-effect": new_effects,
    "other-type": other_kind,
    "broken-relation": broken_relation,
    "broken-invariant": broken_invariant,
    "unproven-lines": unproven_lines,
    "needless-block": needless_block,
    "broken-example": broken_examples,
}
_FAILS = {"broken-example"}


def judge_behaviour(measurement: Measurement, number: int) -> Behaviour:
    """The doubts and supports of one patch of a measurement."""
    if number >= len(measurement.patches):
        return Behaviour(notes=measurement.notes)
    view = View(measurement, number)
    doubts = []
    for kind, rule in RULES.items():
        detail = rule(view)
        if detail is not None:
            doubts.append(Doubt(kind=kind, detail=detail, severity="fail" if kind in _FAILS else "draft"))
    return Behaviour(tuple(doubts), (), measurement.notes, bool(view.pairs))


def _change(pair: Pair) -> str:
    after = pair.result.shown or pair.result.kind or pair.result.status
    return f"{pair.call.original.shown or pair.call.original.kind} becomes {after}"
