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
from typing import NamedTuple

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.baseline import Failure
from core.work import Relation, TaskText

from .facts import Corpus, Profile, TestFacts
from .requests import failing_tests_request, names_test
from .terms import MOST_TEXT, Term, Text, operations, root, roots, written_names

THRESHOLD = 6.0
PLAUSIBLE = 4.5
"""Below `THRESHOLD`, a patch is a draft; below `PLAUSIBLE`, a test is no target. docs/gate.md has the error rates:
other problems of the same project are not told apart well."""
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
_FILE, _FRAME, _MESSAGE, _HANG = 6.0, 6.0, 6.0, 4.0
_MOST_TOGETHER = 4
"""Failing tests that are scored together."""
_LEAST_TOGETHER, _OTHER = 1.0, 1.2
"""What a test must reach alone to be scored with others, and what each other one costs."""
_MOST_PLACES = 400
"""Files that a task names."""
_HANGS = re.compile(
    r"\b(?:hang(?:s|ing)?|hung|freez(?:e|es|ing)|froze|endless(?:ly)?|forever|infinite(?:ly)?|never (?:return|end|stop|"
    r"finish|terminat|come)\w*|stuck|deadlock\w*|time[sd]? ?out|timeout|does(?:n't| not) (?:return|end|stop|finish|"
    r"terminate)|blocks|unresponsive|loops)\b",
    re.IGNORECASE,
)
_FRAME_LINE = re.compile(r'File "([^"\n]{1,300})", line (\d{1,7})(?:, in ([\w<>.]{1,100}))?')
_FILE_NAME = re.compile(r"[\w./-]{1,200}\.py\b")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


class Match(NamedTuple):
    """Something shared: its points, a phrase that names it, and the roots of its words."""

    points: float
    phrase: str
    roots: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Measured:
    """What a test, with others, shares with the task. `away` are points that it loses; `first` is shown first."""

    test: str
    first: tuple[Match, ...]
    matches: tuple[Match, ...]
    away: float

    def with_matches(self, other: "_Measured") -> "_Measured":
        """This test with what another one shares."""
        return replace(self, matches=tuple(_independent([*self.matches, *other.matches])), away=self.away + _OTHER)


class TaskMeasure:
    """Measures failing tests against one task."""

    def __init__(self, task: TaskText, corpus: Corpus) -> None:
        self._task, self._corpus = task, corpus
        text = task.text[:MOST_TEXT]
        self._request = failing_tests_request(task)
        self._reported = _Reported(text)
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
            found[best.test] = self._relation(best)
        return found

    def _measured(self, test: TestFacts) -> "_Measured":
        profile = self._corpus.failing_profile(test)
        matches = _independent([*self._shared(profile), *self._reported.matches(test)])
        behind = self._best_of_background() - _damped(self._shared(self._corpus.profile(test)))
        called = self._called(test)
        small = _CALLED * max(0.0, 1.0 - len(self._background) / _SMALL) if called else 0.0
        first = [Match(small, f"the task names `{called}`, which the failing test calls")] if small else []
        away = _BEHIND * max(0.0, behind) + _ABSENT * self._absent(profile) - small
        return _Measured(test.id, tuple(first), tuple(matches), away)

    def _score(self, one: "_Measured") -> float:
        points = _damped(one.matches)
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


class _Reported:
    """What a task reports and no passing test can share: files of tests, tracebacks, messages of exceptions, hangs. The
    text is searched once for all tests, since a hostile one makes that slow."""

    def __init__(self, text: str) -> None:
        names = {match[0].lstrip("./") for match in _FILE_NAME.finditer(text)}
        self._files = [name for name in sorted(names)[:_MOST_PLACES] if is_test_path(name)]
        self._frames = _FRAME_LINE.findall(text)
        self._text = _normal(text)
        self._hangs = _HANGS.search(text) is not None

    def matches(self, test: TestFacts) -> list[Match]:
        found: list[Match] = []
        if any(_same_file(test.path, name) for name in self._files):
            found.append(Match(_FILE, f"the task names the file {test.path}"))
        for failure in test.failures[:3]:
            program = [frame for frame in failure.frames if not is_test_path(frame[0])]
            if self._frames and program:
                path, line, function = program[-1]
                shown, number, within = self._frames[-1]
                if _same_file(path, shown) and (within in ("", function) or int(number) == line):
                    found.append(Match(_FRAME, f"the traceback in the task ends in {path}:{line} as the test's does"))
            if (message := _telling_message(failure)) and message in self._text:
                found.append(Match(_MESSAGE, f"both report {failure.short[:100]}"))
            if failure.type == "Hang" and self._hangs:
                found.append(Match(_HANG, "the task reports a hang and the test does not end"))
        return list(dict.fromkeys(found))


def _same_file(path: str, shown: str) -> bool:
    """Whether a path as a task shows it, perhaps from another machine, is that of a file of the repository."""
    one, other = path.split("/"), shown.replace("\\", "/").split("/")
    common = min(len(one), len(other))
    return one[-common:] == other[-common:]


def _telling_message(failure: Failure) -> str:
    """The first line of an exception's message if it says more than which values differ; empty otherwise."""
    if failure.type in ("AssertionError", "Failed", "Hang", "Crash"):
        return ""
    message = _normal(failure.message.strip().partition("\n")[0])
    return message if len(message) >= 12 and len(message.split()) >= 3 else ""


def _normal(text: str) -> str:
    return re.sub(r"\s+", " ", _ADDRESS.sub("0x", text.lower())).strip()


def _phrases(matches: Sequence[Match]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phrase for points, phrase, _ in matches if points >= 0.8))[:6]
