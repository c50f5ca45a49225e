"""Where the fault may be: statements ranked by Ochiai over the coverage spectrum, combined with stack frames,
the retrieved context and the names in the issue.

Ochiai: A. Ochiai 1957; R. Abreu et al., "On the accuracy of spectrum-based fault localization", 2007:
ef / sqrt(F * (ef + ep)), with ef and ep the failing and passing tests that execute a statement.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.tokenizer import identifiers, words
from assets.executions.trial.baseline import Baseline
from core.work import Location, Outcome, Reason, TaskContext

from .source import SourceFile

_FRAME = 0.45
_CONTEXT = 0.2
_NAMED = 0.25
_MODULE_LEVEL = 0.45
_BLIND = 0.1
"""Weights of the other clues, where the highest Ochiai score is 1."""
_IMPORTED_FILES = 40


@dataclass
class Suspect:
    """One statement with its score and the reasons for it."""

    source: SourceFile
    statement: ast.stmt
    score: float
    executed: bool
    why: list[Reason] = field(default_factory=list)

    def location(self) -> Location:
        line = self.statement.lineno
        return Location(
            path=self.source.path,
            start_line=line,
            end_line=_own_last_line(self.statement),
            symbol=self.source.symbol_at(line),
            score=round(self.score, 4),
            why=tuple(self.why),
        )


class Placed(Protocol):
    """What stands for a place in the program."""

    def location(self) -> Location: ...


def ochiai(ef: int, ep: int, failing: int) -> float:
    return ef / math.sqrt(failing * (ef + ep)) if ef else 0.0


def rank(
    baseline: Baseline,
    targets: tuple[str, ...],
    context: TaskContext,
    issue: str,
    open_source: Callable[[str], SourceFile | None],
    limit: int = 400,
) -> list[Suspect]:
    """Statements that may be at fault, at most `limit`, most suspicious first. `open_source` returns None for a file
    that must not be edited."""
    scores = _ochiai_scores(baseline, targets)
    frames = _frame_scores(baseline, targets)
    paths = {path for path, _ in scores} | {path for path, _ in frames}
    blind = not any(not is_test_path(path) for path, _ in scores)
    if blind:
        # No coverage of the program was recorded: start from the retrieved places and the imported files.
        paths |= {location.path for location in context.locations} | {path for path, _ in baseline.places}
    suspects: list[Suspect] = []
    top = max(scores.values(), default=0.0) or 1.0
    clues = _Clues(
        {place: score / top for place, score in scores.items()},
        frames,
        _context_scores(context),
        frozenset(identifiers(issue)),
        frozenset(words(issue)),
        blind,
    )
    for path in sorted(paths):
        source = open_source(path)
        if source is not None:
            suspects.extend(_in_file(source, clues))
    suspects = _with_module_level(suspects, baseline, open_source)
    suspects.sort(key=lambda s: (-s.score, s.source.path, s.statement.lineno))
    return suspects[:limit]


def _ochiai_scores(baseline: Baseline, targets: tuple[str, ...]) -> dict[tuple[str, int], float]:
    chosen = [t for t in targets if t in baseline.hits]
    if not chosen:
        return {}
    ef: dict[int, int] = {}
    ep: dict[int, int] = {}
    for test in chosen:
        for place in baseline.hits[test]:
            ef[place] = ef.get(place, 0) + 1
    for test, hits in baseline.hits.items():
        if baseline.run.outcomes.get(test) is Outcome.PASSED:
            for place in hits:
                if place in ef:
                    ep[place] = ep.get(place, 0) + 1
    return {baseline.places[n]: ochiai(count, ep.get(n, 0), len(chosen)) for n, count in ef.items()}


def _frame_scores(baseline: Baseline, targets: tuple[str, ...]) -> dict[tuple[str, int], float]:
    """Lines on the failures' stacks: the innermost counts most."""
    found: dict[tuple[str, int], float] = {}
    for test in targets:
        for failure in baseline.failures.get(test, ())[:2]:
            for depth, (path, line, _) in enumerate(reversed(failure.frames)):
                found[path, line] = max(found.get((path, line), 0.0), 1.0 / (1 + 0.5 * depth))
    return found


def _context_scores(context: TaskContext) -> list[tuple[Location, float]]:
    """Places with their likelihood relative to the best one's. Scores are log odds, halved since they are more certain
    about the file than about the function."""
    top = max((location.score for location in context.locations), default=0.0)
    return [(location, math.exp((location.score - top) / 2)) for location in context.locations[:20]]


@dataclass(frozen=True)
class _Clues:
    """What makes statements suspicious: `scores` by path and line relative to the highest, `frames` on the failures'
    stacks, `places` of the context, names and words of the issue. `blind`: no coverage of the program was recorded."""

    scores: Mapping[tuple[str, int], float]
    frames: Mapping[tuple[str, int], float]
    places: list[tuple[Location, float]]
    named: frozenset[str]
    spoken: frozenset[str]
    blind: bool


