"""Variations of recorded calls: values of the same types, values seen elsewhere, boundary values.

The same recorded calls always give the same variations.
"""

import copy
import datetime
import decimal
import enum
import fractions
import inspect
import random
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .behaviour_call import Call
from .behaviour_outcome import canonical, copied, digest, shown

_SEEN = 6
_EACH = 14
"""At most this many variations of one value."""


@dataclass
class Pool:
    """Values seen in recorded calls, by parameter and by type."""

    by_slot: dict[tuple[int, str], list[Any]] = field(default_factory=dict)
    by_type: dict[str, list[Any]] = field(default_factory=dict)
    _known: set[tuple[object, str]] = field(default_factory=set)

    def add(self, function: int, name: str, value: Any) -> None:
        slot = (function, name)
        self._put(self.by_slot.setdefault(slot, []), slot, value)
        self._put(self.by_type.setdefault(type(value).__name__, []), type(value).__name__, value)
        if isinstance(value, list | tuple | set | frozenset) and len(value) <= 50:
            for item in list(value)[:4]:
                self._put(self.by_type.setdefault(type(item).__name__, []), type(item).__name__, item)

    def _put(self, known: list[Any], where: object, value: Any) -> None:
        try:
            key = (where, digest(canonical(value))) if not callable(value) else (where, str(id(value)))
        except Exception:
            return
        if key not in self._known and len(known) < 40:
            self._known.add(key)
            known.append(value)


