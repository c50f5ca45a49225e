"""Changes functions in place: compiles the edited function alone and swaps its code object into every live copy.

Plain assignments are run again. All other edits raise `Unpatchable`, and need a fresh import.
"""

import functools
import gc
import os
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from operator import is_
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .instrument import relative_path
from .turns import counting

_FUTURE_FLAGS = 0x1000000 | 0x100000 | 0x80000 | 0x800000  # annotations and older __future__ features
_CONTAINERS = (dict, list, set, OrderedDict, defaultdict, deque, bytearray)
_MAX_ITEMS = 2000
_MISSING = object()
Undo = tuple[FunctionType, CodeType, Any, Any] | tuple[Any, str, Any]


class Unpatchable(Exception):
    """This edit needs a fresh import."""


class Patcher:
    """Edits the functions of the repository at `root` that exist when it is made. `counts`: their `while` loops then
    count turns."""

    def __init__(self, root: str) -> None:
        self.counts = False
        self._root = root.rstrip("/") + "/"
        self._functions: dict[int, list[FunctionType]] = {}
        self._by_place: dict[tuple[str, str], list[FunctionType]] = {}
        self.caches: list[Any] = []
        for found in gc.get_objects():
            kind = type(found)
            if kind is FunctionType:
                code = found.__code__
                name = relative_path(code.co_filename, root)
                if name is not None:
                    self._functions.setdefault(id(code), []).append(found)
                    place = (name, code.co_qualname)
                    self._by_place.setdefault(place, []).append(found)
            elif kind is functools._lru_cache_wrapper:
                self.caches.append(found)

    def apply(self, part: dict[str, Any]) -> list[Undo]:
        """Applies one part of a candidate; returns what `revert` needs. Raises `Unpatchable`, `SyntaxError` or
        `ValueError`."""
        if "names" in part:
            return self._assign(part)
        return list(self._swap(part))

    def _assign(self, part: dict[str, Any]) -> list[Undo]:
        """Runs assignments at module or class level again, and replaces the old values wherever they were imported."""
        full = self._root + part["path"]
        module = next((m for m in list(sys.modules.values()) if self._file(m) == part["path"]), None)
        if module is None:
            raise Unpatchable(part["path"])
        space = dict(vars(module))
        owner: Any = module
        for name in part["chain"]:
            owner = vars(owner).get(name)
            if not isinstance(owner, type):
                raise Unpatchable(name)
            space.update(vars(owner))
        try:
            exec(compile(part["source"], full, "exec", dont_inherit=True), space)  # noqa: S102 - repository code, in the sandbox
        except SyntaxError:
            raise
        except Exception as error:
            raise Unpatchable(part["path"]) from error
        undo: list[Undo] = []
        for name in part["names"]:
            if name not in vars(owner) or name not in space:
                self.revert(undo)
                raise Unpatchable(name)
            old, new = vars(owner)[name], space[name]
            if hasattr(old, "__set_name__") or callable(old):
                self.revert(undo)
                raise Unpatchable(name)
            undo.append((owner, name, old))
            setattr(owner, name, new)
            if not part["chain"]:
                for other in list(sys.modules.values()):
                    origin = getattr(other, "__file__", None)
                    ours = isinstance(origin, str) and origin.startswith(self._root) and other is not module
                    if ours and vars(other).get(name, _MISSING) is old:
                        undo.append((other, name, old))
                        setattr(other, name, new)
        return undo

    def _file(self, module: Any) -> str | None:
        name = getattr(module, "__file__", None)
        return relative_path(name, self._root) if isinstance(name, str) else None

    def _swap(self, part: dict[str, Any]) -> list[tuple[FunctionType, CodeType, Any, Any]]:
        path, chain = part["path"], part["chain"]
        qualified = ".".join(chain)
        candidates = self._by_place.get((path, qualified), [])
        first = part["line"]
        functions = [f for f in candidates if f.__code__.co_firstlineno == first]
        if not functions:
            raise Unpatchable(qualified)
        flags = functions[0].__code__.co_flags & _FUTURE_FLAGS
        source = _wrapped(part["source"], chain, first)
        if self.counts and "while" in part["source"]:
            module = counting(source, self._root + path, flags)
        else:
            module = compile(source, self._root + path, "exec", flags, dont_inherit=True)
        code = _find(module, qualified)
        if code is None:
            raise Unpatchable(qualified)
        new_defaults: tuple[Any, Any] | None = None
        if part.get("signature"):
            new_defaults = _defaults(module, functions[0].__globals__, chain)
        undo: list[tuple[FunctionType, CodeType, Any, Any]] = []
        pairs: list[tuple[CodeType, CodeType]] = []
        _pair(functions[0].__code__, code, pairs)
        try:
            for old, new in pairs:
                for function in self._functions.get(id(old), ()):
                    if function.__code__.co_freevars != new.co_freevars:
                        if old is functions[0].__code__:
                            raise Unpatchable(qualified)
                        continue
                    undo.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))
                    function.__code__ = new
                    if new_defaults is not None and old is not new and old is undo[0][1]:
                        function.__defaults__, function.__kwdefaults__ = new_defaults
        except ValueError as error:
            self.revert(undo)
            raise Unpatchable(qualified) from error
        except Unpatchable:
            self.revert(undo)
            raise
        return undo

    @staticmethod
    def revert(undo: Sequence[Undo]) -> None:
        for entry in reversed(undo):
            if len(entry) == 4:
                function, code, defaults, kwdefaults = entry
                function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, kwdefaults
            else:
                owner, name, old = entry
                setattr(owner, name, old)


