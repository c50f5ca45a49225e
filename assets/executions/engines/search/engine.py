"""The engine `search`: generate and validate, without a model. `native` does the same for other languages.

Statements are ordered by suspicion, operators by their priors. Candidates wait in a heap, and a statement is
expanded only when one of its edits could be next. Edits that make partial progress are combined with each
other, and repeated at other places of their file.
"""

import ast
import heapq
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count as counter

from assets.executions.engines.protocol import Candidate, FileChange, Observation, Problem
from core.work import ModelUse

from .likelihood import learned
from .native.engine import NativeSearch
from .operators import Site, proposals
from .operators.index import ProjectIndex
from .operators.syntaxes import repairs
from .source import Edit, SourceFile
from .spectrum import Suspect, rank
from .symptoms import Symptoms, read_symptoms

_BOUND = 1.6
"""An operator's boosted weight is rarely higher."""
_PAIRS = 40
_INDEXED_CHARACTERS = 400_000


class Search:
    name = "search"
    deliberate = False
    any_language = False
    ending = "every candidate that the operators proposed was tried"
    use: ModelUse | None = None

    def __init__(self, families: Collection[str] | None = None) -> None:
        """Uses the operators of `families`, all by default. Files that do not parse are repaired in any case."""
        self._families = None if families is None else frozenset(families)
        self._likelihood = learned()
        self.suspects: list[Suspect] = []
        self.symptoms = Symptoms()
        self.generated = 0
        self.faults: list[str] = []
        self.notes: list[str] = []

    def start(self, problem: Problem) -> "Search | NativeSearch":
        if problem.language != "Python":
            return NativeSearch(self._families).start(problem)
        search = Search(self._families)
        search._load(problem)
        return search

    def _load(self, problem: Problem) -> None:
        self._problem = problem
        self.suspects = rank(
            problem.baseline, problem.targets.tests, problem.context, problem.issue, problem.sources.get
        )
        failures = [f for test in problem.targets.tests[:20] for f in problem.baseline.failures.get(test, ())]
        self.symptoms = read_symptoms(failures, list(problem.test_sources.values())[:20], problem.issue)
        paths = dict.fromkeys(s.source.path for s in self.suspects)
        self._index = ProjectIndex(_nearby(problem, list(paths)))
        self.faults = self._index.faults
        self._next = 0
        self._heap: list[tuple[float, int, Candidate]] = []
        self._order = counter()
        self._seen: set[tuple[Edit | FileChange, ...]] = set()
        self._top = self.suspects[0].score if self.suspects else 1.0
        self._repair_syntax(problem)
        self._baseline_signature = {
            i: f[0].signature[:300]
            for i, t in enumerate(problem.targets.tests)
            if (f := problem.baseline.failures.get(t, ()))
        }
        self._progress: list[tuple[float, Candidate]] = []
        self._heard = problem.already
        self._paired: set[tuple[int, int]] = set()

    def _repair_syntax(self, problem: Problem) -> None:
        """A file that does not parse comes before everything else: nothing that imports it can run."""
        named = {
            frame[0] for t in problem.targets.tests for f in problem.baseline.failures.get(t, ()) for frame in f.frames
        }
        for path in sorted(named):
            source = problem.sources.get(path)
            if source is None or source.syntax_error is None:
                continue
            line = source.syntax_error.lineno or 1
            place = ast.Pass(lineno=line, col_offset=0, end_lineno=line, end_col_offset=0)
            self.suspects.insert(0, Suspect(source, place, max(1.0, self._top), executed=True))
            self._top = self.suspects[0].score
            for proposal in repairs(source):
                self._push(Candidate(proposal.edits, proposal.operator, proposal.weight, proposal.weight, path, line))

    def propose(self, count: int) -> list[Candidate]:
        self._hear()
        found: list[Candidate] = []
        while len(found) < count and not self._problem.should_stop():
            while self._next < len(self.suspects) and (
                not self._heap or -self._heap[0][0] < self._relative(self.suspects[self._next]) * _BOUND
            ):
                self._expand(self.suspects[self._next])
                self._next += 1
            if not self._heap:
                break
            found.append(heapq.heappop(self._heap)[2])
        return found

    def _hear(self) -> None:
        """Looks first at the places that people have named since the last call."""
        spoken = self._problem.spoken()
        for one in spoken[self._heard :]:
            lines: dict[str, set[int]] = {}
            for place in one.places:
                lines.setdefault(place.path, set()).update(range(place.start_line, place.end_line + 1))
            self.suspect(lines)
        self._heard = len(spoken)

    def put_back(self, candidates: list[Candidate]) -> None:
        """Takes back candidates that were proposed and are not tried."""
        for candidate in candidates:
            heapq.heappush(self._heap, (-candidate.priority, next(self._order), candidate))

    def suspect(self, lines: Mapping[str, Collection[int]]) -> int:
        """Makes the statements that begin on these lines, by path, as suspicious as the most suspicious one; edits
        there that were not proposed yet come earlier. Returns how many statements that are."""
        named = {(path, line) for path, numbers in lines.items() for line in numbers}
        before = {(s.source.path, s.statement.lineno): self._relative(s) for s in self.suspects}
        for suspect in self.suspects:
            if (suspect.source.path, suspect.statement.lineno) in named:
                suspect.score = max(suspect.score, self._top)
        added = [
            Suspect(source, statement, self._top, executed=False)
            for path, line in sorted(named - set(before))
            if (source := self._problem.sources.get(path)) is not None
            for statement in source.statements.get(line, ())
        ]
        waiting = [*self.suspects[self._next :], *added]
        self.suspects[self._next :] = sorted(waiting, key=lambda s: (-s.score, s.source.path, s.statement.lineno))
        heap = []
        for _, number, candidate in self._heap:
            place, now = (candidate.path, candidate.line), candidate
            if place in named and 0 < (was := before.get(place, 1.0)) < 1:
                now = replace(candidate, priority=candidate.priority / was)
            heap.append((-now.priority, number, now))
        self._heap = heap
        heapq.heapify(self._heap)
        return sum((s.source.path, s.statement.lineno) in named for s in self.suspects)

    def _relative(self, suspect: Suspect) -> float:
        return suspect.score / self._top

    def _expand(self, suspect: Suspect) -> None:
        if suspect.source.syntax_error is not None:
            return
        site = Site(suspect.source, suspect.statement, self._index, self.symptoms)
        relative, kind, text = self._relative(suspect), type(suspect.statement).__name__, suspect.source.text
        for proposal in proposals(site, self._families):
            old = " ".join(text[edit.start : edit.end] for edit in proposal.edits)
            new = " ".join(edit.text for edit in proposal.edits)
            weight = self._likelihood.weigh(proposal.operator, proposal.weight, kind, old, new)
            priority = relative * min(weight, _BOUND)
            self._push(
                Candidate(
                    proposal.edits,
                    proposal.operator,
                    priority,
                    proposal.weight,
                    suspect.source.path,
                    suspect.statement.lineno,
                )
            )

    def _push(self, candidate: Candidate) -> None:
        key = candidate.key
        if key in self._seen or self._changes_nothing(candidate):
            return
        self._seen.add(key)
        self.generated += 1
        heapq.heappush(self._heap, (-candidate.priority, next(self._order), candidate))

    def _changes_nothing(self, candidate: Candidate) -> bool:
        for edit in candidate.edits:
            text = self._problem.sources[edit.path].text
            if edit.end - edit.start != len(edit.text) or text[edit.start : edit.end] != edit.text:
                return False
        return True

    def observe(self, observations: list[Observation]) -> None:
        for observation in observations:
            gain = self._gain(observation)
            if gain > 0 and len(observation.candidate.parents) < 2:
                self._progress.append((gain, observation.candidate))
                self._same_elsewhere(observation.candidate, gain)
        if self._progress:
            self._progress.sort(key=lambda item: (-item[0], -item[1].priority))
            del self._progress[_PAIRS:]
            self._pair()

    def _gain(self, observation: Observation) -> float:
        """The progress of a candidate that is not a fix: more targets pass, or the failure is a later one."""
        if observation.status in ("regress", "rejected"):
            return 0.5
        if observation.status != "fail":
            return 0.0
        if observation.passed:
            return 1.0 + len(observation.passed)
        before = self._baseline_signature.get(0, "")
        if observation.signature and before and observation.signature != before:
            kind, was = observation.signature.split("|", 1)[0], before.split("|", 1)[0]
            if was not in ("AssertionError", "Failed") and kind == "AssertionError":
                return 0.8
            if kind == "AssertionError" and was == kind:
                return 0.15
        return 0.0

    def _same_elsewhere(self, candidate: Candidate, gain: float) -> None:
        """Adds candidates with the same textual change at one other place of the file, and at all its places."""
        if len(candidate.edits) != 1 or gain < 0.5:
            return
        (edit,) = candidate.edits
        source = self._problem.sources[edit.path]
        old = source.text[edit.start : edit.end]
        if not old.strip() or len(old) > 60 or not edit.text.strip():
            return
        places = _occurrences(source, old)
        others = [at for at in places if at != edit.start]
        for at in others[:12]:
            both = (edit, Edit(edit.path, at, at + len(old), edit.text))
            self._push(self._combined(both, candidate, candidate, 0.8))
        if 2 <= len(others) <= 8:
            every = tuple(Edit(edit.path, at, at + len(old), edit.text) for at in places)
            self._push(self._combined(every, candidate, candidate, 0.5))

    def _pair(self) -> None:
        best = self._progress[:12]
        for i, (gain, one) in enumerate(best):
            for other_gain, other in best[i + 1 :]:
                pair = (id(one), id(other))
                if pair in self._paired or one.parents or other.parents:
                    continue
                self._paired.add(pair)
                if one.path == other.path and _overlap(one.edits, other.edits):
                    continue
                self._push(
                    self._combined((*one.edits, *other.edits), one, other, 0.3 * min(1.0, max(gain, other_gain)))
                )

    def _combined(self, edits: tuple[Edit, ...], one: Candidate, other: Candidate, factor: float) -> Candidate:
        priority = max(one.priority, other.priority) * factor
        operator = one.operator if one.operator == other.operator else f"{one.operator}+{other.operator}"
        weight = min(one.weight, other.weight) * factor
        return Candidate(edits, operator, priority, weight, one.path, one.line, (one, other))


