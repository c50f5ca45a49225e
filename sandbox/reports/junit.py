"""Reads JUnit XML as runners of many languages write it: https://github.com/testmoapp/junitxml names the dialects.

A report is hostile input: entities are refused, nesting and texts are bounded, and nothing outside of it is read. A
report that ends early, because its runner was stopped, gives the cases that are complete.
"""

import contextlib
import math
import re
from dataclasses import dataclass
from pyexpat import ExpatError, ParserCreate

from .results import MOST_CASES, Outcome

_MOST_BYTES = 64 << 20
_MOST_DEPTH = 64
_MOST_TEXT = 20_000
"""Characters that are kept of each text of a case."""
_OUTCOMES: dict[str, Outcome] = {"skipped": "skipped", "failure": "failed", "error": "error"}
_ORDER = ("passed", "skipped", "failed", "error")
_NOT_RUN = frozenset({"notrun", "disabled", "skipped", "suppressed", "ignored"})
_NOT_XML = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]));"
)
"""Control characters, as such and as references, which runners copy from what tests print."""
_OTHER_ENCODING = re.compile(rb"^(?:\xff\xfe|\xfe\xff|\s*<\?xml[^>]*encoding=[\"'](?!utf-8[\"']))", re.IGNORECASE)


@dataclass(frozen=True)
class JUnitCase:
    """One `testcase`. `suites` are the names of the suites around it, the outermost first; `file` and `line` are as the
    case, else its innermost suite, gives them, empty and 0 for unknown. `message` and `text` are the attribute and the
    content of its failure, `output` what it wrote. A failure of a suite itself is a case without a name."""

    suites: tuple[str, ...]
    classname: str
    name: str
    outcome: Outcome
    seconds: float | None = None
    file: str = ""
    line: int = 0
    message: str = ""
    text: str = ""
    output: str = ""

    @property
    def said(self) -> str:
        """Why it did not pass: its message and its text, of which one often repeats the other."""
        if self.message and self.text and self.message.strip() not in self.text:
            return f"{self.message.strip()}\n{self.text.strip()}"
        return (self.text or self.message).strip()


def read_junit(content: bytes) -> list[JUnitCase]:
    """The cases of a report in its order; none where it is not XML or declares entities."""
    reader = _Reader()
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.EntityDeclHandler = reader.entity
    with contextlib.suppress(ExpatError, _Refused, LookupError, ValueError):
        parser.Parse(_repaired(content[:_MOST_BYTES]), True)
    return [] if reader.refused else reader.cases


def _repaired(content: bytes) -> bytes:
    """Without what XML forbids, for which the parser would give up."""
    if _OTHER_ENCODING.match(content):
        return content
    return _NOT_XML.sub(b" ", content.decode("utf-8", errors="replace").encode())


class _Refused(Exception):
    """The report goes on beyond what is read."""


class _Open:
    """An element that has not ended yet."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag.rpartition(":")[2], attributes
        self.outcome: Outcome = "passed"
        self.message = self.text = self.output = ""


class _Reader:
    def __init__(self) -> None:
        self.cases: list[JUnitCase] = []
        self.refused = False
        self._open: list[_Open] = []
        self._text: list[str] = []
        self._length = 0

    def entity(self, *declaration: object) -> None:
        self.refused = True
        raise _Refused

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= _MOST_DEPTH or len(self.cases) >= MOST_CASES:
            raise _Refused
        self._open.append(_Open(tag, attributes))
        self._text, self._length = [], 0

    def characters(self, text: str) -> None:
        if self._length < _MOST_TEXT:
            self._text.append(text[: _MOST_TEXT - self._length])
            self._length += len(text)

    def end(self, tag: str) -> None:
        element = self._open.pop()
        text = "".join(self._text)
        self._text, self._length = [], 0
        holder = self._open[-1] if self._open else None
        if element.tag == "testcase":
            self._case(element)
        elif element.tag == "testsuite" and element.outcome != "passed":
            self.cases.append(self._made(element, [*self._open, element], name="", holders=self._open))
        elif holder is None:
            return
        elif element.tag in _OUTCOMES:
            outcome = _OUTCOMES[element.tag]
            if _ORDER.index(outcome) > _ORDER.index(holder.outcome):
                holder.outcome, holder.message, holder.text = outcome, "", ""
            if outcome == holder.outcome:
                holder.message = holder.message or _cut(element.attributes.get("message", ""))
                holder.text = _cut(f"{holder.text}\n{text}".strip("\n"))
        elif element.tag in ("system-out", "system-err"):
            holder.output = _cut(f"{holder.output}\n{text}".strip("\n"))

    def _case(self, element: _Open) -> None:
        states = {element.attributes.get("status", "").lower(), element.attributes.get("result", "").lower()}
        if element.outcome == "passed" and states & _NOT_RUN:
            element.outcome = "skipped"
        self.cases.append(self._made(element, self._open, element.attributes.get("name", ""), self._open))

    def _made(self, element: _Open, suites: list[_Open], name: str, holders: list[_Open]) -> JUnitCase:
        names = (one.attributes.get("name", "") for one in suites if one.tag == "testsuite")
        of_case = element.attributes
        file = of_case.get("file") or of_case.get("filepath") or next(
            (one.attributes["file"] for one in reversed(holders) if one.attributes.get("file")), "")  # fmt: skip
        line = of_case.get("line") or of_case.get("lineno") or ""
        return JUnitCase(
            tuple(filter(None, names)), of_case.get("classname") or of_case.get("class") or "", name[:1000],
            element.outcome, _seconds(of_case.get("time", "")), file[:1000], int(line[:9]) if line.isdecimal() else 0,
            element.message, element.text, element.output,
        )  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT // 2]}\n[…]\n{text[-_MOST_TEXT // 2 :]}"


def _seconds(text: str) -> float | None:
    """A time as in `1.5` or, from some runners, `1,234.5`."""
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
