"""What a task reports and no passing test can share: files of tests, tracebacks, messages, compared values, hangs."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.baseline import Failure

from .facts import TestFacts
from .numbers import MOST_NUMBERS
from .terms import Term

_FILE, _FRAME, _MESSAGE, _HANG = 6.0, 6.0, 6.0, 4.0
_SERIES_SHOWN = 6.0
_LONGEST_SERIES = 6
_TINY = 2
_RARE = 0.2
"""The prior probability above which a compared value says nothing: both sides of a comparison are often small."""
_MOST_MESSAGE = 4_000
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
_DIGITS = r"-?\d{1,15}(?:\.\d{1,15})?"
_NUMBER = re.compile(rf"(?<![\w.]){_DIGITS}(?=(?:st|nd|rd|th)?(?![\w]))")
_SERIES = re.compile(rf"[\[(]({_DIGITS}(?:, {_DIGITS}){{2,}})[\])]")
_LITERAL = rf"('[^'\n]{{1,80}}'|\"[^\"\n]{{1,80}}\"|{_DIGITS})"
_COMPARISON = re.compile(rf"(?:^|assert |: ){_LITERAL} [!=]= {_LITERAL}\s*$")


class Match(NamedTuple):
    """Something shared: its points, a phrase that names it, and the roots of its words. What is `weak` does not make a
    `pass` by itself."""

    points: float
    phrase: str
    roots: frozenset[str] = frozenset()
    weak: bool = False


class Reported:
    """What a task reports and no passing test can share: files of tests, tracebacks, messages of exceptions, hangs. The
    text is searched once for all tests, since a hostile one makes that slow."""

    def __init__(self, text: str) -> None:
        names = {match[0].lstrip("./") for match in _FILE_NAME.finditer(text)}
        self._files = [name for name in sorted(names)[:_MOST_PLACES] if is_test_path(name)]
        self._frames = _FRAME_LINE.findall(text)
        self._text = _normal(text)
        self._hangs = _HANGS.search(text) is not None
        self._numbers = [float(number) for number in _NUMBER.findall(text)[:MOST_NUMBERS]]

    def matches(self, test: TestFacts, information: Callable[[Term], float]) -> list[Match]:
        """What a failing test shares with the report; `information` says what a match of a term tells, in nats."""
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
            if failure.type in ("AssertionError", "Failed"):
                found += self._compared(failure, information)
        return list(dict.fromkeys(found))

    def _compared(self, failure: Failure, information: Callable[[Term], float]) -> Iterator[Match]:
        """What a failed comparison shows and the task tells: a series of numbers, or both the wrong and the right
        value."""
        message = failure.message[:_MOST_MESSAGE]
        for shown in _SERIES.findall(message)[:2]:
            series = [float(number) for number in shown.split(",")][:_LONGEST_SERIES]
            if _is_telling(series) and _follow(series, self._numbers):
                yield Match(_SERIES_SHOWN, f"both show the numbers {shown[:60]} in this order", weak=True)
                return
        sides = _COMPARISON.search(message.partition("\n")[0])
        if sides is None or sides[1].strip("'\"").lower() == sides[2].strip("'\"").lower():
            return
        values = [_value(side) for side in (sides[1], sides[2])]
        if all(Term("value", value).prior <= _RARE and self._tells(value) for value in values):
            points = sum(information(Term("value", value)) for value in values)
            shown = f"the task speaks of both {sides[1]} and {sides[2]}, which the test compares"
            yield Match(min(_MESSAGE, points), shown, weak=True)

    def _tells(self, value: str | float) -> bool:
        """Whether the report has a value that a test compares, in whatever case."""
        if isinstance(value, float):
            return value in self._numbers
        return re.search(rf"(?<!\w){re.escape(_normal(value))}(?!\w)", self._text) is not None


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


def _is_telling(series: Sequence[float]) -> bool:
    """Whether nobody counts like this: several values, which are not simply one after the other, nor all tiny."""
    steps = {after - before for before, after in itertools.pairwise(series)}
    return len(steps) > 1 and max(map(abs, series)) > _TINY


def _follow(series: Sequence[float], numbers: Sequence[float]) -> bool:
    """Whether the numbers of a series stand one after the other among others."""
    wanted = list(series)
    return any(numbers[at : at + len(wanted)] == wanted for at in range(len(numbers) - len(wanted) + 1))


def _value(shown: str) -> str | float:
    return shown[1:-1] if shown[0] in "'\"" else float(shown)
