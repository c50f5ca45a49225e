"""Relations between calls, and between a call's arguments and its result, that a program may satisfy.

None is true of every program. One that the original satisfies on nearly all inputs describes it, and a patch that
breaks it is suspicious (metamorphic relations, Chen et al. 1998; likely invariants, Ernst et al. 2001).
"""

import contextlib
import copy
import inspect
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .behaviour_call import Call

RENAMED, RENAMED_INSIDE, REVERSED, RETYPED = "renamed", "renamed inside", "reversed", "retyped"
_SHIFT = 1000
_MOST = 300


def rename(value: Any, depth: int = 0) -> Any:
    """The value with other letters and numbers, one to one: numbers below 500 grow by 1000, each letter becomes the
    next one. 0 and -1, which often have a meaning of their own, and objects stay the same."""
    if isinstance(value, bool) or depth > 5:
        return value
    if type(value) in (int, float):
        return value + _SHIFT if abs(value) < _SHIFT / 2 and value not in (0, -1) else value
    if type(value) is str:
        return "".join(_next(c, 1) for c in value[:5000])
    return _inside(value, rename, depth)


def unrename(value: Any, depth: int = 0) -> Any:
    if isinstance(value, bool) or depth > 5:
        return value
    if type(value) in (int, float):
        return value - _SHIFT if abs(value - _SHIFT) < _SHIFT / 2 else value
    if type(value) is str:
        return "".join(_next(c, -1) for c in value[:5000])
    return _inside(value, unrename, depth)


def _inside(value: Any, change: Callable[[Any, int], Any], depth: int) -> Any:
    if type(value) in (list, set, frozenset, tuple):
        return type(value)(change(v, depth + 1) for v in value)
    if type(value) is dict:
        return {change(k, depth + 1): change(v, depth + 1) for k, v in value.items()}
    return value


def _next(letter: str, step: int) -> str:
    for first in ("a", "A"):
        if first <= letter <= chr(ord(first) + 25):
            return chr(ord(first) + (ord(letter) - ord(first) + step) % 26)
    return letter


def related_calls(calls: list[Call], count: int) -> list[Call]:
    """At most `count` calls that are related to given ones; `base` is the number of the given call."""
    found: list[Call] = []
    for number, call in enumerate(calls):
        for relation, arguments in _related(call):
            if len(found) >= count:
                return found
            found.append(Call(call.function, arguments, relation, call.how, number, call.test, unusual=call.unusual))
    return found


