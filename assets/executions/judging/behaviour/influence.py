"""Rules on what reaches a result: arguments that no longer matter, items that get lost, arguments that are changed."""

from collections import Counter

from .view import Pair, View

KEEPS = "the result has all of "
"""How the worker names the relations of `lost_items`."""
LOST_PAIRS = 5
"""On fewer pairs of inputs, equal results may be chance."""
FEW_INPUTS = 8
SEVERAL = 3


def lost_influence(view: View) -> str | None:
    """A part of the input made a difference before, and makes none on any of these inputs with the patch."""
    lost: dict[tuple[int, str], list[tuple[Pair, Pair]]] = {}
    kept: Counter[tuple[int, str]] = Counter()
    for pair in view.pairs:
        base = view.by_number.get(pair.call.base)
        slot = _slot(pair)
        if base is None or slot is None or base.call.function != pair.call.function:
            continue
        key = (pair.call.function, slot)
        results = (base.result, pair.result)
        if results[0].differs(results[1]):
            kept[key] += 1
            continue
        returned = base.returned and pair.returned and all(result.status == "value" for result in results)
        if returned and pair.call.original.differs(base.call.original):
            lost.setdefault(key, []).append((base, pair))
    for key, together in lost.items():
        forms = {pair.call.original.form for _, pair in together}
        if len(together) >= LOST_PAIRS and len(forms) >= SEVERAL and not kept[key]:
            pair = together[0][1]
            return (
                f"With the patch, `{view.name(pair)}` gives the same result whatever {key[1]} is, on "
                f"{len(together)} pairs of inputs for which it made a difference before ({pair.call.how})."
            )
    return None


def mixed_kinds(view: View) -> str | None:
    """All results of a function were of one kind, such as texts, and with the patch some are of another."""
    before: dict[int, set[str]] = {}
    after: dict[int, set[str]] = {}
    count: Counter[int] = Counter()
    for pair in view.pairs:
        if pair.returned and pair.result.status == "value" and pair.call.origin in _RECORDED:
            count[pair.call.function] += 1
            before.setdefault(pair.call.function, set()).add(_kind(pair.call.original.kind))
            after.setdefault(pair.call.function, set()).add(_kind(pair.result.kind))
    for pair in view.repaired:
        function = pair.call.function
        if count[function] < SEVERAL or len(before[function]) != 1 or len(after[function] - {""}) < 2:
            continue
        if "" not in before[function] and pair.returned and _kind(pair.result.kind) not in before[function] | {""}:
            return (
                f"With the patch, `{view.name(pair)}` returns a {pair.result.kind} for some inputs ({pair.call.how}) "
                f"and a {pair.call.original.kind} for others, as it did for all before."
            )
    return None


_RECORDED = ("target", "passing")
_KINDS = {
    **dict.fromkeys(("str",), "text"),
    **dict.fromkeys(("bytes", "bytearray"), "bytes"),
    **dict.fromkeys(("bool", "int", "float", "complex", "Decimal", "Fraction"), "number"),
    **dict.fromkeys(("list", "tuple", "deque"), "sequence"),
    **dict.fromkeys(("set", "frozenset"), "set"),
    **dict.fromkeys(("dict", "OrderedDict", "defaultdict", "Counter"), "mapping"),
}
"""Types that may stand for one another; any other, `None` among them, is of no kind that would be told apart."""


def _kind(type_name: str) -> str:
    return _KINDS.get(type_name, "")


def _slot(pair: Pair) -> str | None:
    """What alone distinguishes a call from the one that it varies."""
    if pair.call.origin == "reversed":
        return "the order of items"
    return pair.call.slots[0] if len(pair.call.slots) == 1 and pair.call.origin == "variation" else None


def lost_items(view: View) -> str | None:
    """The original's results have all that an argument holds, and a repaired result has not."""
    for name in dict.fromkeys(n for p in view.repaired for n in p.result.holds if n.startswith(KEEPS)):
        before = [p.call.original.holds[name] for p in view.pairs if p.returned and name in p.call.original.holds]
        if len(before) < FEW_INPUTS or not all(before):
            continue
        for pair in view.repaired:
            if not pair.returned and pair.result.holds.get(name) is False:
                argument = name.removeprefix(KEEPS)
                return (
                    f"With the patch, the result of `{view.name(pair)}` lacks some of what {argument} holds "
                    f"({pair.call.how}), which was never so on {len(before)} inputs before."
                )
    return None


def changed_arguments(view: View) -> str | None:
    """An argument other than `self` is changed that no call changed before."""
    usual = {(p.call.function, name) for p in view.pairs for name in p.call.original.arguments}
    returned = Counter(pair.call.function for pair in view.pairs if pair.returned)
    for pair in view.pairs:
        for name in pair.result.arguments:
            known = (pair.call.function, name) in usual or name in ("self", "cls")
            if pair.returned and not known and returned[pair.call.function] >= FEW_INPUTS:
                return (
                    f"With the patch, `{view.name(pair)}` changes its argument {name} ({pair.call.how}), which it did "
                    f"on none of {returned[pair.call.function]} inputs before."
                )
    return None
