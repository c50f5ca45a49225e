"""What a call does, in a form that can be compared between two versions of the program.

Values become nested tuples of built-in types, bounded in size. Iterators are consumed to a bound, so a generator is
compared by what it yields.
"""

import contextlib
import copy
import hashlib
import inspect
import io
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .alarm import Alarm, Hang
from .behaviour_call import Call, bound
from .behaviour_relations import invariants, kept, rename

_MOST_ITEMS = 200
_MOST_NODES = 4000
_DEPTH = 8
_SHOWN = 120
_PLAIN = (complex, str, bytes, bool, type(None), type(Ellipsis))
_ITERATORS = (types.GeneratorType, itertools.chain, map, filter, zip, enumerate, reversed)
_OPAQUE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type)


class _Canonical:
    """Turns values into comparable tuples; stops descending after `_MOST_NODES` values."""

    def __init__(self) -> None:
        self._nodes = 0
        self._open: set[int] = set()

    def of(self, value: Any, depth: int = 0) -> Any:
        self._nodes += 1
        if isinstance(value, float) and value != value:
            return "nan"
        if type(value) is int or type(value) is float:
            # 2 and 2.0 are equal for almost every caller.
            whole = float(value).is_integer() if type(value) is float else True
            return ("number", repr(int(value)) if whole and abs(value) < 1 << 60 else repr(value)[:5000])
        if type(value) in _PLAIN:
            shown = repr(value[:5000]) if isinstance(value, str | bytes) else repr(value)[:5000]
            return (type(value).__name__, shown)
        if isinstance(value, Enum):
            return (type(value).__name__, value.name)
        if isinstance(value, _OPAQUE):
            return ("object", getattr(value, "__qualname__", type(value).__name__))
        if depth > _DEPTH or self._nodes > _MOST_NODES or id(value) in self._open:
            return ("...", type(value).__name__)
        self._open.add(id(value))
        try:
            return self._inside(value, depth + 1)
        finally:
            self._open.discard(id(value))

    def _inside(self, value: Any, depth: int) -> Any:
        kind = type(value).__name__
        if isinstance(value, dict):
            items = list(itertools.islice(value.items(), _MOST_ITEMS))
            extra = self._attributes(value, depth) if type(value) is not dict else ()
            return (kind, len(value), tuple((self.of(k, depth), self.of(v, depth)) for k, v in items), extra)
        if isinstance(value, set | frozenset):
            return (kind, len(value), tuple(sorted((self.of(v, depth) for v in value), key=repr)[:_MOST_ITEMS]))
        if isinstance(value, list | tuple) or kind == "deque":
            return (kind, len(value), tuple(self.of(v, depth) for v in list(value)[:_MOST_ITEMS]))
        if isinstance(value, _ITERATORS) or (hasattr(value, "__next__") and isinstance(value, Iterator)):
            return ("iterator", tuple(self.of(v, depth) for v in itertools.islice(value, _MOST_ITEMS)))
        if "__repr__" in vars(type(value)) and not hasattr(value, "__dict__"):
            return (kind, repr(value)[:2000])
        return (kind, self._attributes(value, depth))

    def _attributes(self, value: Any, depth: int) -> Any:
        space = dict(getattr(value, "__dict__", {}))
        for owner in type(value).__mro__:
            slots = owner.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                with contextlib.suppress(AttributeError):
                    space[name] = getattr(value, name)
        names = [n for n in space if isinstance(n, str)][:_MOST_ITEMS]
        return tuple((name, self.of(space[name], depth)) for name in names)


def canonical(value: Any) -> Any:
    """A value as nested tuples of built-in types. Consumes iterators. May raise what the value's own methods raise."""
    return _Canonical().of(value)


