"""Which lines may be at fault: what the failing tests execute, stack frames, the context, and names in common.

Coverage is the language's own, where it was measured; without it, the files that the failing tests import stand in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assets.executions.engines.protocol import Coverage, Problem
from assets.executions.engines.search.spectrum import ochiai
from core.work import Location, Reason

from .failures import frames, messages, names_in
from .files import ProgramFiles, nearness
from .isolated import outline

MOST_FILES = 25
"""Files that are read."""
MOST_LINES = 1_500
"""Lines of one file at which edits are proposed, the most suspicious."""
_COVERED, _FRAME, _AROUND, _NAMED, _CONTEXT, _NEAR = 1.0, 0.7, 0.25, 0.35, 0.25, 0.25
_NOT_EXECUTED = 0.12
"""What is left of the score of a line that no failing test executes, in a file of which it is known."""


@dataclass(frozen=True)
class NativeSuspect:
    """One line with its score and the reasons for it; `last` is the last line of its function."""

    path: str
    line: int
    score: float
    symbol: str = ""
    why: tuple[Reason, ...] = ()

    def location(self) -> Location:
        return Location(path=self.path, start_line=self.line, end_line=self.line, symbol=self.symbol,
                        score=round(self.score, 4), why=self.why)  # fmt: skip


@dataclass
class SuspectFile:
    """A file with the scores of its lines, from 1."""

    path: str
    lines: dict[int, float]
    symbols: dict[int, str] = field(default_factory=dict)
    why: dict[int, tuple[Reason, ...]] = field(default_factory=dict)

    @property
    def top(self) -> float:
        return max(self.lines.values(), default=0.0)

    def suspects(self) -> list[NativeSuspect]:
        return [
            NativeSuspect(self.path, line, score, self.symbols.get(line, ""), self.why.get(line, ()))
            for line, score in self.lines.items()
        ]


@dataclass
class _Clues:
    frames: Mapping[tuple[str, int], float]
    names: frozenset[str]
    places: Sequence[tuple[Location, float]]
    near: Mapping[str, float]
    coverage: Coverage | None


def localise(problem: Problem, program: ProgramFiles, coverage: Coverage | None) -> list[SuspectFile]:
    """The likeliest files, most suspicious first, at most `MOST_FILES`."""
    said = messages(problem.baseline, problem.targets.tests)
    texts = list(problem.test_sources.values())
    top = max((place.score for place in problem.context.locations), default=0.0)
    clues = _Clues(
        frames(said, program),
        frozenset(names_in("\n".join([problem.issue, *texts]))),
        [(place, math.exp((place.score - top) / 2)) for place in problem.context.locations[:20]],
        nearness(problem.root, program, problem.targets.tests),
        coverage,
    )
    ranked = sorted(program.paths, key=lambda path: (-_of_file(path, clues), path))
    found = []
    for path in ranked[:MOST_FILES]:
        if problem.should_stop():
            break
        text = program.get(path)
        functions = outline(program.syntax(path).name, text) if text is not None else None
        if text is not None and functions is not None:
            found.append(_in_file(path, text, functions, clues))
    return sorted(found, key=lambda file: (-file.top, file.path))


def _of_file(path: str, clues: _Clues) -> float:
    score = clues.near.get(path, 0.0)
    score += 1.0 * any(place == path for place, _ in clues.frames)
    score += max((weight for place, weight in clues.places if place.path == path), default=0.0)
    if clues.coverage is not None:
        score += any(path in run for run in clues.coverage.failing)
    return score


def _in_file(path: str, text: str, functions: Sequence[tuple[str, int, int]], clues: _Clues) -> SuspectFile:
    spectrum = _spectrum(path, clues.coverage)
    base = _NEAR * clues.near.get(path, 0.0)
    count = text.count("\n") + 1
    scores = dict.fromkeys(range(1, count + 1), base)
    reasons: dict[int, list[Reason]] = {}
    symbols: dict[int, str] = {}

    def add(first: int, last: int, signal: str, detail: str, amount: float) -> None:
        for line in range(first, min(last, count) + 1):
            known = next((one for one in reasons.get(line, ()) if one.signal == signal), None)
            if known is not None and known.contribution >= amount:
                continue
            reasons.setdefault(line, [])
            if known is not None:
                reasons[line].remove(known)
                scores[line] -= known.contribution
            reasons[line].append(Reason(signal=signal, detail=detail, contribution=round(amount, 4)))
            scores[line] += round(amount, 4)

    for name, first, last in functions:
        for line in range(first, min(last, count) + 1):
            symbols[line] = name or symbols.get(line, "")
        if name in clues.names and len(name) > 2:
            add(first, last, "named", f"the task or its tests name {name}", _NAMED)
        for (place, line), weight in clues.frames.items():
            if place == path and first <= line <= last and last - first < 200:
                add(first, last, "frame around", "its function is on the stack", _AROUND * weight)
    for (place, line), weight in clues.frames.items():
        if place == path:
            add(line, line, "frame", "it is on the stack of the failure", _FRAME * weight)
    for location, weight in clues.places:
        if location.path == path:
            add(location.start_line, location.end_line, "context", "the index found it for the task", _CONTEXT * weight)
    if spectrum is not None:
        for line in scores:
            if (value := spectrum.get(line, 0.0)) > 0:
                add(line, line, "coverage", f"failing tests execute it (Ochiai {value:.2f})", _COVERED * value)
            else:
                scores[line] *= _NOT_EXECUTED
    best = sorted(scores, key=lambda line: (-scores[line], line))[:MOST_LINES]
    return SuspectFile(
        path,
        {line: scores[line] for line in sorted(best) if scores[line] > 0},
        symbols,
        {line: tuple(found) for line, found in reasons.items()},
    )


def _spectrum(path: str, coverage: Coverage | None) -> dict[int, float] | None:
    """Ochiai of each line that failing tests execute; None when it is not known of this file."""
    if coverage is None or not any(path in run for run in coverage.failing):
        return None
    failing = len(coverage.failing)
    lines = {line for run in coverage.failing for line in run.get(path, ())}
    found = {}
    for line in lines:
        ef = sum(line in run.get(path, ()) for run in coverage.failing)
        ep = sum(line in run.get(path, ()) for run in coverage.passing)
        found[line] = ochiai(ef, ep, failing)
    return found