def _related(call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
    given = call.arguments
    callables = {name: _wrapped(v) for name, v in given.items() if isinstance(v, types.FunctionType)}
    everything = {name: callables.get(name) or rename(v) for name, v in given.items()}
    containers = [name for name, v in given.items() if type(v) in (list, tuple, set, dict)]
    if any(everything[name] is not v and name not in callables for name, v in given.items()):
        yield RENAMED, everything
    if containers and len(containers) < len(given):
        inside = {n: callables.get(n) or (rename(v) if n in containers else v) for n, v in given.items()}
        yield RENAMED_INSIDE, inside
    for name in [n for n in containers if type(given[n]) in (list, tuple)][:1]:
        value = given[name]
        if len(value) > 1 and type(value) is list:
            yield REVERSED, {**given, name: value[::-1]}
        yield RETYPED, {**given, name: tuple(value) if type(value) is list else list(value)}


def _wrapped(function: types.FunctionType) -> Callable[..., Any]:
    """The function on renamed arguments."""

    def renamed(*values: Any, **named: Any) -> Any:
        return function(*(unrename(v) for v in values), **{k: unrename(v) for k, v in named.items()})

    return renamed


def invariants(arguments: dict[str, Any], result: Any) -> dict[str, bool]:
    """Which of the known relations hold between plain arguments and a plain result, by description."""
    found: dict[str, bool] = {}
    plain = {name: value for name, value in arguments.items() if type(value) in _KINDS}
    if type(result) in (int, float):
        _of_number(result, plain, found)
    elif type(result) is str:
        _of_text(result, plain, found)
    elif type(result) in (list, tuple, set, frozenset):
        _of_items(list(result)[:_MOST], plain, found)
    if type(result) in (str, list, tuple, dict, set):
        given, made = _atoms(list(arguments.values())), _atoms(result)
        texts = [t.lower() for t in given if isinstance(t, str)]
        found["every text in the result occurs in the arguments"] = all(
            any(t.lower() in other for other in texts) for t in made if isinstance(t, str)
        )
        numbers = {n for n in given if isinstance(n, int | float)}
        found["every number in the result occurs in the arguments"] = all(
            n in numbers for n in made if isinstance(n, int | float)
        )
    return found


_KINDS = (int, float, str, list, tuple, set, frozenset, dict)


def _of_number(result: Any, plain: dict[str, Any], found: dict[str, bool]) -> None:
    for name, value in plain.items():
        if type(value) in (int, float):
            found[f"the result is at most {name}"] = result <= value
            found[f"the result is at least {name}"] = result >= value
        elif type(value) in (str, list, tuple):
            found[f"the result is at most the length of {name}"] = result <= len(value)
            found[f"the result is below the length of {name}"] = result < len(value) or (result <= 0 and not value)
            if type(value) is not str and value and all(type(v) in (int, float) for v in value):
                found[f"the result is between the smallest and the largest of {name}"] = (
                    min(value) <= result <= max(value)
                )


def _of_text(result: str, plain: dict[str, Any], found: dict[str, bool]) -> None:
    for name, value in plain.items():
        if type(value) is str:
            found[f"the result is no longer than {name}"] = len(result) <= len(value)
            found[f"the result is no shorter than {name}"] = len(result) >= len(value)
            found[f"the result has the letters and digits of {name}"] = _letters(result) == _letters(value)
            found[f"the result has only letters and digits of {name}"] = not (_letters(result) - _letters(value))
        elif type(value) is int:
            found[f"the result has at most {name} characters"] = len(result) <= value


def _letters(text: str) -> Counter[str]:
    return Counter(c for c in text.lower() if c.isalnum())


def _of_items(result: list[Any], plain: dict[str, Any], found: dict[str, bool]) -> None:
    keys = [repr(v) for v in result]
    found["the result has no equal items"] = len(set(keys)) == len(keys)
    with contextlib.suppress(TypeError):
        found["the result is sorted"] = result == sorted(result)
    flat = [v for item in result for v in (item if type(item) in (list, tuple, str) else [item])]
    for name, value in plain.items():
        if type(value) is int:
            found[f"the result has at most {name} items"] = len(result) <= value
            if all(type(v) in (str, list, tuple) for v in result):
                found[f"no item of the result is longer than {name}"] = all(len(v) <= value for v in result)
            continue
        if type(value) not in (list, tuple, str):
            continue
        given = list(value)[:_MOST]
        theirs = [repr(v) for v in given]
        found[f"the result has as many items as {name}"] = len(result) == len(given)
        found[f"the result has at most as many items as {name}"] = len(result) <= len(given)
        found[f"the result has the items of {name}"] = Counter(keys) == Counter(theirs)
        found[f"the result has only items of {name}"] = not (Counter(keys) - Counter(theirs))
        found[f"the parts of the result are those of {name}"] = Counter(map(repr, flat)) == Counter(theirs)
        found[f"the result has only parts of {name}"] = not (Counter(map(repr, flat)) - Counter(theirs))
        found[f"the parts of the result are those of {name}, in order"] = list(map(repr, flat)) == theirs


def kept(arguments: dict[str, Any], result: Any) -> dict[str, bool]:
    """Whether a container has all texts and numbers that each container among the arguments has."""
    if type(result) not in (list, tuple, dict, set):
        return {}
    made = _atoms(result)
    texts, numbers = {t for t in made if isinstance(t, str)}, {n for n in made if isinstance(n, int | float)}
    found = {}
    for name, value in arguments.items():
        given = _atoms(value) if type(value) in (list, tuple, dict, set) else []
        if given and len(given) <= _MOST:
            found[f"{KEEPS} {name}"] = all(atom in (texts if isinstance(atom, str) else numbers) for atom in given)
    return found


KEEPS = "the result has all of"
"""How these relations begin, by which the rules know them."""


def _atoms(value: Any, depth: int = 0) -> list[Any]:
    """The texts and numbers in nested containers and in attributes of objects."""
    if type(value) in (str, int, float):
        return [value]
    if depth > 4:
        return []
    inner: Any = ()
    if type(value) is dict:
        inner = [*value.keys(), *value.values()]
    elif type(value) in (list, tuple, set, frozenset):
        inner = value
    elif type(getattr(value, "__dict__", None)) is dict and not inspect.isroutine(value) and depth:
        inner = copy.copy(value.__dict__).values()
    found: list[Any] = []
    for item in list(inner)[:_MOST]:
        found += _atoms(item, depth + 1)
        if len(found) > _MOST:
            break
    return found