def _wrapped(source: str, chain: list[str], first: int) -> str:
    headers = [" " * depth + f"class {name}:" for depth, name in enumerate(chain[:-1])]
    if not headers and source[:1] in (" ", "\t"):
        headers = ["if True:"]
    padding = max(0, first - 1 - len(headers))
    return "\n" * padding + "".join(header + "\n" for header in headers) + source


def _find(code: CodeType, qualified: str) -> CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == qualified:
                return constant
            if qualified.startswith(constant.co_qualname + "."):
                found = _find(constant, qualified)
                if found is not None:
                    return found
    return None


def _pair(old: CodeType, new: CodeType, pairs: list[tuple[CodeType, CodeType]]) -> None:
    """Pairs a function's code, and the code nested in it, with the new code of the same name and order."""
    pairs.append((old, new))
    nested: dict[str, list[CodeType]] = {}
    for constant in new.co_consts:
        if isinstance(constant, CodeType):
            nested.setdefault(constant.co_qualname, []).append(constant)
    for constant in old.co_consts:
        if isinstance(constant, CodeType) and nested.get(constant.co_qualname):
            _pair(constant, nested[constant.co_qualname].pop(0), pairs)


def _defaults(module: CodeType, names: dict[str, Any], chain: list[str]) -> tuple[Any, Any]:
    space = dict(names)
    try:
        exec(module, space)  # noqa: S102 - runs the repository's own code, inside the sandbox
        found: Any = space[chain[0]]
        for name in chain[1:]:
            found = vars(found)[name]
        found = getattr(found, "__func__", found)
        return found.__defaults__, found.__kwdefaults__
    except Exception as error:
        raise Unpatchable(".".join(chain)) from error


