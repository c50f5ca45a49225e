"""Groups survivors by what they do on the measured calls, and says whether the choice between the groups is open."""

from dataclasses import dataclass

from core.work import Doubt

from .doubts import judge_behaviour
from .measure import Measurement, Result
from .view import View

_OTHER_TYPES = ("twin", "retyped")


@dataclass(frozen=True)
class RivalGroup:
    """Survivors with the same results on every measured call. `patches` are their numbers in the measurement, in its
    order; `doubts` is the fewest doubts that one of them has; `spread` is the number of inputs unlike the failing ones
    whose result they change."""

    patches: tuple[int, ...]
    doubts: int
    spread: int


def rival_groups(measurement: Measurement) -> tuple[RivalGroup, ...]:
    """The groups, the one to prefer first: fewest doubts, then least spread, then the order of the measurement. A patch
    that could not be measured is a group of its own, after the measured ones."""
    views = [View(measurement, number) for number in range(len(measurement.patches))]
    shared = _shared(views)
    members: dict[object, list[int]] = {}
    for number, view in enumerate(views):
        key: object = tuple(_key(view, n) for n in shared) if view.pairs else f"unmeasured {number}"
        members.setdefault(key, []).append(number)
    groups = []
    for numbers in members.values():
        first = views[numbers[0]]
        spread = sum(p.returned and p.changed and not first.like_repaired(p) for p in first.pairs)
        doubts = min(_weight(judge_behaviour(measurement, n).doubts) for n in numbers)
        groups.append(RivalGroup(tuple(numbers), doubts, spread))
    groups.sort(key=lambda g: (not views[g.patches[0]].pairs, g.doubts, g.spread, g.patches[0]))
    return tuple(groups)


def _weight(doubts: tuple[Doubt, ...]) -> int:
    """How many doubts there are; a note does not excuse from comparing."""
    return sum(doubt.severity != "note" for doubt in doubts)


def rival_doubt(measurement: Measurement, chosen: int) -> Doubt | None:
    """A doubt when a survivor of another group has no more doubts and no more spread than the chosen one, and both
    return, but with different values or effects, on some input."""
    groups = rival_groups(measurement)
    mine = next((g for g in groups if chosen in g.patches), None)
    view = View(measurement, chosen)
    if mine is None or not view.pairs:
        return None
    for group in groups:
        if group is mine or (group.doubts, group.spread) > (mine.doubts, mine.spread):
            continue
        other = View(measurement, group.patches[0])
        for pair in view.pairs:
            rival = other.by_number.get(pair.number)
            if rival is None or pair.call.unusual or pair.call.origin in _OTHER_TYPES:
                continue  # what a count of -1, or of "3", gives, which nobody passes, decides nothing
            if rival.result.status != "value" or pair.result.status != "value" or not rival.result.differs(pair.result):
                continue
            if rival.result.form != pair.result.form:
                difference = (
                    f"gives another result of `{view.name(pair)}` for {pair.call.how}: {_shown(rival.result)} instead "
                    f"of {_shown(pair.result)}"
                )
            else:
                difference = f"leaves the arguments of `{view.name(pair)}` in another state for {pair.call.how}"
            return Doubt(kind="rivals", detail=f"Another patch that passes every test {difference}. No test decides.")
    return None


def _shared(views: list[View]) -> list[int]:
    """The numbers of the calls that ran with every measured patch."""
    measured = [set(view.by_number) for view in views if view.pairs]
    return sorted(set.intersection(*measured)) if measured else []


def _key(view: View, number: int) -> tuple[str, str, str]:
    result = view.by_number[number].result
    return result.status, result.form, result.effect


def _shown(result: Result) -> str:
    return result.shown or result.kind or result.status
