"""An issue's Markdown as a list of paragraphs, code blocks and headings, in order. Bounded; never raises."""

import re
from dataclasses import dataclass

from assets.executions.attempt.derived.claims import MOST_TEXT

MOST_BLOCKS = 300
_FENCE = re.compile(r"(`{3,}|~{3,})\s*([\w+.#-]*)")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_LABEL = re.compile(
    r"[\s*_>#-]*(?:the\s+)?(?P<role>expected|desired|correct|actual|current|observed)"
    r"(?:\s+(?:behaviou?rs?|outputs?|results?|values?|outcome|response))?[\s*_]*(?::[\s*_]*(?P<rest>.*)|$)",
    re.IGNORECASE,
)
_WRONG = ("actual", "current", "observed")


@dataclass(frozen=True)
class Block:
    """A paragraph or a code block. `language` is the word behind a fence, None for a paragraph; `role` is `expected`
    or `actual` where a heading or label above says so."""

    text: str
    language: str | None = None
    role: str = ""

    @property
    def code(self) -> bool:
        return self.language is not None


def blocks_of(text: str) -> list[Block]:
    """The blocks of a text, at most `MOST_BLOCKS` of its first `MOST_TEXT` characters."""
    found: list[Block] = []
    lines = text[:MOST_TEXT].replace("\r\n", "\n").replace("\r", "\n").expandtabs(4).split("\n")
    role = ""
    paragraph: list[str] = []
    at = 0

    def end_paragraph() -> None:
        if words := "\n".join(paragraph).strip():
            found.append(Block(words, None, role))
        paragraph.clear()

    while at < len(lines) and len(found) < MOST_BLOCKS:
        line = lines[at]
        fence = _FENCE.match(line.lstrip())
        if fence:
            end_paragraph()
            at, code = _fenced(lines, at, fence[1])
            found.append(Block(code, fence[2].lower(), role))
            continue
        if line.startswith("    ") and not paragraph:
            at, code = _indented(lines, at)
            found.append(Block(code, "", role))
            continue
        if labelled := _label(line):
            end_paragraph()
            role, rest = labelled
            if rest:
                paragraph.append(rest)
                end_paragraph()
        elif _HEADING.match(line):
            end_paragraph()
            role = ""
            paragraph.append(_HEADING.sub(r"\1", line))
            end_paragraph()
        elif not line.strip():
            end_paragraph()
        else:
            paragraph.append(line.strip())
        at += 1
    end_paragraph()
    return found[:MOST_BLOCKS]


def _label(line: str) -> tuple[str, str] | None:
    """The role that a heading or label gives to what follows, and the text behind it on the line."""
    if len(line) > 400 or not (match := _LABEL.fullmatch(line)):
        return None
    return "actual" if match["role"].lower() in _WRONG else "expected", (match["rest"] or "").strip(" *_")


def _fenced(lines: list[str], at: int, mark: str) -> tuple[int, str]:
    """The code behind a fence and the line after it."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    code = []
    at += 1
    while at < len(lines):
        stripped = lines[at].strip()
        if stripped.startswith(mark) and not stripped.strip(mark[0]):
            at += 1
            break
        code.append(lines[at][min(indent, len(lines[at]) - len(lines[at].lstrip())) :])
        at += 1
    return at, "\n".join(code).strip("\n")


def _indented(lines: list[str], at: int) -> tuple[int, str]:
    """The code of an indented block and the line after it."""
    code = []
    while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
        code.append(lines[at][4:])
        at += 1
    return at, "\n".join(code).strip("\n")
