"""The engine `search` for other languages than Python: the same search, with candidates tried by their own runner.

Files wait in the order of their most suspicious line and are read only when one of their edits could be next. Each
candidate costs a run of the failing tests, so the order matters more here than how many can be tried.
"""

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count as counter

from assets.executions.engines.protocol import Candidate, FileChange, Observation, Problem
from assets.executions.engines.search.source import Edit, apply_edits
from assets.executions.tokenizer import identifiers
from core.work import ModelUse

from .failures import messages, read_hints
from .files import ProgramFiles
from .isolated import proposed
from .localise import NativeSuspect, SuspectFile, localise
from .operators.base import Proposal

_BOUND = 1.3
"""An operator's boosted weight is rarely higher."""
_PAIRS = 12
_COMBINED = 0.3
_MOST_SUSPECTS = 400


@dataclass(frozen=True)
class NativeCandidate(Candidate):
    """A candidate as new texts of its files, with the edits that made them."""

    pieces: tuple[Edit, ...] = ()


_Waiting = tuple[tuple[Edit, ...], str, float, float, str, int, tuple[Candidate, ...]]
"""Edits, operator, priority, weight, path, line and parents of a candidate that is not made yet."""


class NativeSearch:
    name = "search"
    deliberate = False
    any_language = False
    ending = "every candidate that the operators proposed was tried"
    use: ModelUse | None = None

    def __init__(self, families: Collection[str] | None = None) -> None:
        self._families = None if families is None else frozenset(families)
        self.suspects: list[NativeSuspect] = []
        self.generated = 0
        self.faults: list[str] = []
        self.notes: list[str] = []

    def start(self, problem: Problem) -> "NativeSearch":
        search = NativeSearch(self._families)
        search._load(problem)
        return search

    def _load(self, problem: Problem) -> None:
        self._problem = problem
        self._program = ProgramFiles(problem.root, problem.suffixes, problem.refusal)
        said = messages(problem.baseline, problem.targets.tests)
        self._hints = read_hints(problem.issue, list(problem.test_sources.values())[:20], said)
        coverage = problem.cover() if problem.cover is not None else None
        self._files = localise(problem, self._program, coverage)
        found = [suspect for file in self._files for suspect in file.suspects()]
        found.sort(key=lambda one: (-one.score, one.path, one.line))
        self.suspects = found[:_MOST_SUSPECTS]
        self._top = found[0].score if found else 1.0
        self._next = 0
        self._heap: list[tuple[float, int, _Waiting]] = []
        self._order = counter()
        self._seen: set[tuple[Edit, ...]] = set()
        self._progress: list[tuple[float, NativeCandidate]] = []
        self._heard = problem.already

    def propose(self, count: int) -> list[Candidate]:
        self._hear()
        found: list[Candidate] = []
        while len(found) < count and not self._problem.should_stop():
            while self._next < len(self._files) and (
                not self._heap or -self._heap[0][0] < self._files[self._next].top / self._top * _BOUND
            ):
                self._expand(self._files[self._next])
                self._next += 1
            if not self._heap:
                break
            made = self._made(heapq.heappop(self._heap)[2])
            if made is not None:
                found.append(made)
        return found

    def _hear(self) -> None:
        """Makes the lines and functions that people have named since the last call as suspicious as the most suspicious
        line."""
        spoken = self._problem.spoken()
        for one in spoken[self._heard :]:
            names = identifiers(one.text)
            named = {
                file.path: {
                    line
                    for line in file.lines
                    if any(p.path == file.path and p.start_line <= line <= p.end_line for p in one.places)
                    or file.symbols.get(line, "").rpartition(".")[2] in names
                }
                for file in self._files
            }
            for file in self._files:
                file.lines.update(dict.fromkeys(named[file.path], self._top))
            self._files[self._next :] = sorted(self._files[self._next :], key=lambda file: -file.top)
            self._heap = [
                (-held[3] if held[5] in named.get(held[4], ()) and not held[6] else rank, number, held)
                for rank, number, held in self._heap
            ]
            heapq.heapify(self._heap)
        self._heard = len(spoken)

    def _expand(self, file: SuspectFile) -> None:
        text = self._program[file.path]
        syntax = self._program.syntax(file.path)
        edits = proposed(syntax.name, text, self._hints, self._families, list(file.lines))
        if edits is None:
            self.faults.append(f"{file.path}: its edits could not be listed")
            return
        at = _Offsets(text)
        for one in edits:
            edit = Edit(file.path, at[one.start], at[one.end], one.text)
            self._push((edit,), one, file.lines.get(one.line, 0.0) / self._top, file.path)

    def _push(self, edits: tuple[Edit, ...], one: Proposal, suspicion: float, path: str) -> None:
        self._add((edits, one.operator, suspicion * one.weight, one.weight, path, one.line, ()))

    def _add(self, waiting: _Waiting) -> None:
        if waiting[0] in self._seen:
            return
        self._seen.add(waiting[0])
        self.generated += 1
        heapq.heappush(self._heap, (-waiting[2], next(self._order), waiting))

    def _made(self, waiting: _Waiting) -> NativeCandidate | None:
        edits, operator, priority, weight, path, line, parents = waiting
        changes = []
        for changed in dict.fromkeys(edit.path for edit in edits):
            before = self._program[changed]
            try:
                after = apply_edits(before, tuple(edit for edit in edits if edit.path == changed))
            except ValueError:
                return None
            changes.append(FileChange(changed, before, after))
        return NativeCandidate((), operator, priority, weight, path, line, parents, tuple(changes), pieces=edits)

    def observe(self, observations: list[Observation]) -> None:
        for observation in observations:
            candidate = observation.candidate
            if not isinstance(candidate, NativeCandidate) or candidate.parents:
                continue
            if observation.status in ("regress", "rejected"):
                self._progress.append((0.5, candidate))
            elif observation.status == "fail" and observation.passed:
                self._progress.append((1.0 + len(observation.passed), candidate))
        self._progress.sort(key=lambda item: (-item[0], -item[1].priority))
        del self._progress[_PAIRS:]
        for number, (gain, one) in enumerate(self._progress):
            for _, other in self._progress[number + 1 :]:
                self._pair(one, other, gain)

    def _pair(self, one: NativeCandidate, other: NativeCandidate, gain: float) -> None:
        """Adds two candidates that make progress as one."""
        if _overlap(one.pieces, other.pieces):
            return
        edits = tuple(sorted((*one.pieces, *other.pieces), key=lambda edit: (edit.path, edit.start, edit.end)))
        operator = one.operator if one.operator == other.operator else f"{one.operator}+{other.operator}"
        priority = max(one.priority, other.priority) * min(1.0, gain) * _COMBINED
        weight = min(one.weight, other.weight) * _COMBINED
        self._add((edits, operator, priority, weight, one.path, one.line, (one, other)))


class _Offsets:
    """From bytes of a file's UTF-8 to characters."""

    def __init__(self, text: str) -> None:
        self._data = b"" if text.isascii() else text.encode()

    def __getitem__(self, at: int) -> int:
        return len(self._data[:at].decode("utf-8", "ignore")) if self._data else at


def _overlap(one: tuple[Edit, ...], other: tuple[Edit, ...]) -> bool:
    return any(
        a.path == b.path and a.start < max(b.end, b.start + 1) and b.start < max(a.end, a.start + 1)
        for a in one
        for b in other
    )
