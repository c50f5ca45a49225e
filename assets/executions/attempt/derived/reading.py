"""What all readers of an issue share: claims with their imports, and why a piece of code was not used."""

import ast
from dataclasses import replace

from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.markdown import Block, blocks_of
from assets.executions.attempt.derived.project_names import ProjectNames, bound_names
from assets.executions.attempt.derived.safe_code import is_expression, parsed, refusal

MOST_NOTES = 6


class Reading:
    """An issue that is being read. `refused` are sentences about code that was not used."""

    def __init__(self, text: str, names: ProjectNames) -> None:
        self.blocks: list[Block] = blocks_of(text)
        self.names = names
        self.refused: list[str] = []
        self._groups = 0
        self._imports: list[ast.stmt] = []
        self._history: list[str] = []

    def group(self) -> int:
        """A number for the claims of one more example."""
        self._groups += 1
        return self._groups

    def remember(self, code: str) -> None:
        """Stores the code of an example: later ones may use its imports and what it defines."""
        tree = parsed(code)
        if tree is None:
            return
        self._imports += [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        self._history = [*self._history, code][-4:]

    def mentions_project(self, code: str) -> bool:
        tree = parsed(code)
        return tree is not None and (self.names.mentions(tree) or bool(self._bound_before() & _loaded(tree)))

    def claim(self, claim: Claim) -> Claim | None:
        """The claim with what it must import and what earlier examples define; None when it cannot be a test, which is
        noted."""
        claim = replace(
            claim,
            expected=self._resolved(claim.expected),
            actual=self._resolved(claim.actual),
            shown=self._resolved(claim.shown),
        )
        made, unknown = self._with_imports(claim)
        if unknown and self._history:
            made, unknown = self._with_imports(replace(claim, code=_joined([*self._history, claim.code])))
        if made is None:
            return None
        if unknown:
            self.refuse(claim, f"uses `{unknown[0]}`, which neither it nor the project defines")
            return None
        whole = parsed(_joined([*made.imports, *_parts(made)]))
        if whole is None:
            return None
        if not self.names.mentions(whole):
            return None
        allowed = self.names.used
        if why := refusal(whole, allowed):
            self.refuse(claim, why)
            return None
        return made

    def refuse(self, claim: Claim, why: str) -> None:
        """Notes why a claim was not used."""
        note = f"`{claim.name}` was not used: it {why}."
        if note not in self.refused and len(self.refused) < MOST_NOTES:
            self.refused.append(note)

    def _with_imports(self, claim: Claim) -> tuple[Claim | None, list[str]]:
        tree = parsed(_joined(_parts(claim)))
        if tree is None:
            return None, []
        imports, unknown = self.names.imports_for(tree)
        own = []
        for node in self._imports:
            bound = bound_names(node)
            if _brings_all(node) or bound & set(unknown):
                own.append(ast.unparse(node))
                unknown = [name for name in unknown if name not in bound]
        if any(map(_brings_all, (*self._imports, *ast.walk(tree)))):
            unknown = []  # what it brings is not known here; the sandbox will tell
        return replace(claim, imports=tuple(dict.fromkeys([*imports, *own]))), unknown

    def _resolved(self, stated: Stated | None) -> Stated | None:
        """A text that is an expression of names that are known, as that expression."""
        if stated is None or stated.kind is not Kind.SHOWN or stated.exact or not is_expression(stated.text):
            return stated
        tree = parsed(stated.text)
        if tree is None or not any(isinstance(node, ast.Call) for node in ast.walk(tree)):
            return stated
        bound = self._bound_before()
        if any(name not in bound for name in self.names.imports_for(tree)[1]):
            return stated
        return Stated(Kind.VALUE, stated.text)

    def _bound_before(self) -> set[str]:
        trees = [parsed(code) for code in self._history]
        return {name for tree in trees if tree is not None for name in bound_names(tree)}


def _parts(claim: Claim) -> list[str]:
    stated = [s for s in (claim.expected, claim.actual, claim.shown) if s is not None]
    right = (claim.expected, claim.shown)
    values = [s.text for s in stated if s.kind is Kind.VALUE or (s.kind is Kind.RAISES and s in right)]
    return [claim.code, claim.subject, *values]


def _joined(parts: list[str]) -> str:
    return "\n".join(part for part in parts if part.strip())


def _loaded(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _brings_all(node: ast.AST) -> bool:
    """Whether it is `from … import *`."""
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