class State:
    """A snapshot of what candidates can change, to be restored after each: module globals, class attributes, the
    built-in containers in them, working folder, environment and `sys.path`. `lru_cache`s are emptied."""

    def __init__(self, root: str, caches: list[Any]) -> None:
        prefix = root.rstrip("/") + "/"
        self._spaces: list[_Space] = []
        self._classes: list[tuple[type, _Space, dict[str, Any]]] = []
        self._held: list[tuple[Any, Any]] = []
        self._seen: set[int] = set()
        self._caches = caches
        self._folder = os.getcwd()  # noqa: PTH109
        self._environment = dict(os.environ)
        self._raw_environment = dict(_raw_environment())
        self._path = list(sys.path)
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            if isinstance(module, ModuleType) and isinstance(name, str) and name.startswith(prefix):
                self._keep_space(vars(module))

    def _keep_space(self, space: dict[str, Any]) -> None:
        self._spaces.append(_Space(space))
        for name, value in list(space.items()):
            if name.startswith("__") and name.endswith("__"):
                continue
            if isinstance(value, type) and value.__module__ == space.get("__name__"):
                attributes = {k: v for k, v in vars(value).items() if not (k.startswith("__") and k.endswith("__"))}
                self._classes.append((value, _Space(vars(value)), attributes))
                for attribute in attributes.values():
                    self._keep(attribute, 3)
            else:
                self._keep(value, 3)

    def _keep(self, value: Any, depth: int) -> None:
        if depth == 0 or id(value) in self._seen:
            return
        kind = type(value)
        if kind in _CONTAINERS:
            if len(value) > _MAX_ITEMS:
                return
            self._seen.add(id(value))
            if isinstance(value, dict):
                self._spaces.append(_Space(value))
            else:
                self._held.append((value, kind(value)))
            inner = value.values() if isinstance(value, dict) else value
            if kind is not bytearray:
                for item in inner:
                    self._keep(item, depth - 1)
        elif kind is FunctionType:
            for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
                self._keep(default, depth - 1)
        else:
            space = getattr(value, "__dict__", None)
            if type(space) is dict and not isinstance(value, type | ModuleType) and len(space) < 200:
                self._seen.add(id(value))
                self._spaces.append(_Space(space))
                for item in list(space.values()):
                    self._keep(item, depth - 1)

    def restore(self) -> bool:
        """Whether anything was changed, caches apart."""
        changed = False
        for space in self._spaces:
            if not space.is_as_before():
                changed = True
                space.restore()
        for owner, before, attributes in self._classes:
            if before.is_as_before():
                continue
            current = vars(owner)
            for name, value in attributes.items():
                if current.get(name, _MISSING) is not value:
                    changed = True
                    setattr(owner, name, value)
        for live, saved in self._held:
            if isinstance(live, list | bytearray):
                if len(live) != len(saved) or not all(map(is_, live, saved)):
                    changed = True
                    live[:] = saved
            elif isinstance(live, deque):
                changed = changed or len(live) != len(saved) or not all(map(is_, live, saved))
                live.clear()
                live.extend(saved)
            elif live != saved:
                changed = True
                live.clear()
                live.update(saved)
        for cache in self._caches:
            cache.cache_clear()
        if _raw_environment() != self._raw_environment:
            changed = True
            os.environ.clear()
            os.environ.update(self._environment)
        if sys.path != self._path:
            changed = True
            sys.path[:] = self._path
        try:
            if os.getcwd() == self._folder:  # noqa: PTH109
                return changed
        except FileNotFoundError:
            pass
        os.chdir(self._folder)
        return True


def _raw_environment() -> dict[Any, Any]:
    """The variables as `os.environ` holds them, without decoding each."""
    raw = getattr(os.environ, "_data", None)
    return raw if isinstance(raw, dict) else dict(os.environ)


class _Space:
    """The items of a dictionary. Most are never changed, so looking at them is what must be fast."""

    __slots__ = ("_keys", "_live", "_values")

    def __init__(self, live: Any) -> None:
        self._live = live
        self._keys = list(live)
        self._values = list(live.values())

    def is_as_before(self) -> bool:
        live = self._live
        return (
            len(live) == len(self._values)
            and all(map(is_, live.values(), self._values))
            and all(map(is_, live, self._keys))
        )

    def restore(self) -> None:
        self._live.clear()
        self._live.update(zip(self._keys, self._values, strict=True))
