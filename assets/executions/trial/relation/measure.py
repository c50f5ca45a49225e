"""The score of a failing test for a task: what both share, each thing by how rare it is, compared with other tests.

Every shared term counts with its information (minus the logarithm of its probability in a random test) times weights
for its places; the sum is damped, so that many common words never add up to one rare thing. A test that matches less
than the best of the tests that pass loses points: then the task is about what those test. Names of tests, and requests
for failing tests as such, decide by themselves.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from assets.executions.repository.protected_paths import is_test_path
from core.work import Relation, TaskText

from .facts import Corpus, Profile, TestFacts
from .reported import Match, Reported
from .requests import failing_tests_request, names_test
from .terms import MOST_TEXT, Term, Text, operations, root, roots, written_names

THRESHOLD = 6.0
PLAUSIBLE = 4.5
"""Below `THRESHOLD`, a patch is a draft; below `PLAUSIBLE`, a test is no target. docs/gate.md has the error rates:
other problems of the same project are not told apart well."""
_JUST_BELOW = THRESHOLD - 0.01
_DAMPING = 0.85
_TITLE, _BODY, _NAME, _QUOTED = 1.4, 1.0, 1.2, 1.4
_COVERED = 12.0
"""Points for a test that has everything that the task says."""
_BEHIND, _ABSENT, _CROWD = 0.8, 0.5, 1.5
_TOP = 0.05
NAMED = 3.0
"""A test that the task names has this many times the threshold."""
_CALLED, _SMALL = 8.0, 12
"""Points for a call of what the task writes as code, when no other test passes; they vanish with `_SMALL` of them.
Rarity says nothing in a small repository, where every test calls the one function there is."""
_MOST_TOGETHER = 4
"""Failing tests that are scored together."""
_LEAST_TOGETHER, _OTHER = 1.0, 1.2
"""What a test must reach alone to be scored with others, and what each other one costs."""


@dataclass(frozen=True)
class _Measured:
    """What a test, with others, shares with the task. `away` are points that it loses; `first` is shown first."""

    test: str
    first: tuple[Match, ...]
    matches: tuple[Match, ...]
    away: float
    others: tuple[str, ...] = ()

    def with_matches(self, other: "_Measured") -> "_Measured":
        """This test with what another one shares."""
        matches = tuple(_independent([*self.matches, *other.matches]))
        return replace(self, matches=matches, away=self.away + _OTHER, others=(*self.others, other.test))


@dataclass(frozen=True)
class Companions:
    """Tests that are only together about a task: `test` is the best of them, `alone` its relation without the
    `others`."""

    test: str
    others: tuple[str, ...]
    alone: Relation


class TaskMeasure:
    """Measures failing tests against one task."""

    def __init__(self, task: TaskText, corpus: Corpus) -> None:
        self._task, self._corpus = task, corpus
        text = task.text[:MOST_TEXT]
        self._request = failing_tests_request(task)
        self._reported = Reported(text)
        self._values = Text(text)
        self._words = _spellings(text)
        self._terms = _terms(task)
        self._known: dict[Term, float] = {}
        self._said = _damped([Match(self._points(term), "") for term in self._terms])
        self._background = sorted(_damped(self._shared(profile)) for profile in corpus.profiles)

    def relation(self, test: TestFacts) -> Relation:
        """Whether a failing test represents the task, and why."""
        return self.relations([test])[test.id]

    def relations(self, tests: Iterable[TestFacts]) -> dict[str, Relation]:
        """Whether each of several failing tests represents the task, and why, by its id.

        A task may describe a problem that several tests show together, each a part of it. The best test is therefore
        scored with what the next best ones add as well, which counts when it is more than what each of them costs.
        """
        return self.measured(tests)[0]

    def measured(self, tests: Iterable[TestFacts]) -> tuple[dict[str, Relation], Companions | None]:
        """As `relations`, with the tests on which the best relation rests where the best test alone does not reach the
        same bound; None where it does."""
        found: dict[str, Relation] = {}
        measured: list[_Measured] = []
        for test in tests:
            if named := names_test(self._task, test):
                found[test.id] = self._decided(f"the task names the test `{named}`")
            elif self._request is not None and self._request.means(test):
                found[test.id] = self._decided(f'the task asks for the failing tests: "{self._request.shown}"')
            else:
                measured.append(self._measured(test))
                found[test.id] = self._relation(measured[-1])
        measured.sort(key=lambda one: -self._score(one))
        if measured:
            together = best = measured[0]
            for other in measured[1:_MOST_TOGETHER]:
                if self._score(other) >= _LEAST_TOGETHER:
                    together = together.with_matches(other)
                    if self._score(together) > self._score(best):
                        best = together
            alone, found[best.test] = found[best.test], self._relation(best)
            if _bounds(found[best.test]) > _bounds(alone):
                return found, Companions(best.test, best.others, alone)
        return found, None

    def _measured(self, test: TestFacts) -> "_Measured":
        profile = self._corpus.failing_profile(test)
        matches = _independent([*self._shared(profile), *self._reported.matches(test, self._corpus.information)])
        behind = self._best_of_background() - _damped(self._shared(self._corpus.profile(test)))
        called = self._called(test)
        small = _CALLED * max(0.0, 1.0 - len(self._background) / _SMALL) if called else 0.0
        first = [Match(small, f"the task names `{called}`, which the failing test calls")] if small else []
        away = _BEHIND * max(0.0, behind) + _ABSENT * self._absent(profile) - small
        return _Measured(test.id, tuple(first), tuple(matches), away)

    def _score(self, one: "_Measured") -> float:
        """The score, which weak matches raise to the bound of a draft only."""
        score = self._sum(one, one.matches)
        if score < THRESHOLD or not any(match.weak for match in one.matches):
            return score
        return max(_JUST_BELOW, self._sum(one, [match for match in one.matches if not match.weak]))

    def _sum(self, one: "_Measured", matches: Sequence[Match]) -> float:
        points = _damped(matches)
        covered = _COVERED * min(1.0, points / max(self._said, 1.0))
        return points + covered - one.away - _CROWD * math.log(len(self._background) + 5)

    def _relation(self, one: "_Measured") -> Relation:
        score = self._score(one)
        return Relation(
            related=score >= PLAUSIBLE,
            score=round(score, 2),
            threshold=THRESHOLD,
            shared=_phrases([*one.first, *one.matches]),
        )

    def _called(self, test: TestFacts) -> str:
        """A function or class of the program that the task writes as code, and that the test's source calls or the
        failure occurred in; empty if there is none."""
        called = set(re.findall(r"\b(\w+)\s*\(", test.source))
        called |= {frame[2] for failure in test.failures[:3] for frame in failure.frames if not is_test_path(frame[0])}
        written = [t for t in self._terms if t.kind == "name" and t.text in self._corpus.callables and t.text in called]
        return str(max(written, key=lambda t: (self._points(t), t.text)).text) if written else ""

    def _absent(self, profile: Profile) -> float:
        """Points of the program's names that the task writes and the test lacks, beyond those that it has."""
        written = [term for term in self._terms if term.kind == "name" and term.text in self._corpus.defined]
        missing = sum(self._points(term) for term in written if term not in profile)
        return max(0.0, missing - sum(self._points(term) for term in written if term in profile))

    def _decided(self, why: str) -> Relation:
        return Relation(related=True, score=NAMED * THRESHOLD, threshold=THRESHOLD, shared=(why,))

    def _best_of_background(self) -> float:
        count = len(self._background)
        return self._background[-1 - int(_TOP * count)] if count else 0.0

    def _shared(self, profile: Profile) -> list[Match]:
        """What the task shares with a test's profile."""
        found: list[Match] = []
        for term, weight in profile.items():
            points = weight * self._points(term)
            if points > 0.05:
                found.append(Match(points, self._phrase(term), _roots_of(term)))
        return _independent(found)

    def _points(self, term: Term) -> float:
        """What a term is worth: 0 when the task does not have it."""
        if term not in self._known:
            if term.kind == "value":
                shown = _QUOTED if self._values.quotes(term.text) else _BODY
                emphasis = shown if self._values.shows(term.text) else 0.0
            else:
                emphasis = self._terms.get(term, 0.0)
            self._known[term] = emphasis * self._corpus.information(term) if emphasis else 0.0
        return self._known[term]

    def _phrase(self, term: Term) -> str:
        if term.kind == "value":
            return f"both use the value {term.text!r:.60}"
        if term.kind == "name":
            return f"the task names `{term.text}`"
        if term.kind == "operation":
            return f"both use the operator `{term.text}`"
        return f'both speak of "{self._words.get(str(term.text), term.text)}"'


