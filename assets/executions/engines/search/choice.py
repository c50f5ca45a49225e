"""Which of several survivors to prefer: the one that a maintainer would most likely have written.

All of them make the failing tests pass. Their order is an estimate of likelihood: the operator's prior, how well the
new code fits the project's idioms, and the doubts that the edit's text raises. It does not depend on the order in which
survivors were found. `python -m tests.bench.choice` measures it.
"""

import difflib
import re
import weakref

from assets.executions.engines.protocol import Candidate, Problem
from assets.executions.engines.search.source import Edit, apply_edits
from assets.executions.judging.edits.doubts import static_doubts
from assets.executions.judging.edits.idioms import Idioms, tokens
from assets.executions.tokenizer import identifiers

_BITS = 15.0
"""Surprising code is half as likely for each of this many bits of surprise."""
_USUAL_BITS = 25.0
"""An edit of this surprise keeps its operator's prior as its value."""
_ONLY_REMOVES = 0.5
"""Code that is removed surprises nobody, so its removal needs a price of its own."""
_COMBINED = 0.6
_DOUBTED = {"draft": 0.1, "fail": 0.01}
_MOST_LINES = 5_000
"""A changed file with more lines is compared as a whole."""


def naturalness(candidate: Candidate, problem: Problem) -> float:
    """Higher is better; comparable only between survivors of one problem."""
    return _ranking(problem).value(candidate)


def only_removes(candidate: Candidate, problem: Problem) -> bool:
    """Whether a candidate's new code is the old one without a part of it."""
    return _ranking(problem).only_removes(candidate)


class Ranking:
    """The order of one problem's survivors. Counting the project's idioms takes a fraction of a second, values are
    remembered."""

    def __init__(self, problem: Problem) -> None:
        self._issue, self._tests, self._sources = problem.issue, problem.test_sources, problem.sources
        self._names = identifiers(problem.issue)
        self._idioms: dict[tuple[str, ...], Idioms] = {}
        self._values: dict[Candidate, float] = {}

    def value(self, candidate: Candidate) -> float:
        if candidate not in self._values:
            self._values[candidate] = self._value(candidate)
        return self._values[candidate]

    def only_removes(self, candidate: Candidate) -> bool:
        return all(_only_removes(old, new) for old, new in self._regions(candidate))

    def _value(self, candidate: Candidate) -> float:
        regions = self._regions(candidate)
        idioms = self._idioms_near(candidate)
        value = (candidate.weight * candidate.priority) ** 0.5
        value *= 2.0 ** ((_USUAL_BITS - sum(idioms.surprise_of_change(old, new) for old, new in regions)) / _BITS)
        if all(_only_removes(old, new) for old, new in regions):
            value *= _ONLY_REMOVES
        if candidate.parents:
            value *= _COMBINED
        before, after = candidate.before(self._sources), candidate.files(self._sources)
        for doubt in static_doubts(before, after, self._issue, self._tests, self._sources):
            value *= _DOUBTED[doubt.severity]
        fresh = set().union(*(_names(new) - _names(old) for old, new in regions))
        value *= 1.0 + 0.15 * min(2, len(fresh & self._names))
        return float(value)

    def _idioms_near(self, candidate: Candidate) -> Idioms:
        """The idioms of the project, those of the changed files first."""
        paths = tuple(sorted(candidate.before(self._sources)))
        if paths not in self._idioms:
            self._idioms[paths] = Idioms.of(self._sources, paths)
        return self._idioms[paths]

    def _regions(self, candidate: Candidate) -> list[tuple[str, str]]:
        """The changed lines before and after, one pair for each place."""
        found: list[tuple[str, str]] = []
        by_path: dict[str, list[Edit]] = {}
        for edit in sorted(candidate.edits, key=lambda e: (e.path, e.start, e.end)):
            by_path.setdefault(edit.path, []).append(edit)
        for path, edits in by_path.items():
            text = self._sources[path].text
            groups: list[tuple[int, int, list[Edit]]] = []
            for edit in edits:
                start = text.rfind("\n", 0, edit.start) + 1
                end = text.find("\n", max(edit.start, edit.end - 1)) + 1 or len(text)
                if groups and start < groups[-1][1]:
                    groups[-1] = (groups[-1][0], max(end, groups[-1][1]), [*groups[-1][2], edit])
                else:
                    groups.append((start, end, [edit]))
            for start, end, own in groups:
                moved = tuple(Edit(path, e.start - start, e.end - start, e.text) for e in own)
                found.append((text[start:end], apply_edits(text[start:end], moved)))
        for change in candidate.whole:
            found += _line_regions(change.before or "", change.after or "")
        return found


_last: list[tuple["weakref.ref[Problem]", Ranking]] = []


def _ranking(problem: Problem) -> Ranking:
    """The ranking of the problem that was ranked last is kept."""
    if not _last or _last[0][0]() is not problem:
        _last[:] = [(weakref.ref(problem), Ranking(problem))]
    return _last[0][1]


def _line_regions(before: str, after: str) -> list[tuple[str, str]]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > _MOST_LINES:
        return [(before, after)]
    matched = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [("".join(old[a:b]), "".join(new[c:d])) for tag, a, b, c, d in matched if tag != "equal"]


def _only_removes(before: str, after: str) -> bool:
    """Whether the new tokens are the old ones without some of them."""
    old, new = ([piece for piece in tokens(text) if piece != "\n"] for text in (before, after))
    rest = iter(old)
    return len(new) < len(old) and all(piece in rest for piece in new)


def _names(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w+", text))