def _in_file(source: SourceFile, clues: _Clues) -> list[Suspect]:
    near = [(location, weight) for location, weight in clues.places if location.path == source.path]
    functions: dict[ast.AST | None, float] = {}
    found: list[Suspect] = []
    for line, statements in source.statements.items():
        for statement in statements:
            function = source.function_of(statement)
            score = clues.scores.get((source.path, line), 0.0)
            why = [Reason(signal="ochiai", detail=f"{score:.2f} of the highest", contribution=round(score, 3))]
            first, last = line, _own_last_line(statement)
            on_stack = max(
                (w for (path, at), w in clues.frames.items() if path == source.path and first <= at <= last), default=0
            )
            if on_stack:
                why.append(
                    Reason(signal="stack", detail="on the failure's stack", contribution=round(_FRAME * on_stack, 3))
                )
            executed = score > 0 or on_stack > 0
            total = score + _FRAME * on_stack
            if executed:
                functions[function] = max(functions.get(function, 0.0), total)
            found.append(Suspect(source, statement, total, executed, why))
    for suspect in found:
        function = source.function_of(suspect.statement)
        if not suspect.executed and function in functions:
            # Not executed by the failing tests, but in a function that is: a branch not taken can be the fault.
            suspect.score = (0.25 if function is not None else 0.0) * functions[function]
        elif not suspect.executed and clues.blind and function is not None:
            suspect.score = _BLIND
        if suspect.score <= 0:
            continue
        line = suspect.statement.lineno
        for location, weight in near:
            if location.start_line <= line <= location.end_line:
                gain = _CONTEXT * weight
                suspect.why.append(
                    Reason(signal="context", detail=location.symbol or location.path, contribution=round(gain, 3))
                )
                suspect.score += gain
                break
        symbol = source.symbol_at(line)
        if symbol and set(symbol.split(".")) & clues.named:
            suspect.why.append(Reason(signal="issue", detail=f"the issue names {symbol}", contribution=_NAMED))
            suspect.score += _NAMED
        elif symbol:
            shared = words(symbol) & clues.spoken
            if shared:
                gain = min(0.12, 0.05 * len(shared))
                suspect.why.append(Reason(signal="issue", detail=", ".join(sorted(shared)[:3]), contribution=gain))
                suspect.score += gain
    return found


def _with_module_level(
    suspects: list[Suspect], baseline: Baseline, open_source: Callable[[str], SourceFile | None]
) -> list[Suspect]:
    """Raises the scores of statements that run at import, in the suspects' files and in files of names they use."""
    used = _names_used(suspects)
    by_path: dict[str, list[Suspect]] = {}
    for suspect in suspects:
        by_path.setdefault(suspect.source.path, []).append(suspect)
    others = sorted({baseline.places[n][0] for n in baseline.imported} - set(by_path))
    for path in others[:_IMPORTED_FILES]:
        source = open_source(path)
        if source is not None and any(name in used for s in source.tree.body for name in _assigned(s)):
            by_path[path] = [Suspect(source, s, 0.0, False) for s in source.tree.body if _assigned(s)]
    for found in by_path.values():
        _raise_module_level(found[0].source, found, used)
    return [suspect for found in by_path.values() for suspect in found if suspect.score > 0]


def _names_used(found: list[Suspect]) -> dict[str, float]:
    """Names that executed functions read, with the highest score of a statement that reads them."""
    used: dict[str, float] = {}
    for suspect in found:
        if suspect.executed and suspect.source.function_of(suspect.statement) is not None:
            for node in suspect.source.own_nodes(suspect.statement):
                name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
                if name is not None:
                    used[name] = max(used.get(name, 0.0), suspect.score)
    return used


def _raise_module_level(source: SourceFile, found: list[Suspect], used: dict[str, float]) -> None:
    """Constants, tables and class attributes run at import, for every test alike: they are as suspicious as the
    functions that use them, less a discount."""
    used = dict(used)
    # Names that a used constant is computed from are used as well.
    for statement in reversed(source.tree.body):
        names = _assigned(statement)
        if any(name in used for name in names):
            score = 0.9 * max(used.get(name, 0.0) for name in names)
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    used[node.id] = max(used.get(node.id, 0.0), score)
    best = max((s.score for s in found if s.executed), default=0.0)
    for suspect in found:
        statement = suspect.statement
        if source.function_of(statement) is not None:
            continue
        names = _assigned(statement)
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [s.score for s in found if s.executed and _within(s.statement, statement)]
            suspect.score = max(suspect.score, 0.6 * max(inside, default=0.0))
        elif isinstance(statement, ast.ClassDef):
            inside = [s.score for s in found if s.executed and _within(s.statement, statement)]
            suspect.score = max(suspect.score, 0.4 * max(inside, default=0.0))
        elif names:
            suspect.score = max([suspect.score, *(_MODULE_LEVEL * used[n] for n in names if n in used)])
            if source.class_of(statement) is not None:
                suspect.score = max(suspect.score, 0.25 * best)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            suspect.score = min(suspect.score, 0.3) or 0.1 * best


def _assigned(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        return [t.id for t in statement.targets if isinstance(t, ast.Name)]
    if isinstance(statement, ast.AnnAssign | ast.AugAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _within(inner: ast.stmt, outer: ast.stmt) -> bool:
    return inner is not outer and outer.lineno <= inner.lineno <= (outer.end_lineno or outer.lineno)


def _own_last_line(statement: ast.stmt) -> int:
    """The last line of a statement's own expressions, nested blocks left out."""
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
        return max(statement.lineno, min(body[0].lineno - 1, statement.end_lineno or statement.lineno))
    return statement.end_lineno or statement.lineno


def locations(suspects: Sequence[Placed], count: int = 10) -> tuple[Location, ...]:
    """The most suspicious places as evidence."""
    return tuple(suspect.location() for suspect in suspects[:count])
