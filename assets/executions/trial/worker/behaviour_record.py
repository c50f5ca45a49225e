"""Records the arguments with which tests call the functions that a patch changes."""

import builtins
from collections import Counter
from typing import Any

from .behaviour_call import Call
from .behaviour_outcome import canonical, copied, digest
from .behaviour_reload import recording
from .patching import Patcher, Undo, Unpatchable
from .suite import Suite

_OF_TEST = {"target": 24, "passing": 8}
_OF_FUNCTION = 72
_MOST_VALUES = 3000
_RECORDER = "__penstock_record__"


class Recorder:
    """Calls by function number, bounded: the first few different ones of each test."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.reached: Counter[int] = Counter()
        self.skipped: Counter[str] = Counter()
        self.parameters: dict[int, list[str]] = {}
        self._test, self._origin = "", "target"
        self._of_test: Counter[int] = Counter()
        self._of_function: Counter[int] = Counter()
        self._known: set[str] = set()
        self._active = True
        self._undo: list[Undo] = []

    def begin(self, test: str, origin: str) -> None:
        self._test, self._origin = test, origin
        self._of_test.clear()

    def __call__(self, number: int, values: dict[str, Any]) -> None:
        """Called by the program at the start of a function; never raises, and ignores calls that copying makes."""
        self.reached[number] += 1
        full = self._of_test[number] >= _OF_TEST[self._origin] or self._of_function[number] >= _OF_FUNCTION
        if not self._active or full:
            return
        self._active = False
        try:
            given = {name: values[name] for name in self.parameters[number] if name in values}
            self._keep(number, given)
        except Exception as error:
            self.skipped[type(error).__name__] += 1
        finally:
            self._active = True

    def _keep(self, number: int, given: dict[str, Any]) -> None:
        if any(hasattr(value, "__next__") and not hasattr(value, "__length_hint__") for value in given.values()):
            self.skipped["iterator"] += 1
            return
        if _size(list(given.values())) > _MOST_VALUES:
            self.skipped["size"] += 1
            return
        arguments = copied(given)
        key = f"{self._origin} {number} {digest(canonical(copied(arguments)))}"
        if key in self._known:
            return
        self._known.add(key)
        self._of_test[number] += 1
        self._of_function[number] += 1
        self.calls.append(Call(number, arguments, self._origin, test=self._test))

    def install(
        self, patcher: Patcher, functions: list[tuple[str, list[str], int]], texts: dict[str, str]
    ) -> list[int]:
        """Makes the functions report their calls; returns the numbers of those that do."""
        setattr(builtins, _RECORDER, self)
        done = []
        for number, (path, chain, line) in enumerate(functions):
            found = recording(texts[path], chain, line, number)
            if found is None:
                continue
            source, self.parameters[number] = found
            part = {"path": path, "chain": chain, "line": line, "source": source}
            try:
                self._undo += patcher.apply(part)
            except (Unpatchable, SyntaxError, ValueError) as error:
                self.skipped[type(error).__name__] += 1
                continue
            done.append(number)
        return done

    def remove(self, patcher: Patcher) -> None:
        patcher.revert(self._undo)
        self._undo = []


def record_calls(
    suite: Suite, recorder: Recorder, tests: list[tuple[str, str]], cpu: float, restore: Any, until: Any
) -> None:
    """Runs (test, origin) pairs while `until()` is true."""
    for test, origin in tests:
        item = suite.by_id.get(test)
        if item is None or not until():
            continue
        recorder.begin(test, origin)
        suite.run(item, None, cpu, 4 * cpu + 1)
        restore()


def _size(value: Any, depth: int = 0, room: int = _MOST_VALUES) -> int:
    """How many values a value holds, counted up to `room`; text counts by length."""
    if isinstance(value, str | bytes):
        return 1 + len(value) // 100
    if depth > 6 or isinstance(value, type) or callable(value):
        return 1
    inner: Any = ()
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    elif type(getattr(value, "__dict__", None)) is dict:
        inner = value.__dict__.values()
    count = 1
    for item in inner:
        count += _size(item, depth + 1, room - count)
        if count > room:
            return count
    return count
