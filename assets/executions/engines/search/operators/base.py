"""The base of all operator families: the site that is edited, proposals of edits, and the registry of operators.

An operator is a generator function over one syntax node of a suspicious statement. It yields proposals with a
prior weight between 0 and 1, and does not depend on tests or other operators.
"""

import ast
import builtins
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from assets.executions.engines.search.source import Edit, SourceFile
from assets.executions.engines.search.symptoms import Symptoms
from assets.executions.tokenizer import similarity

from .index import ProjectIndex, simple_name
from .kinds import of_expression, of_names

ATOMIC = (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.Subscript, ast.List, ast.Dict, ast.Set, ast.JoinedStr,
          ast.ListComp, ast.SetComp, ast.DictComp)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_]\w*")
_LEFTOVER = 1.8
"""Factor for edits that use a name which is never read so far."""
BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Proposal:
    edits: tuple[Edit, ...]
    operator: str
    weight: float


class Site:
    """One suspicious statement with its surroundings, and the edits that operators can make there."""

    def __init__(self, source: SourceFile, statement: ast.stmt, index: ProjectIndex, symptoms: Symptoms) -> None:
        self.source = source
        self.statement = statement
        self.index = index
        self.symptoms = symptoms
        self.function = source.function_of(statement)
        self.owner = source.class_of(statement)

    def code(self, node: ast.AST) -> str:
        return self.source.code(node)

    def bare(self, node: ast.AST) -> str:
        """The node's code, in parentheses unless it binds tightly."""
        text = self.code(node)
        return text if isinstance(node, ATOMIC) else f"({text})"

    def replace(self, node: ast.AST, text: str, operator: str, weight: float) -> Proposal:
        start, end = self.source.span(node)
        return Proposal((Edit(self.source.path, start, end, text),), operator, weight)

    def span(self, start: int, end: int, text: str, operator: str, weight: float) -> Proposal:
        return Proposal((Edit(self.source.path, start, end, text),), operator, weight)

    def between(self, left: ast.AST, right: ast.AST) -> tuple[int, int]:
        """The span between two nodes, which holds an operator's token, without parentheses."""
        start, end = self.source.span(left)[1], self.source.span(right)[0]
        text = self.source.text[start:end]
        head = len(text) - len(text.lstrip(") \t\r\n\\"))
        tail = len(text.rstrip("( \t\r\n\\"))
        return start + head, start + tail

    @property
    def newline(self) -> str:
        return self.source.newline

    def before(self, statement: ast.stmt, lines: list[str], operator: str, weight: float) -> Proposal | None:
        """New lines before a statement, at its indentation."""
        if not self.source.starts_line(statement):
            return None
        at = self.source.line_start(self.source.first_line(statement))
        indent = self.source.indent(statement)
        text = "".join(f"{indent if line else ''}{line}{self.newline}" for line in lines)
        return Proposal((Edit(self.source.path, at, at, text),), operator, weight)

    def after(self, statement: ast.stmt, lines: list[str], operator: str, weight: float) -> Proposal | None:
        """New lines after a statement, at its indentation."""
        if not self.source.starts_line(statement):
            return None
        last = statement.end_lineno or statement.lineno
        indent = self.source.indent(statement)
        text = "".join(f"{indent if line else ''}{line}{self.newline}" for line in lines)
        if last < self.source.lines:
            at = self.source.line_start(last + 1)
            if not self.source.text[:at].endswith(("\n", "\r")):
                return None
        else:
            at = len(self.source.text)
            if not self.source.text.endswith("\n"):
                text = self.newline + text.removesuffix(self.newline)
        rest = self.source.text[self.source.span(statement)[1] : at].strip()
        if rest and not rest.startswith("#"):
            return None
        return Proposal((Edit(self.source.path, at, at, text),), operator, weight)

    def delete(self, statement: ast.stmt) -> Edit | None:
        """The edit that removes a statement with its lines; None when it shares a line with another."""
        if not self.source.starts_line(statement):
            return None
        start = self.source.line_start(self.source.first_line(statement))
        last = statement.end_lineno or statement.lineno
        end = self.source.line_start(last + 1) if last < self.source.lines else len(self.source.text)
        rest = self.source.text[self.source.span(statement)[1] : end].strip()
        if rest and not rest.startswith("#"):
            return None
        return Edit(self.source.path, start, end, "")

    def lines_of(self, statement: ast.stmt) -> list[str]:
        """A statement's lines without the indentation of its first."""
        indent = self.source.indent(statement)
        start = self.source.line_start(self.source.first_line(statement))
        text = self.source.text[start : self.source.span(statement)[1]]
        return [line.removeprefix(indent) for line in text.splitlines()]

    def block_of(self, statement: ast.stmt) -> list[ast.stmt]:
        """The list of statements that contains a statement."""
        parent = self.source.parents.get(statement)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            if isinstance(block, list) and any(item is statement for item in block):
                return block
        return [statement]

    @cached_property
    def parameters(self) -> list[str]:
        """The function's parameters, `self` and `cls` left out."""
        if self.function is None:
            return []
        a = self.function.args
        found = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
        found += [p.arg for p in (a.vararg, a.kwarg) if p is not None]
        return [name for name in found if name not in ("self", "cls")]

    @cached_property
    def locals(self) -> list[str]:
        """Names that the function assigns, in order, parameters left out."""
        found: list[str] = []
        if self.function is not None:
            for node in self.source.walk(self.function):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    own = self.source.function_of(node) is self.function and not self._comprehended(node)
                    if own and node.id not in found and node.id not in self.parameters:
                        found.append(node.id)
                elif isinstance(node, ast.ExceptHandler) and node.name and node.name not in found:
                    found.append(node.name)
        return found

    def _comprehended(self, node: ast.AST) -> bool:
        return isinstance(self.source.parents.get(node), ast.comprehension)

    def visible(self, node: ast.AST) -> list[str]:
        """Local names usable at a node: comprehension variables around it, then parameters, then locals."""
        found: list[str] = []
        current = self.source.parents.get(node)
        while current is not None and not isinstance(current, ast.stmt):
            if isinstance(current, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                for generator in current.generators:
                    found += [n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)]
            elif isinstance(current, ast.Lambda):
                found += [p.arg for p in current.args.args]
            current = self.source.parents.get(current)
        line = getattr(node, "lineno", 0)
        in_loop = any(isinstance(p, ast.For | ast.While | ast.AsyncFor) for p in self.enclosing)
        for name in (*self.parameters, *self.locals):
            if name not in found and (in_loop or self._assigned_before(name, line)):
                found.append(name)
        return found

    @cached_property
    def enclosing(self) -> list[ast.AST]:
        """Parents of the statement up to its function, innermost first."""
        found = []
        current = self.source.parents.get(self.statement)
        while current is not None and current is not self.function:
            found.append(current)
            current = self.source.parents.get(current)
        return found

    @cached_property
    def _first_assigned(self) -> dict[str, int]:
        found: dict[str, int] = {}
        if self.function is not None:
            for node in self.source.walk(self.function):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found[node.id] = min(found.get(node.id, node.lineno), node.lineno)
        return found

    def _assigned_before(self, name: str, line: int) -> bool:
        return name in self.parameters or self._first_assigned.get(name, 0) < line

    @cached_property
    def self_name(self) -> str | None:
        """The name of the method's first parameter, usually `self`; None outside methods and in static ones."""
        if self.function is None or not isinstance(self.source.parents.get(self.function), ast.ClassDef):
            return None
        arguments = [*self.function.args.posonlyargs, *self.function.args.args]
        static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in self.function.decorator_list)
        return arguments[0].arg if arguments and not static else None

    @cached_property
    def fields(self) -> list[str]:
        """Attributes of the class around the statement, sorted."""
        if self.owner is None or self.self_name is None:
            return []
        found = self.index.members(self.owner.name)[0]
        return sorted(found | {"args"} if self.owner.name in self.index.exceptions else found)

    @cached_property
    def methods(self) -> list[str]:
        if self.owner is None or self.self_name is None:
            return []
        return sorted(m for m in self.index.members(self.owner.name)[1] if not m.startswith("__"))

    @cached_property
    def globals(self) -> list[str]:
        """Names bound at module level, in order."""
        found: list[str] = []
        for statement in self.source.tree.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.append(statement.name)
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                found += [(alias.asname or alias.name).split(".")[0] for alias in statement.names]
            else:
                found += [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        return list(dict.fromkeys(found))

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Likely kinds of names in scope, `self.x` included."""
        return of_names(self.function, self.owner)

    def kind(self, node: ast.AST | str) -> str | None:
        """The likely kind of an expression or of a name; None when unknown."""
        return self.kinds.get(node) if isinstance(node, str) else of_expression(node, self.kinds)

    def alike(self, one: ast.AST | str, other: ast.AST | str) -> float:
        """A factor below 1 when two values are known to be of different kinds, above when of the same."""
        first, second = self.kind(one), self.kind(other)
        if first is None or second is None:
            return 1.0
        return 1.15 if first == second else 0.4

    @cached_property
    def leftovers(self) -> frozenset[str]:
        """Names that are defined but never read: parameters and locals of the function, imports of the file,
        private functions and constants of the project. A fix often uses one of them."""
        found: set[str] = set()
        if self.function is not None:
            read = {
                n.id for n in self.source.walk(self.function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
            }
            found |= {
                name for name in (*self.parameters, *self.locals) if name not in read and not name.startswith("_")
            }
        found |= self._unread_globals
        return frozenset(name for name in found if len(name) > 1)

    @property
    def _unread_globals(self) -> set[str]:
        known: dict[str, set[str]] = self.index.__dict__.setdefault("_unread", {})
        if self.source.path not in known:
            read = {
                n.id
                for n in self.source.walk(self.source.tree)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
            }
            exported = self.source.path.endswith("__init__.py")
            unread: set[str] = set()
            for statement in self.source.tree.body:
                if isinstance(statement, ast.Import | ast.ImportFrom) and not exported:
                    if not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
                        unread |= {(a.asname or a.name).split(".")[0] for a in statement.names} - read
                elif isinstance(statement, ast.FunctionDef | ast.Assign):
                    names = (
                        [statement.name]
                        if isinstance(statement, ast.FunctionDef)
                        else [t.id for t in statement.targets if isinstance(t, ast.Name)]
                    )
                    unread |= {
                        n
                        for n in names
                        if (n.startswith("_") or n.isupper()) and not n.startswith("__") and n not in self.index.used
                    }
            known[self.source.path] = unread
        return known[self.source.path]

    def closeness(self, name: str, other: str) -> float:
        """How likely `other` is meant by `name`, up to 1: they are alike, or the issue or the failing tests mention
        `other`."""
        value = 0.45 + 0.55 * similarity(name, other)
        if other in self.symptoms.names and other not in BUILTINS and len(other) > 1:
            value += 0.15
        return min(1.0, value)


Operator = Callable[[Site, ast.AST], Iterator[Proposal | None]]
_REGISTRY: dict[type[ast.AST], list[Operator]] = {}
_STATEMENT: list[Operator] = []


def on(*kinds: type[ast.AST]) -> Callable[[Callable[..., Iterator[Proposal | None]]], Operator]:
    """Registers an operator for nodes of these kinds within a suspicious statement's own expressions."""

    def register(operator: Callable[..., Iterator[Proposal | None]]) -> Operator:
        for kind in kinds:
            _REGISTRY.setdefault(kind, []).append(operator)
        return operator

    return register


def on_statement(operator: Callable[..., Iterator[Proposal | None]]) -> Operator:
    """Registers an operator that is called once for each suspicious statement."""
    _STATEMENT.append(operator)
    return operator


def proposals(site: Site, families: Collection[str] | None = None) -> Iterator[Proposal]:
    """The proposals of all operators for one site, or of those in `families` only. Their weights include the symptoms'
    boosts."""
    for operator in _STATEMENT:
        if families is None or family(operator) in families:
            yield from _guarded(site, operator, site.statement)
    for node in site.source.own_nodes(site.statement):
        for operator in _REGISTRY.get(type(node), ()):
            if families is None or family(operator) in families:
                yield from _guarded(site, operator, node)


def family(operator: Operator) -> str:
    """The name of the module that an operator belongs to."""
    return operator.__module__.rpartition(".")[2]


def families() -> tuple[str, ...]:
    """All families, sorted."""
    every = [*_STATEMENT, *(operator for operators in _REGISTRY.values() for operator in operators)]
    return tuple(sorted({family(operator) for operator in every}))


def _guarded(site: Site, operator: Operator, node: ast.AST) -> Iterator[Proposal]:
    """An operator's proposals. An operator that fails on unforeseen code is recorded in the index's `faults`, and the
    other operators continue."""
    try:
        yield from _boosted(site, operator(site, node))
    except (AttributeError, IndexError, KeyError, LookupError, RecursionError, TypeError, ValueError) as error:
        place = f"{site.source.path}:{getattr(node, 'lineno', 0)}"
        site.index.faults.append(f"{operator.__name__} at {place}: {type(error).__name__}: {error}")


def _boosted(site: Site, made: Iterator[Proposal | None]) -> Iterator[Proposal]:
    for proposal in made:
        if proposal is not None:
            weight = proposal.weight * site.symptoms.boost(proposal.operator)
            if site.leftovers and any(
                name in site.leftovers for edit in proposal.edits for name in _NAME.findall(edit.text)
            ):
                weight *= _LEFTOVER
            yield Proposal(proposal.edits, proposal.operator, weight)


def called_name(node: ast.Call) -> str:
    """The last part of what is called: `f` of `f(x)` and of `a.f(x)`; empty for anything else."""
    return simple_name(node.func)