def _terms(task: TaskText) -> Mapping[Term, float]:
    """The task's words and names with their emphasis."""
    found = {Term("word", word): _BODY for word in roots(task.body)}
    found |= {Term("word", word): _TITLE for word in roots(task.title)}
    found |= {Term("operation", sign): _NAME for sign in operations(task.text)}
    return found | {Term("name", name): _NAME for name in written_names(task.text)}


def _spellings(text: str) -> dict[str, str]:
    """The first spelling of each root in a text."""
    found: dict[str, str] = {}
    for word in re.findall(r"[A-Za-z]+|[^\W\dA-Za-z_]+", text):
        found.setdefault(root(word.lower()), word.lower())
    return found


def _bounds(relation: Relation) -> int:
    """How many of the two bounds a relation reaches."""
    return relation.related + (relation.score >= relation.threshold)


@lru_cache(maxsize=100_000)
def _roots_of(term: Term) -> frozenset[str]:
    return frozenset({str(term.text)}) if term.kind == "word" else roots(str(term.text))


def _independent(matches: Iterable[Match]) -> list[Match]:
    """The strongest matches first, without those whose words stronger ones hold already."""
    held: set[str] = set()
    kept = []
    for match in sorted(matches, key=lambda match: (-match.points, match.phrase)):
        if not match.roots or not match.roots <= held:
            kept.append(match)
            held |= match.roots
    return kept


def _damped(matches: Sequence[Match]) -> float:
    """The sum of points, each counting less than the stronger ones."""
    ordered = sorted((match.points for match in matches), reverse=True)
    return sum(points * _DAMPING**number for number, points in enumerate(ordered))


def _phrases(matches: Sequence[Match]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(match.phrase for match in matches if match.points >= 0.8))[:6]
