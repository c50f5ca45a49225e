"""What the project defines, by name: functions, classes, attributes, constants. Read once for each problem."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from assets.executions.engines.search.source import Function, SourceFile


def simple_name(node: ast.AST | None) -> str:
    """`f` of both `f` and `a.f`; empty for any other expression."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@dataclass(frozen=True)
class Validator:
    """A function that raises and does nothing else: it returns no value and changes nothing beyond its own variables.
    `owner` is the class of a method, `raises` are the names of what it raises."""

    function: ast.FunctionDef
    path: str
    owner: str | None
    raises: frozenset[str]


class ProjectIndex:
    """Names that the project's files define: functions with their parameters, classes, methods, attributes."""

    def __init__(self, sources: list[SourceFile]) -> None:
        self.functions: dict[str, list[Function]] = {}
        self.classes: dict[str, tuple[SourceFile, ast.ClassDef]] = {}
        self.methods: dict[str, set[str]] = {}
        self.attributes: dict[str, set[str]] = {}
        self.constants: dict[str, list[ast.Constant]] = {}
        self.defined_in: dict[str, list[str]] = {}
        self.sources = sources
        self.faults: list[str] = []
        self.used: set[str] = set()
        """Every name that some file reads, as a variable or as an attribute."""
        for source in sources:
            self._read(source)

    def _read(self, source: SourceFile) -> None:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = (source, node)
                names = self.attributes.setdefault(node.name, set())
                for item in node.body:
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                        self.methods.setdefault(node.name, set()).add(item.name)
                        if any(isinstance(d, ast.Name) and "property" in d.id for d in item.decorator_list):
                            names.add(item.name)
                    elif isinstance(item, ast.Assign):
                        names.update(t.id for t in item.targets if isinstance(t, ast.Name))
                    elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        names.add(item.target.id)
                for inner in ast.walk(node):
                    if (
                        isinstance(inner, ast.Attribute)
                        and isinstance(inner.value, ast.Name)
                        and inner.value.id == "self"
                    ) and isinstance(inner.ctx, ast.Store):
                        names.add(inner.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.used.add(node.id)
            elif isinstance(node, ast.Attribute):
                self.used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
                self.constants.setdefault(source.path, []).append(node)
        for statement in source.tree.body:
            name = getattr(statement, "name", None)
            if isinstance(name, str):
                self.defined_in.setdefault(name, []).append(source.path)
            elif isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        self.defined_in.setdefault(target.id, []).append(source.path)

    @cached_property
    def validators(self) -> list[Validator]:
        found: list[Validator] = []
        for source in self.sources:
            for statement in source.tree.body:
                if isinstance(statement, ast.FunctionDef):
                    found += _validators(statement, source.path, None)
                elif isinstance(statement, ast.ClassDef):
                    for item in statement.body:
                        if isinstance(item, ast.FunctionDef) and not item.name.startswith("__"):
                            found += _validators(item, source.path, statement.name)
        return found

    @cached_property
    def all_attributes(self) -> set[str]:
        found: set[str] = set()
        for names in (*self.attributes.values(), *self.methods.values()):
            found |= names
        return found

    @cached_property
    def exceptions(self) -> set[str]:
        """Classes of the project that derive from an exception."""
        found = set()
        for name, (_, node) in self.classes.items():
            bases = map(simple_name, node.bases)
            if any(base.endswith(("Error", "Exception")) for base in (*bases, *self.bases(name))):
                found.add(name)
        return found

    def bases(self, name: str) -> list[str]:
        """Names of a class's ancestors, as far as the project defines them, nearest first."""
        found: list[str] = []
        queue = [name]
        while queue:
            entry = self.classes.get(queue.pop(0))
            if entry is None:
                continue
            for simple in map(simple_name, entry[1].bases):
                if simple and simple not in found and simple != name:
                    found.append(simple)
                    queue.append(simple)
        return found

    def members(self, name: str) -> tuple[set[str], set[str]]:
        """(attributes, methods) of a class and its project-defined ancestors."""
        attributes, methods = set(self.attributes.get(name, ())), set(self.methods.get(name, ()))
        for base in self.bases(name):
            attributes |= self.attributes.get(base, set())
            methods |= self.methods.get(base, set())
        return attributes, methods


def _validators(function: ast.FunctionDef, path: str, owner: str | None) -> Iterator[Validator]:
    """The function if it is one."""
    nodes = list(ast.walk(function))
    raised = [node for node in nodes if isinstance(node, ast.Raise)]
    if not raised or any(map(_does_more, nodes)):
        return
    if not isinstance(function.body[-1], ast.Raise) and not function.decorator_list:
        what = (node.exc.func if isinstance(node.exc, ast.Call) else node.exc for node in raised)
        yield Validator(function, path, owner, frozenset(map(simple_name, what)) - {""})


def _does_more(node: ast.AST) -> bool:
    """Whether a node returns a value, yields, or changes something that is not a local variable."""
    if isinstance(node, ast.Return):
        return node.value is not None and not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Attribute | ast.Subscript):
        return isinstance(node.ctx, ast.Store | ast.Del)
    return isinstance(node, ast.Yield | ast.YieldFrom | ast.Await)