def digest(form: Any) -> str:
    return hashlib.sha256(repr(form).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def copied(value: Any) -> Any:
    """A deep copy; parts that cannot be copied are shared."""
    with contextlib.suppress(Exception):
        return copy.deepcopy(value)
    if isinstance(value, dict) and type(value) is dict:
        return {k: copied(v) for k, v in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(copied(v) for v in value)
    space = getattr(value, "__dict__", None)
    if type(space) is dict and not isinstance(value, _OPAQUE):
        with contextlib.suppress(Exception):
            twin = copy.copy(value)
            if twin is not value and twin.__dict__ is not space:
                twin.__dict__.update({k: _copied_or_shared(v) for k, v in space.items()})
                return twin
    return value


def _copied_or_shared(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


@dataclass
class Outcome:
    """`status` is `value`, `raise`, `hang` or `unknown`; `form` identifies the result, and `effect` what the call
    printed and what it did to its arguments, empty when it did neither."""

    status: str
    kind: str = ""
    """The type of the result or exception."""
    form: str = ""
    effect: str = ""
    shown: str = ""
    lines: list[int] = field(default_factory=list)
    renamed: str = ""
    """The form of the result with its letters and numbers renamed."""
    holds: dict[str, bool] = field(default_factory=dict)
    """Relations between arguments and result."""
    arguments: list[str] = field(default_factory=list)
    """The parameters whose arguments the call changed."""

    def message(self) -> dict[str, Any]:
        found = {"s": self.status, "k": self.kind, "f": self.form, "e": self.effect, "r": self.shown, "l": self.lines}
        return {**found, "n": self.renamed, "i": self.holds, "a": self.arguments}


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[Alarm]:
    """Raises `Hang` in the block after `seconds` of processor time, or after four times that and 1 s."""
    alarm = Alarm(seconds, 4 * seconds + 1)
    try:
        alarm.start()
        yield alarm
    finally:
        alarm.surely_stop()


def run_call(call: Call, function: Callable[..., Any], seconds: float, *, traced: bool) -> Outcome:
    """Calls the function with fresh copies of the arguments; never raises what the call raises."""
    try:
        arguments = copied(call.arguments)
        positional, keywords = bound(function, arguments)
    except Exception:
        return Outcome("unknown")
    printed = io.StringIO()
    tracer = _Lines(function.__code__) if traced else None
    try:
        with limited(seconds) as alarm, contextlib.redirect_stdout(printed):
            try:
                if tracer is not None:
                    sys.settrace(tracer)
                result = function(*positional, **keywords)
                if inspect.iscoroutine(result):
                    import asyncio  # most programs never need it

                    result = asyncio.run(result)
                kind = type(result).__name__
                if isinstance(result, _ITERATORS):
                    result = list(itertools.islice(result, _MOST_ITEMS))
                outcome = Outcome("value", kind, digest(canonical(result)), shown=shown(result))
                sys.settrace(None)
                _describe(outcome, call, result)
            except Hang:
                outcome = Outcome("hang")
            except RecursionError:
                outcome = Outcome("raise", "RecursionError", "RecursionError")
            except BaseException as error:
                sys.settrace(None)
                kind = type(error).__name__
                outcome = Outcome("raise", kind, kind, shown=f"{kind}: {str(error)[:_SHOWN]}")
            finally:
                sys.settrace(None)
        if alarm.rang:
            return Outcome("hang")
        with limited(seconds):
            fresh = copied(call.arguments)
            effect = digest((canonical(arguments), printed.getvalue()[:5000]))
            outcome.effect = "" if effect == digest((canonical(fresh), "")) else effect
            if outcome.effect:
                outcome.arguments = [n for n, v in arguments.items() if canonical(v) != canonical(fresh[n])]
    except BaseException:
        outcome = Outcome("unknown")
    if tracer is not None:
        outcome.lines = sorted(tracer.lines)[:400]
    return outcome


def _describe(outcome: Outcome, call: Call, result: Any) -> None:
    """Adds the renamed form and the relations; without them where a value's own methods fail."""
    with contextlib.suppress(Exception):
        outcome.renamed = digest(canonical(rename(result)))
        outcome.holds = invariants(copied(call.arguments), result) | kept(call.arguments, result)


class _Lines:
    """A trace function that notes which lines of one function, and of those nested in it, are executed."""

    def __init__(self, code: types.CodeType) -> None:
        self.lines: set[int] = set()
        self._codes = set(_nested(code))

    def __call__(self, frame: types.FrameType, event: str, _: Any) -> Any:
        if frame.f_code not in self._codes:
            return None
        return self._line

    def _line(self, frame: types.FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.lines.add(frame.f_lineno)
        return self._line


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def shown(value: Any) -> str:
    """A short text of a value."""
    if isinstance(value, types.FunctionType):
        return getattr(value, "__name__", "function")
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
    if " object at 0x" in text[:200]:
        return f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
