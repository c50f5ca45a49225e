"""Cuts Python by function and class with one scan for definitions, strings and brackets.

Not a parser: it does not need valid syntax, so Python 2, templates and incomplete files are cut too. In broken
copies of the standard library it finds more definitions than a tree-sitter grammar, with fewer errors. A test
compares it with `ast` on the standard library.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from assets.context.chunking.languages.definitions import Definition, cover
from assets.context.chunking.segment import Segment

# Strings that end on their line, and brackets with at most one level nested in them; deeper nesting is matched
# token by token.
_TEXT = r"""[^()\[\]{}'"\#\\\n]++"""
_STRING = r"""
    '(?!'')(?:[^'\\\n]++|\\[^\n])*+' | '''(?:[^'\\\n]++|\\[^\n]|'(?!''))*+'''
  | "(?!"")(?:[^"\\\n]++|\\[^\n])*+" | \"\"\"(?:[^"\\\n]++|\\[^\n]|"(?!""))*+\"\"\"
"""
_INNER = rf"[(\[{{] (?: {_TEXT} | {_STRING} )*+ [)\]}}]"
_BRACKETS = rf"[(\[{{] (?: {_TEXT} | {_STRING} | {_INNER} )*+ [)\]}}]"

# Strings and comments are matched so that their insides are ignored; the other groups are the tokens that matter.
# Each match consumes all complete text before its token, usually many lines, so there are few matches. The
# possessive quantifiers rule out backtracking.
_TOKEN = re.compile(
    rf"""
    (?P<whole> (?: [^'"\#()\[\]{{}}\\]++ | {_BRACKETS} | {_STRING} | \#[^\n]*+ )*+ )
    (?:
    (?P<open> [(\[{{] )
  | (?P<close> [)\]}}] )
  | (?P<string>  (?:'''(?:[^'\\]++|\\.|'(?!''))*+(?:'''|\Z)) | (?:\"\"\"(?:[^"\\]++|\\.|"(?!""))*+(?:\"\"\"|\Z))
               | '(?:[^'\\\n]++|\\.)*+'? | "(?:[^"\\\n]++|\\.)*+"? )
  | (?P<continued> \\\r?\n )
  | (?P<other> \\ | \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_DEFINITION = re.compile(r"([ \t\f]*)(async[ \t]+def|def|class)[ \t]+([^\W\d]\w*)")
_BLANKS = " \t\f"
_DOCSTRING = re.compile(r"""\s*[rRuUbB]{0,2}('''|\"\"\"|'|")(.*)""", re.DOTALL)


_DEEPEST = 12  # definitions nested deeper stay part of the enclosing one


@dataclass(slots=True)
class _Scanned:
    kind: str
    indent: int
    first: int
    """Including its decorators and the comment above."""
    line: int
    header: int
    """The last line of `def …:`."""
    symbol: str
    last: int = 0
    inner: list["_Scanned"] = field(default_factory=list)


def segments(lines: Sequence[str]) -> list[Segment]:
    found = _definitions(lines, _statements(lines))
    return cover(lines, _finished(lines, found), _docstring(lines))


def _statements(lines: Sequence[str]) -> list[tuple[int, int]]:
    """(first, last) physical line of each logical line: strings, brackets and backslashes join lines.

    An unclosed bracket would consume the rest of the file, so it is ended by a line that starts with a
    definition and is not indented more than the line of the bracket.
    """
    text = "\n".join(lines)
    spans = []
    first, number, depth = 1, 1, 0
    for match in _TOKEN.finditer(text):
        ended = text.count("\n", match.start(), match.end("whole"))
        while depth and ended:
            if number < len(lines):
                definition = _DEFINITION.match(lines[number])
                if definition and len(definition[1]) <= _indent(lines[first - 1]):
                    depth = 0
                    spans.append((first, number))
                    first = number + 1
            number += 1
            ended -= 1
        if ended:
            spans.append((first, number))
            first = number + ended
            spans.extend([(line, line) for line in range(number + 1, first)])
            number = first
        kind = match.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif kind == "string":
            number += match.group("string").count("\n")
        elif kind == "continued":
            number += 1
    if first <= len(lines):
        spans.append((first, len(lines)))
    return spans


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(_BLANKS))


def _definitions(lines: Sequence[str], statements: list[tuple[int, int]]) -> list[_Scanned]:
    top: list[_Scanned] = []
    stack: list[_Scanned] = []
    leading: int | None = None  # the first line of decorators or comments that belong to the next definition
    end = 0
    for first, last in statements:
        line = lines[first - 1]
        stripped = line.strip()
        if not stripped:
            leading = None if leading is None or not lines[leading - 1].lstrip().startswith("@") else leading
            continue
        indent = _indent(line)
        if stripped[0] == "#":
            leading = first if leading is None else leading
            continue
        while stack and indent <= stack[-1].indent:
            stack.pop().last = end
        if stripped[0] == "@":
            leading = first if leading is None else leading
            end = last
            continue
        match = _DEFINITION.match(line) if stripped[0] in "acd" else None
        if match and len(stack) < _DEEPEST:
            parent = stack[-1] if stack else None
            begin = leading if leading is not None else first
            while begin < first and _indent(lines[begin - 1]) != indent:
                begin += 1
            kind = "class" if match[2] == "class" else "method" if parent and parent.kind == "class" else "function"
            symbol = f"{parent.symbol}.{match[3][:200]}" if parent else match[3][:200]
            definition = _Scanned(kind, indent, begin, first, last, symbol)
            (parent.inner if parent else top).append(definition)
            stack.append(definition)
        leading = None
        end = last
    while stack:
        stack.pop().last = end
    return top


def _finished(lines: Sequence[str], found: Sequence[_Scanned]) -> list[Definition]:
    """Adds signatures and docstrings. A function includes its inner functions; a class is cut into its members."""
    made = []
    for one in found:
        header = " ".join(line.strip() for line in lines[one.line - 1 : one.header])
        definition = Definition(
            one.kind,
            one.first,
            one.last,
            one.symbol,
            header.rstrip(":").strip()[:1000],
            _docstring(lines[one.header : one.last]),
        )
        if one.kind == "class":
            definition.inner = _finished(lines, one.inner)
        made.append(definition)
    return made


def _docstring(body: Sequence[str]) -> str:
    """The string literal that the lines start with, at most 2,000 characters; empty if there is none."""
    text = "\n".join(body[:60])
    while text.lstrip().startswith("#"):
        text = text.lstrip().partition("\n")[2]
    match = _DOCSTRING.match(text)
    if not match:
        return ""
    quote, rest = match[1], match[2]
    if rest.startswith(quote) and len(quote) == 1:
        return ""
    inside = rest.partition(quote)[0] if len(quote) == 3 else rest.partition("\n")[0].partition(quote)[0]
    return inside.strip()[:2000]
