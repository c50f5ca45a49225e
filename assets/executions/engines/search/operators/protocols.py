"""Special methods that a class lacks, written with the methods and attributes that it has."""

import ast
from collections.abc import Iterator

from .base import Proposal, Site, on_statement
from .index import simple_name

_IN_PLACE = {
    "__ior__": ("update", "add"),
    "__iadd__": ("extend", "update", "add", "append"),
    "__isub__": ("difference_update", "subtract", "remove", "discard"),
    "__iand__": ("intersection_update",),
    "__ixor__": ("symmetric_difference_update",),
}
"""Methods of the library's containers with the same meaning, by the operator's method."""
_DELEGATED = {
    "__len__": ("()", "len({})"),
    "__iter__": ("()", "iter({})"),
    "__contains__": ("(item)", "item in {}"),
    "__getitem__": ("(key)", "{}[key]"),
    "__bool__": ("()", "bool({})"),
    "__reversed__": ("()", "reversed({})"),
}
"""Parameters and result, for an attribute that holds what the instance stands for."""
_LIBRARY: dict[str, type] = {
    **dict.fromkeys(("dict", "OrderedDict", "MutableMapping", "UserDict", "defaultdict"), dict),
    **dict.fromkeys(("list", "MutableSequence", "UserList"), list),
    "set": set,
}
_MOST_FIELDS = 4


@on_statement
def special_method(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A special method that the failures ask for, at the end of the class."""
    if not isinstance(node, ast.ClassDef) or not site.symptoms.protocols:
        return
    named = node.name in site.symptoms.names
    attributes, methods = site.index.members(node.name)
    own = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
    for owner, name in sorted(site.symptoms.protocols):
        if name in own or (owner and owner != node.name) or not (owner or named):
            continue
        weight = 0.9 if owner else 0.7
        for lines, likely in _bodies(name, node, sorted(attributes), methods):
            yield _at_the_end(site, node, lines, weight * likely)


@on_statement
def hash_of_compared(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """`__hash__` from what `__eq__` compares, since equal objects must have one hash (Python's data model)."""
    if not isinstance(node, ast.Return) or node.value is None or site.function is None or site.owner is None:
        return
    if site.function.name != "__hash__" or not site.function.args.args:
        return
    this = site.function.args.args[0].arg
    fields = [f"{this}.{field}" for field in _compared(site.owner)]
    if fields:
        together = fields[0] if len(fields) == 1 else f"({', '.join(fields)})"
        yield site.replace(node.value, f"hash({together})", "protocol:hash", 0.9)


def _bodies(
    name: str, node: ast.ClassDef, attributes: list[str], methods: set[str]
) -> Iterator[tuple[list[str], float]]:
    """Lines of the method, with how likely each is."""
    for method in _IN_PLACE.get(name, ()):
        if method in methods or _derives_from(node, method):
            yield [f"def {name}(self, other):", f"    self.{method}(other)", "    return self"], 1.0
    if name in _DELEGATED:
        parameters, result = _DELEGATED[name]
        given = f"(self, {parameters[1:]}" if parameters != "()" else "(self)"
        for field in attributes[:_MOST_FIELDS]:
            yield [f"def {name}{given}:", f"    return {result.format(f'self.{field}')}"], 0.6
    if name in ("__copy__", "__deepcopy__", "__reduce__"):
        yield from _copies(name, methods)
    if name == "__hash__":
        fields = _compared(node) or attributes[:_MOST_FIELDS]
        if fields:
            together = ", ".join(f"self.{field}" for field in fields)
            yield [f"def {name}(self):", f"    return hash(({together}{',' if len(fields) == 1 else ''}))"], 1.0
    if name == "__eq__" and attributes:
        for fields in ([*attributes[:_MOST_FIELDS]], attributes[:1]):
            equal = " and ".join(f"self.{field} == other.{field}" for field in fields)
            yield [f"def {name}(self, other):", f"    if not isinstance(other, {node.name}):",
                   "        return NotImplemented", f"    return {equal}"], 0.8  # fmt: skip
    if name.startswith("__r") and f"__{name[3:]}" in methods:
        yield [f"def {name}(self, other):", f"    return self.__{name[3:]}(other)"], 0.9
    if name == "__fspath__":
        for field in attributes[:_MOST_FIELDS]:
            yield [f"def {name}(self):", f"    return str(self.{field})"], 0.5
    if name == "__enter__":
        closing = next((m for m in ("close", "stop", "release", "shutdown") if m in methods), None)
        if closing:
            yield [f"def {name}(self):", "    return self", "",
                   "def __exit__(self, *details):", f"    self.{closing}()"], 1.0  # fmt: skip


def _copies(name: str, methods: set[str]) -> Iterator[tuple[list[str], float]]:
    if "__getstate__" in methods and "__setstate__" in methods:
        yield ["def __reduce__(self):", "    return (self.__class__, (), self.__getstate__())"], 1.0
    if "copy" in methods and name == "__copy__":
        yield ["def __copy__(self):", "    return self.copy()"], 1.0
    if "__copy__" in methods and name == "__deepcopy__":
        yield ["def __deepcopy__(self, memo):", "    return self.__copy__()"], 0.6


def _derives_from(node: ast.ClassDef, method: str) -> bool:
    """Whether a base of the class, by its name, is a container of the library that has the method."""
    return any(hasattr(_LIBRARY[name], method) for name in map(simple_name, node.bases) if name in _LIBRARY)


def _compared(node: ast.ClassDef) -> list[str]:
    """The attributes that `__eq__` compares, in order."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__eq__" and item.args.args:
            first = item.args.args[0].arg
            read = [n for n in ast.walk(item) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
            found = [n.attr for n in read if isinstance(n.value, ast.Name) and n.value.id == first]
            return list(dict.fromkeys(name for name in found if not name.startswith("__")))
    return []


def _at_the_end(site: Site, node: ast.ClassDef, lines: list[str], weight: float) -> Proposal | None:
    last = node.body[-1]
    return site.after(last, ["", *lines], "protocol:add", weight)