def _nearby(problem: Problem, first: list[str]) -> list[SourceFile]:
    """The suspicious files, then others, those in the same folders first, up to `_INDEXED_CHARACTERS`."""
    folders = {path.rpartition("/")[0] for path in first}
    others = sorted(
        (p for p in problem.sources if p not in first), key=lambda p: (p.rpartition("/")[0] not in folders, p)
    )
    found: list[SourceFile] = []
    size = 0
    for path in (*first, *others):
        source = problem.sources.get(path)
        if source is not None:
            found.append(source)
            size += len(source.text)
        if size > _INDEXED_CHARACTERS:
            break
    return found


def _occurrences(source: SourceFile, text: str) -> list[int]:
    found: list[int] = []
    at = source.text.find(text)
    while at >= 0 and len(found) < 50:
        before, after = source.text[at - 1 : at], source.text[at + len(text) : at + len(text) + 1]
        if not (text[0].isidentifier() and (before.isidentifier() or before.isdigit())) and not (
            text[-1].isidentifier() and (after.isidentifier() or after.isdigit())
        ):
            found.append(at)
        at = source.text.find(text, at + 1)
    return found


def _overlap(one: tuple[Edit, ...], other: tuple[Edit, ...]) -> bool:
    return any(
        a.path == b.path and a.start < max(b.end, b.start + 1) and b.start < max(a.end, a.start + 1)
        for a in one
        for b in other
    )
