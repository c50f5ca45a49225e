"""The names that a project offers, and the imports that code from an issue needs."""

import ast
import builtins
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property

from assets.executions.attempt.derived.safe_code import HARMLESS
from assets.executions.engines.search.source import SourceFile

MOST_SOURCES = 300
_ALWAYS = frozenset({*dir(builtins), "__name__"})
_USUAL = {
    "Path": "pathlib", "PurePath": "pathlib", "Decimal": "decimal", "Fraction": "fractions",
    "OrderedDict": "collections",
    "defaultdict": "collections", "namedtuple": "collections", "Counter": "collections", "deque": "collections",
    "StringIO": "io", "BytesIO": "io", "timedelta": "datetime", "partial": "functools", "dataclass": "dataclasses",
}  # fmt: skip
"""Names of the standard library that issues use without importing them."""


class ProjectNames:
    """What the modules of a project define, read without importing anything."""

    def __init__(self, sources: Mapping[str, SourceFile]) -> None:
        self._sources = sources
        self._paths = sorted(sources, key=lambda path: (path.count("/"), path))[:MOST_SOURCES]

    @cached_property
    def modules(self) -> dict[str, str]:
        """The path of each module by its dotted name."""
        return {name: path for path in reversed(self._paths) if (name := module_name(path))}

    @cached_property
    def packages(self) -> frozenset[str]:
        """The top-level packages and modules of the project."""
        return frozenset(name.partition(".")[0] for name in self.modules)

    @cached_property
    def used(self) -> frozenset[str]:
        """The top-level packages of the project and those that its files import."""
        found = set(self.packages)
        for path in self._paths:
            source = self._sources.get(path)
            for node in ast.walk(source.tree) if source is not None else ():
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
        return frozenset(found - sys.stdlib_module_names) | self.packages

    @cached_property
    def defined(self) -> dict[str, str]:
        """The module that a name is imported from: the one nearest to the root that defines or offers it."""
        found: dict[str, str] = {}
        for path in self._paths:
            module, source = module_name(path), self._sources.get(path)
            if not module or source is None or module.endswith("__main__"):
                continue
            for name in _offered(source.tree, offers=path.endswith("__init__.py")):
                found.setdefault(name, module)
        return found

    def imports_for(self, tree: ast.Module) -> tuple[list[str], list[str]]:
        """Statements that import what the code uses and does not bind, and names that are nowhere."""
        bound = bound_names(tree)
        imports: dict[str, None] = {}
        unknown = []
        for name in sorted(used_names(tree)):
            root = name.partition(".")[0]
            if root in bound or root in _ALWAYS:
                continue
            if name in self.modules and "." in name:
                imports[f"import {name}"] = None
            elif "." in name:
                continue
            elif name in self.defined:
                imports[f"from {self.defined[name]} import {name}"] = None
            elif name in self.modules or name in HARMLESS:
                imports[f"import {name}"] = None
            elif name in _USUAL:
                imports[f"from {_USUAL[name]} import {name}"] = None
            else:
                unknown.append(name)
        return list(imports), unknown

    def mentions(self, tree: ast.Module) -> bool:
        """Whether the code uses or imports a name of the project."""
        imported = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        used = {name.partition(".")[0] for name in used_names(tree)} - bound_names(tree)
        return bool(imported & self.packages or used & (self.packages | self.defined.keys()))


def module_name(path: str) -> str:
    """The dotted name of a file's module, empty when it cannot be imported by one."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    name = name.removeprefix("src.").removeprefix("lib.")
    return name if all(part.isidentifier() for part in name.split(".")) and name != "setup" else ""


def used_names(tree: ast.AST) -> set[str]:
    """The names that code uses, those with attributes also as dotted names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            found |= {inner.id, ".".join([inner.id, *reversed(parts)])}
    return found


def bound_names(tree: ast.AST) -> set[str]:
    """The names that code assigns, imports or defines."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def _offered(tree: ast.Module, *, offers: bool) -> Iterable[str]:
    """The names that a module defines; with `offers`, also those that it imports for others."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
        elif offers and isinstance(statement, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in statement.names if alias.name != "*")
