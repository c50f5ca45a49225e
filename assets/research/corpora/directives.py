"""Takes directives of MyST Markdown and reStructuredText out of a document's lines, before these become text.

What a reader of the built page would see stays: the prose in notes and in other directives, and code. Names, options
and labels become blank lines, so that every other line keeps its number. Not a parser of either language: see
https://myst-parser.readthedocs.io and https://docutils.sourceforge.io/docs/ref/rst/directives.html.
"""

import re
import textwrap
from collections.abc import Sequence

_FENCE = re.compile(r"^\s*(`{3,}|~{3,}|:{3,})\s*(?:\{([\w:.+-]{1,60})\})?(.*)$")
_RST = re.compile(r"^(\s*)\.\. +([a-zA-Z][\w:+.-]{0,60}?)::(?:\s|$)")
_OPTION = re.compile(r"^\s*:[a-zA-Z][\w-]*:(?:\s|$)")
_LABEL = re.compile(r"^\([\w.:-]{1,200}\)=\s*$")
_CODE = frozenset({
    "code", "code-block", "sourcecode", "code-cell", "doctest", "testcode", "testoutput", "ipython", "prompt",
    "parsed-literal", "math", "graphviz", "mermaid", "digraph", "plantuml",
})  # fmt: skip
_NO_TEXT = frozenset({
    "toctree", "image", "include", "literalinclude", "raw", "contents", "index", "meta", "highlight",
    "testsetup", "testcleanup", "module", "currentmodule", "bibliography", "tableofcontents",
})  # fmt: skip
_PROSE = frozenset({
    "eval-rst", "note", "warning", "important", "tip", "hint", "caution", "danger", "error", "attention",
    "seealso", "admonition", "versionadded", "versionchanged", "deprecated", "versionremoved", "todo",
    "topic", "sidebar", "margin", "epigraph", "pull-quote", "highlights", "rubric", "glossary", "figure",
    "list-table", "dropdown", "card", "tab-set", "tab-item", "grid", "grid-item", "grid-item-card", "details",
    "div", "only", "container",
})  # fmt: skip
_CODE_FENCE = "~" * 8


def without_directives(lines: Sequence[str]) -> list[str]:
    """As many lines, of which those that only directives need are blank."""
    out = list(lines)
    opened: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if fence := _FENCE.match(line):
            number = _fenced(lines, out, number, fence, opened)
        elif rst := _RST.match(line):
            number = _rst(lines, out, number, len(rst.group(1)), rst.group(2))
        else:
            if _LABEL.match(line):
                out[number] = ""
            number += 1
    return out


def _fenced(lines: Sequence[str], out: list[str], number: int, fence: re.Match[str], opened: list[str]) -> int:
    """Handles a line that opens or closes a fence; returns the next line to look at."""
    mark, name, rest = fence.group(1), fence.group(2) or "", fence.group(3).strip()
    if opened and not name and not rest and mark.startswith(opened[-1]):
        opened.pop()
        out[number] = ""
        return number + 1
    colons = mark[0] == ":"
    if (colons and name not in _CODE | _NO_TEXT) or name in _PROSE or (":" in name and not colons):
        if colons and not name and not rest:  # it closes what was not opened
            out[number] = ""
            return number + 1
        opened.append(mark)
        out[number] = ""
        return _without_options(lines, out, number + 1)
    end = _end(lines, number + 1, mark)
    if name in _NO_TEXT or name.startswith("auto"):
        out[number : end + 1] = [""] * len(out[number : end + 1])
    elif name:
        _without_options(lines, out, number + 1)
        if colons:
            out[number] = _CODE_FENCE
            out[end : end + 1] = [_CODE_FENCE] * len(out[end : end + 1])
    return end + 1


def _end(lines: Sequence[str], start: int, mark: str) -> int:
    """The line that closes a fence, or the end of the document."""
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if line.startswith(mark) and not line.strip(mark[0]):
            return number
    return len(lines)


def _without_options(lines: Sequence[str], out: list[str], number: int) -> int:
    """Blanks the options at the beginning of a directive in Markdown, `:key: value` or YAML; returns what follows."""
    if number < len(lines) and lines[number].strip() == "---":
        end = _end(lines, number + 1, "---")
        if end < min(len(lines), number + 40):
            out[number : end + 1] = [""] * (end + 1 - number)
            return end + 1
    while number < len(lines) and _OPTION.match(lines[number]):
        out[number] = ""
        number += 1
    return number


def _rst(lines: Sequence[str], out: list[str], number: int, indent: int, name: str) -> int:
    """Handles a directive of reStructuredText; returns the next line to look at."""
    out[number] = ""
    body = number + 1
    option = 0
    while body < len(lines) and _indent(lines[body]) > indent:
        if _OPTION.match(lines[body]):
            option = _indent(lines[body])
        elif not option or _indent(lines[body]) <= option:
            break
        out[body] = ""
        body += 1
    if name not in _CODE | _NO_TEXT:
        return body
    end = body
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
    while end > body and not lines[end - 1].strip():
        end -= 1
    code = textwrap.dedent("\n".join(lines[body:end])).split("\n") if end > body else []
    if not code or name in _NO_TEXT or (end < len(lines) and lines[end].strip()):
        out[body:end] = [""] * (end - body)
        return end
    out[number], out[body:end] = _CODE_FENCE, code
    if end < len(lines):
        out[end] = _CODE_FENCE
    return end + 1


def _indent(line: str) -> int:
    """Columns before the text; -1 for a blank line."""
    return len(line) - len(line.lstrip()) if line.strip() else -1
