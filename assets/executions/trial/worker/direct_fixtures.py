"""Fixtures that plain functions make: called without pytest, each anew for every run of a test.

A fixture is simple when it is a function, or a generator that yields once, of arguments that are simple fixtures
themselves or parameters of the test. One that asks for `request`, is parametrised, overrides one that it uses, or is a
method or a coroutine is left to pytest.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """Calls a fixture's function with the values of other names."""

    name: str
    function: Callable[..., Any]
    needs: tuple[str, ...]
    yields: bool


def steps_of(names: Sequence[str], definitions: Mapping[str, Sequence[Any]], known: Mapping[str, Any]) -> list[Step]:
    """The steps that make these fixtures, in an order in which each has what it needs. Raises `LookupError` if one is
    not simple."""
    found: dict[str, Step] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in found or name in known:
            return
        if name in above or not definitions.get(name):
            raise LookupError(name)
        definition = definitions[name][-1]
        function, needs = definition.func, tuple(definition.argnames)
        if definition.params or not _is_plain(function):
            raise LookupError(name)
        for needed in needs:
            add(needed, (*above, name))
        found[name] = Step(name, function, needs, inspect.isgeneratorfunction(function))

    for name in names:
        add(name, ())
    return list(found.values())


def _is_plain(function: Any) -> bool:
    """Whether it is no method, whose object only pytest knows, and no coroutine."""
    return inspect.isfunction(function) and not (
        inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    )


class Made:
    """The values of simple fixtures for one run of a test."""

    def __init__(self, steps: Sequence[Step], known: Mapping[str, Any]) -> None:
        self._steps = steps
        self.values = dict(known)
        self._open: list[Iterator[Any]] = []

    def __enter__(self) -> dict[str, Any]:
        try:
            for step in self._steps:
                made = step.function(**{name: self.values[name] for name in step.needs})
                if step.yields:
                    value = next(made)
                    self._open.append(made)
                    made = value
                self.values[step.name] = made
        except BaseException:
            self.__exit__()
            raise
        return self.values

    def __exit__(self, *_: object) -> None:
        """What follows each `yield`, the last one first. Raises the first error of these."""
        errors: list[BaseException] = []
        while self._open:
            try:
                next(self._open.pop(), None)
            except BaseException as error:
                errors.append(error)
        if errors:
            raise errors[0]
