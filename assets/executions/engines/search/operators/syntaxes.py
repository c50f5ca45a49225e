"""Repairs files that do not parse, by small changes of text near the error after which the file parses."""

import ast
import re
from collections.abc import Iterator

from assets.executions.engines.search.source import Edit, SourceFile, apply_edits

from .base import Proposal

_OPENING = {")": "(", "]": "[", "}": "{"}
_MAX = 40


def repairs(source: SourceFile) -> Iterator[Proposal]:
    """Proposals after which the file parses, likeliest first; none when it parses already."""
    error = source.syntax_error
    if error is None:
        return
    line = min(max(1, error.lineno or 1), source.lines)
    made = 0
    seen: set[str] = set()
    for distance in (0, -1, 1, -2):
        number = line + distance
        if not 1 <= number <= source.lines:
            continue
        start = source.line_start(number)
        text = source.line_text(number)
        for changed, operator, weight in _variants(source, number, text):
            edit = Edit(source.path, start, start + len(text), changed)
            whole = apply_edits(source.text, (edit,))
            if changed == text or whole in seen or made >= _MAX:
                continue
            seen.add(whole)
            try:
                ast.parse(whole.removeprefix("\ufeff"))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            made += 1
            yield Proposal((edit,), f"syntax:{operator}", weight * (1.0 if distance == 0 else 0.7))


def _variants(source: SourceFile, number: int, text: str) -> Iterator[tuple[str, str, float]]:
    code, comment = _split_comment(text)
    code = code.rstrip()
    tail = f"  {comment}" if comment else ""
    if re.match(r"\s*(?:if|elif|else|for|while|def|class|try|except|finally|with|async|match|case)\b", code):
        yield code + ":" + tail, "colon", 1.0
    for closing, opening in _OPENING.items():
        if code.count(opening) > code.count(closing):
            yield code + closing + tail, "bracket", 0.95
            if code.endswith((":", ",")):
                yield code[:-1] + closing + code[-1] + tail, "bracket", 0.95
            for match in re.finditer(r"[,:\])}]| (?:for|if|in|and|or|else) ", code):
                yield code[: match.start()] + closing + code[match.start() :] + tail, "bracket", 0.5
        elif code.count(closing) > code.count(opening):
            for match in reversed(list(re.finditer(re.escape(closing), code))):
                yield code[: match.start()] + code[match.end() :] + tail, "bracket", 0.7
    yield code + "," + tail, "comma", 0.7
    for match in re.finditer(r"(?<![=!<>:+\-*/%&|^])=(?!=)", code):
        yield code[: match.start()] + "==" + code[match.end() :] + tail, "equals", 0.6
    yield code.replace("else if ", "elif ") + tail, "elif", 0.9
    yield re.sub(r"^(\s*)print\s+(.+)$", r"\1print(\2)", code) + tail, "print", 0.8
    yield re.sub(r"except (\w+), (\w+):", r"except \1 as \2:", code) + tail, "except", 0.8
    yield re.sub(r"^(\s*)raise (\w+), (.+)$", r"\1raise \2(\3)", code) + tail, "raise", 0.8
    for quote in ("'", '"'):
        if code.count(quote) % 2:
            yield code + quote + tail, "quote", 0.7
            if code.endswith((")", "]", ",", ":")):
                yield code[:-1] + quote + code[-1] + tail, "quote", 0.8
            if code.endswith(("):", "),")):
                yield code[:-2] + quote + code[-2:] + tail, "quote", 0.8
    stripped = text.lstrip()
    for indent in dict.fromkeys(_indents(source, number)):
        yield indent + stripped, "indentation", 0.8
    if code.endswith(":"):
        yield f"{text}{source.newline}{_indent(text)}    pass", "body", 0.4
    yield "", "line", 0.1


def _split_comment(text: str) -> tuple[str, str]:
    """Code and comment of a line; a `#` within quotes does not start one."""
    quote = ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#":
            return text[:position], text[position:]
    return text, ""


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _indents(source: SourceFile, number: int) -> Iterator[str]:
    """Indentations that neighbouring lines suggest."""
    for near in (number - 1, number + 1, number - 2):
        if 1 <= near <= source.lines and source.line_text(near).strip():
            indent = _indent(source.line_text(near))
            yield indent
            yield indent + "    "
            yield indent[:-4]
