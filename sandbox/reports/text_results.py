"""Reads results of tests from text, in the forms that many programs print: TAP, automake's and GoogleTest's lines; and
the `.trs` files of automake (GNU Automake manual, "Log files generation and test results recording")."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .results import Outcome

_OUTCOMES: dict[str, Outcome] = {"PASS": "passed", "XFAIL": "passed", "SKIP": "skipped", "FAIL": "failed",
                                 "XPASS": "failed", "ERROR": "error"}  # fmt: skip
_TAP = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:- )?([^#]*?)\s*(#\s*(?:SKIP|TODO)\b.*)?$", re.IGNORECASE)
_AUTOMAKE = re.compile(r"^(PASS|FAIL|SKIP|XFAIL|XPASS|ERROR): (\S.*)$")
_GTEST = re.compile(r"^\[\s+(OK|FAILED|SKIPPED)\s+\] (\w[\w/]*\.\w[\w/]*)(?:,.*)?(?: \((\d+) ms\))$")
_TRS = re.compile(r"^:test-result:\s*(PASS|FAIL|SKIP|XFAIL|XPASS|ERROR)\b[ \t]*(.*)$", re.MULTILINE)
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_MOST_LINES = 60


@dataclass(frozen=True)
class Line:
    """A test that a text names; `said` are the lines around a failure."""

    name: str
    outcome: Outcome
    seconds: float | None = None
    said: str = ""


def text_results(text: str) -> Iterator[Line]:
    """The tests of a text in its order."""
    before: list[str] = []
    for raw in text.splitlines():
        line = _ESCAPE.sub("", raw).rstrip()
        found = _of_line(line)
        if found is None:
            before = [*before[-_MOST_LINES:], line]
            continue
        name, outcome, seconds = found
        said = "\n".join([*before, line]) if outcome in ("failed", "error") else ""
        before = []
        yield Line(name[:1000], outcome, seconds, said)


def _of_line(line: str) -> tuple[str, Outcome, float | None] | None:
    if found := _GTEST.match(line):
        outcomes: dict[str, Outcome] = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
        return found[2], outcomes[found[1]], int(found[3]) / 1000
    if found := _AUTOMAKE.match(line):
        return found[2], _OUTCOMES[found[1]], None
    found = _TAP.match(line)
    if found and (found[2] or found[3]):
        name = found[3].strip() or found[2]
        if found[4]:
            todo = "todo" in found[4].lower()
            return name, "passed" if todo and not found[1] else "skipped", None
        return name, "failed" if found[1] else "passed", None
    return None


def trs_results(content: bytes) -> Iterator[tuple[str, Outcome]]:
    """The results in a `.trs` file of automake: a name (empty for the program itself) and its outcome."""
    for word, rest in _TRS.findall(content.decode(errors="replace")[: 1 << 20]):
        name = re.sub(r"^\d+\s*(?:- )?", "", rest.strip()) or rest.strip()
        yield re.sub(r"\s*#.*$", "", name)[:1000], _OUTCOMES[word]
