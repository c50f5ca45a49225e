"""What is known about a repository's tests, and how rare each term is among them."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.baseline import Failure

from .terms import Term, names, operations, roots, values

MOST_BACKGROUND = 300
"""Passing tests with which a failing one is compared."""
_PSEUDO_TESTS = 15
"""The weight of the prior probability of a term, in tests."""
_MOST_FUNCTIONS = 400
_MOST_SURPRISE = 0.4
"""By how much a term's information may exceed that of its prior, in nats: an everyday word is no evidence only because
no other test has it."""
_FEW = 6
_VERBATIM = 6
"""Characters from which a string that occurs in the task is no accident, however many the test has."""
_TYPICAL = 20
"""Roots in the source of a test of ordinary length; each term of a longer one counts less."""
Profile = dict[Term, float]
"""A test's terms, each with a weight from 0 to 1 that says how characteristic its place is."""


@dataclass(frozen=True)
class TestFacts:
    """One test: its id, the text of its function, the program's functions that it executes (keys of `functions` of
    `Corpus`) and its failures (none for a test that passes)."""

    __test__ = False

    id: str
    source: str = ""
    executed: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()

    @property
    def path(self) -> str:
        return self.id.partition("::")[0]

    @property
    def function(self) -> str:
        """The plain name of the test's function."""
        return self.id.partition("[")[0].rpartition("::")[2]


class Corpus:
    """The tests of a repository, against which a match with one of them is measured.

    `background` are tests that do not fail (they may be few or none); `functions` maps `path::qualified.name` of the
    program's functions to their texts. Nothing depends on the order of either.
    """

    def __init__(self, background: Iterable[TestFacts], functions: Mapping[str, str]) -> None:
        ordered = sorted({test.id: test for test in background}.values(), key=lambda test: test.id)
        step = max(1, math.ceil(len(ordered) / MOST_BACKGROUND))
        self._tests = ordered[::step]
        self._texts = functions
        self.defined = frozenset(name for function, text in functions.items() for name in _defined(function, text))
        self.callables = frozenset(part for function in functions for part in function.rpartition("::")[2].split("."))
        self._words: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._executing = Counter(function for test in self._tests for function in test.executed)
        self.profiles = [self.profile(test) for test in self._tests]
        self._weights: Counter[Term] = Counter()
        for profile in self.profiles:
            for term, weight in profile.items():
                self._weights[term] += weight  # type: ignore[assignment]

    def information(self, term: Term) -> float:
        """How much a match of this term tells, in nats: minus the logarithm of the probability that a random test of
        the repository has it, estimated from the tests and the prior."""
        count = self._weights.get(term, 0) + _PSEUDO_TESTS * term.prior
        measured = -math.log(count / (len(self._tests) + _PSEUDO_TESTS))
        return max(0.0, min(measured, _MOST_SURPRISE - math.log(term.prior)))

    def profile(self, test: TestFacts) -> Profile:
        """The terms of a test's id, source and executed functions; not of its failures, so that the profiles of
        passing and failing tests can be compared."""
        found: Profile = {}
        path, _, tail = test.id.partition("::")
        name, _, parameters = tail.partition("[")
        group, _, name = name.rpartition("::")
        _add(found, "word", roots(name), 1.0)
        _add(found, "word", roots(group), 0.6)
        _add(found, "word", roots(path.rpartition("/")[2].removesuffix(".py")), 0.7)
        _add(found, "name", names(name), 1.0)
        _add(found, "value", _parameters(parameters), 0.9)
        _add(found, "word", roots(parameters), 0.75)
        in_source = roots(test.source), names(test.source), values(test.source)
        share = min(1.0, math.sqrt(_TYPICAL / max(1, len(in_source[0]))))
        _add(found, "word", in_source[0], 0.75 * share)
        _add(found, "name", in_source[1], share)
        _add(found, "operation", operations(test.source), share)
        long = {value for value in in_source[2] if isinstance(value, str) and len(value) >= _VERBATIM}
        _add(found, "value", long, 1.0)
        _add(found, "value", in_source[2] - long, 0.9 * min(share, _share(in_source[2])))
        for function in sorted(test.executed)[:_MOST_FUNCTIONS]:
            rare = self._rarity(function)
            in_name, in_text = self._function_words(function)
            _add(found, "name", {function.rpartition("::")[2].rpartition(".")[2]}, 0.35 + 0.45 * rare)
            _add(found, "word", in_name, 0.3 + 0.4 * rare)
            _add(found, "word", in_text, 0.1 + 0.45 * rare)
        return found

    def failing_profile(self, test: TestFacts) -> Profile:
        """The profile of a failing test, with the terms of its failures and of the functions in which they occurred."""
        found = self.profile(test)
        for failure in test.failures[:3]:
            told = 0.4 if failure.type == "AssertionError" else 0.9  # mostly the values that were compared
            _add(found, "word", roots(f"{failure.type} {failure.message} {failure.cause}"), told)
            _add(found, "name", {failure.type} - {"AssertionError", "Exception", "Error", "Failed"}, 1.0)
            shown = set(re.findall(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?!\w)", failure.message[:2000]))
            numbers = {float(number) if "." in number else int(number) for number in shown}
            _add(found, "value", numbers, 0.8 * _share(numbers))
            program = [frame for frame in failure.frames if not is_test_path(frame[0])]
            for _, _, function in program[-6:]:
                _add(found, "name", {function} - {"<module>", "<lambda>", ""}, 1.0)
                _add(found, "word", roots(function), 0.9)
        return found

    def _rarity(self, function: str) -> float:
        """1 when no test of the background executes a function, 0 when all do."""
        total = len(self._tests)
        return 1.0 - math.log1p(self._executing.get(function, 0)) / math.log1p(total) if total else 0.7

    def _function_words(self, function: str) -> tuple[frozenset[str], frozenset[str]]:
        if function not in self._words:
            name = function.rpartition("::")[2]
            self._words[function] = roots(name), roots(self._texts.get(function, ""))
        return self._words[function]


def _defined(function: str, text: str) -> Iterator[str]:
    """The names of a function, of the classes around it and of its parameters."""
    yield from function.rpartition("::")[2].split(".")
    head = re.search(r"\bdef\s+\w+\s*\(([^()]{0,600})", text[:2000])
    if head is not None:
        yield from re.findall(r"(?:^|,)\s*\*{0,2}(\w+)", head[1])


def _share(found: Collection[object]) -> float:
    """The weight of each of several values: among many, some occur anywhere by chance."""
    return min(1.0, math.sqrt(_FEW / max(1, len(found))))


def _add(profile: Profile, kind: str, terms: Iterable[str | int | float], weight: float) -> None:
    for text in terms:
        term = Term(kind, text)
        if profile.get(term, 0.0) < weight:
            profile[term] = weight


def _parameters(text: str) -> frozenset[str]:
    """The values in a parametrised test's id, which pytest joins with hyphens."""
    whole = text.removesuffix("]")
    parts: Sequence[str] = [whole, *whole.split("-")]
    return frozenset(part.strip() for part in parts if part.strip())