def variations(calls: list[Call], count: int) -> list[Call]:
    """At most `count` variations of the calls, each call's in turn, those of failing tests first. One or two
    arguments, or attributes of `self`, are varied."""
    pool = Pool()
    for call in calls:
        for name, value in call.arguments.items():
            if not _is_iterator(value):
                pool.add(call.function, name, value)
    found: list[Call] = []
    known = {_key(call) for call in calls}
    targets = [i for i, call in enumerate(calls) if call.origin == "target"]
    others = [i for i, call in enumerate(calls) if call.origin != "target"]
    _take(found, [_of_call(calls[i], i, pool) for i in targets], count // 2, known)
    _take(found, [_of_call(calls[i], i, pool) for i in (*others, *targets)], count, known)
    # Few arguments have few variations near them: these are varied once more.
    nearest = list(found)
    further = [_of_call(call, len(calls) + i, pool) for i, call in enumerate(nearest)]
    _take(found, [_based(source, call) for source, call in zip(further, nearest, strict=True)], count, known)
    if not any(_negative(value) for values in pool.by_type.values() for value in values):
        for call in found:
            call.unusual = any(_negative(value) for value in call.arguments.values())
    return found


def _negative(value: Any) -> bool:
    """Whether a value is a negative number, or a plain container with one."""
    if type(value) in (int, float):
        return bool(value < 0)
    return type(value) in (list, tuple, set) and any(type(v) in (int, float) and v < 0 for v in value)


def _take(found: list[Call], sources: list[Iterator[Call]], count: int, known: set[str]) -> None:
    """Adds calls of the sources in turn until there are `count` different ones."""
    for _ in range(50 * count):
        if not sources or len(found) >= count:
            return
        source = sources.pop(0)
        varied = next(source, None)
        if varied is None:
            continue
        sources.append(source)
        key = _key(varied)
        if key not in known:
            known.add(key)
            found.append(varied)


def _based(source: Iterator[Call], call: Call) -> Iterator[Call]:
    """Variations of a variation, described from the recorded call on."""
    for varied in source:
        slots = tuple(dict.fromkeys((*call.slots, *varied.slots)))
        how = ", ".join(f"{slot} = {shown(_value(varied, slot))}" for slot in slots)
        origin = "twin" if "twin" in (call.origin, varied.origin) else "variation"
        yield Call(call.function, varied.arguments, origin, how, call.base, call.test, slots)


def _value(call: Call, slot: str) -> Any:
    name, _, attribute = slot.partition(".")
    value = call.arguments[name]
    return value.__dict__[attribute] if attribute else value


def _key(call: Call) -> str:
    try:
        parts = tuple((n, str(id(v)) if callable(v) else canonical(copied(v))) for n, v in call.arguments.items())
        return f"{call.function} {digest(parts)}"
    except Exception:
        return str(id(call))


def _of_call(call: Call, number: int, pool: Pool) -> Iterator[Call]:
    """Single variations of each argument in turn, every third time with a second argument varied as well."""
    chooser = random.Random(f"{call.function} {number}")  # noqa: S311 - reproducible inputs, no secret
    slots = {slot: values for slot in _slots(call) if (values := _values(call, slot, pool))}
    for slot in _slots(call):
        for twin in twins(_value(call, slot))[:2]:
            yield replace(_with(call, number, {slot: twin}), origin="twin")
    if not slots:
        return
    singles: list[tuple[str, int]] = []
    for at in range(max(len(values) for values in slots.values())):
        singles += [(slot, at) for slot, values in slots.items() if at < len(values)]
    for turn, (slot, at) in enumerate(singles):
        yield _with(call, number, {slot: slots[slot][at]})
        if len(slots) > 1 and turn % 2:
            pair = chooser.sample(sorted(slots), min(len(slots), 2 + turn % 4 // 3))
            yield _with(call, number, {s: chooser.choice(slots[s]) for s in pair})
    for _ in range(60 if len(slots) > 1 else 0):
        pair = chooser.sample(sorted(slots), min(len(slots), chooser.choice((2, 2, 3))))
        yield _with(call, number, {s: chooser.choice(slots[s]) for s in pair})


def _slots(call: Call) -> list[str]:
    """What can be varied: parameters, and `parameter.attribute` for attributes of objects of the program."""
    found = []
    for name, value in call.arguments.items():
        space = getattr(value, "__dict__", None)
        if type(space) is dict and not callable(value) and not isinstance(value, enum.Enum):
            found += [f"{name}.{key}" for key in list(space)[:8] if isinstance(key, str)]
        elif not isinstance(value, type | types.ModuleType):
            found.append(name)
    return found


def _values(call: Call, slot: str, pool: Pool) -> list[Any]:
    name, _, attribute = slot.partition(".")
    value = _value(call, slot)
    seen = [] if attribute else pool.by_slot.get((call.function, name), [])
    found: list[Any] = []
    known = {_identity(value)}
    kept = 0
    try:
        candidates = variants(value, pool)
    except Exception:  # a type of the program that is built or compared in another way
        candidates = []
    for varied in (*candidates[:4], *seen[:_SEEN], *candidates[4:]):
        key = _identity(varied)
        if key not in known and kept < _EACH:
            known.add(key)
            found.append(varied)
            kept += 1
    if callable(value) and not isinstance(value, type):
        found += _predicates(call, value)
    return found


def _identity(value: Any) -> str:
    if callable(value):
        return str(id(value))
    try:
        return digest(canonical(copied(value)))
    except Exception:
        return str(id(value))


def _with(call: Call, number: int, changed: dict[str, Any]) -> Call:
    arguments = dict(call.arguments)
    for slot, value in changed.items():
        name, _, attribute = slot.partition(".")
        if attribute:
            twin = copy.copy(arguments[name]) if arguments[name] is call.arguments[name] else arguments[name]
            twin.__dict__[attribute] = value
            arguments[name] = twin
        else:
            arguments[name] = value
    how = ", ".join(f"{slot} = {shown(value)}" for slot, value in changed.items())
    return Call(call.function, arguments, "variation", how, number, call.test, tuple(changed))


def _is_iterator(value: Any) -> bool:
    return hasattr(value, "__next__")


def twins(value: Any, pool: Pool | None = None) -> list[Any]:
    """Values of another type with the same text or items: a text for an integer, keys that are numbers, and so on."""
    if type(value) is int:
        return [str(value), float(value)]
    if type(value) is str and value.isdecimal():
        return [int(value)]
    if type(value) is dict and value and all(type(key) is str for key in value):
        return [dict(enumerate(value.values()))]
    if type(value) in (list, tuple) and value:
        changed = [type(value)([*value[:-1], other]) for other in twins(value[-1])]
        return [*changed, list(value) if type(value) is tuple else tuple(value)]
    return []


def variants(value: Any, pool: Pool | None = None) -> list[Any]:
    """Values of the same type as `value`, near it and at the type's boundaries."""
    seen = pool.by_type.get(type(value).__name__, [])[:_SEEN] if pool else []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, enum.Enum):
        return [member for member in type(value) if member is not value][:4]
    if isinstance(value, int):
        return [value + 1, value - 1, 0, *seen, 1, -value, 2 * value + 1, 2, -1, 10, 100]
    if isinstance(value, float):
        return [value + 1, value / 2, 0.0, *seen, -value, value + 0.004, 1e9, 3 * value]
    if isinstance(value, decimal.Decimal | fractions.Fraction):
        return [value + 1, value / 2, value * 0, *seen, -value]
    if isinstance(value, str | bytes):
        return _texts(value, seen)
    if isinstance(value, datetime.datetime | datetime.date):
        return _times(value)
    if isinstance(value, datetime.timedelta):
        return [value * 2, -value, value * 0, value + datetime.timedelta(seconds=1)]
    if isinstance(value, list | tuple):
        return _sequences(value, pool)
    if isinstance(value, set | frozenset):
        items = sorted(value, key=repr)
        return [type(value)(), type(value)(items[:1]), type(value)(items[1:]), *seen]
    if isinstance(value, dict):
        return _mappings(value, pool)
    return []


def _texts(value: Any, seen: list[Any]) -> list[Any]:
    empty, space = value[:0], b" " if isinstance(value, bytes) else " "
    middle = len(value) // 2
    return [
        empty,
        value[1:],
        value + value,
        *seen[:4],
        value[:-1],
        value[::-1],
        space + value + space,
        value.upper(),
        value[:1],
        value[:middle] + space + value[middle:],
        value.swapcase(),
        value[middle:] + value[:middle],
    ]


def _times(value: Any) -> list[Any]:
    found = []
    for step in ({"days": 1}, {"days": -1}, {"days": 31}, {"days": 366}, {"days": 7}, {"seconds": 59}):
        try:
            found.append(value + datetime.timedelta(**step))
        except OverflowError:
            continue
    return found


def _sequences(value: Any, pool: Pool | None) -> list[Any]:
    items = list(value)

    def like(changed: list[Any]) -> Any:
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*changed)
        return type(value)(changed)

    found: list[Any] = []
    if isinstance(value, tuple):  # a tuple is more often a record than a list
        orders: list[list[Any]] = []
    else:
        orders = [[], items[:1], items[1:], items + items, items[::-1], items[:-1], items[:2]]
        if len(items) > 1:
            orders += [[items[0], *items], [*items[1:], items[0]]]
    found += [like(changed) for changed in orders[:3]]
    for at in sorted({0, len(items) - 1, len(items) // 2}) if items else ():
        for other in variants(items[at], pool)[:3]:
            found.append(like([*items[:at], other, *items[at + 1 :]]))
    found += [like(changed) for changed in orders[3:]]
    return [one for one in found if len(one) <= 200]


def _mappings(value: dict[Any, Any], pool: Pool | None) -> list[Any]:
    found: list[Any] = []
    keys = list(value)[:6]
    for key in keys:
        for other in variants(value[key], pool)[:2]:
            changed = copy.copy(value)
            changed[key] = other
            found.append(changed)
        less = copy.copy(value)
        del less[key]
        found.append(less)
    empty = copy.copy(value)
    empty.clear()
    if len(keys) > 1:
        turned = copy.copy(value)
        turned.clear()
        turned.update(reversed(list(value.items())))
        found.append(turned)
    return [*found[:3], empty, *found[3:]]


def _predicates(call: Call, value: Callable[..., Any]) -> list[Any]:
    """For a function of one parameter: equality with elements of the other arguments, always true, always false."""
    try:
        needed = [p for p in inspect.signature(value).parameters.values() if p.default is p.empty]
    except (TypeError, ValueError):
        return []
    if len(needed) != 1 or needed[0].kind not in (needed[0].POSITIONAL_ONLY, needed[0].POSITIONAL_OR_KEYWORD):
        return []
    found: list[Any] = []
    for other in call.arguments.values():
        if isinstance(other, list | tuple | str) and len(other):
            for item in (other[0], other[-1]):
                predicate = _equals(item)
                predicate.__name__ = f"equality with {shown(item)}"
                found.append(predicate)
    return found[:4]


def _equals(item: Any) -> Callable[[Any], bool]:
    return lambda other: bool(other == item)
