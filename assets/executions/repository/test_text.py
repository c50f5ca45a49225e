"""The text of one test in a file of any language, found by its name and the indentation of the lines after it."""

import re

_MOST_LINES = 120


def test_text(text: str, name: str) -> str:
    """The lines from the first one with the last part of the name of a test, as `describe > works` or `TestAdd/two`, to
    the end of the block that begins there; empty when no line has it."""
    parts = [part.strip() for part in re.split(r" > |::|/", name) if part.strip()]
    lines = text.split("\n")
    for part in reversed(parts):
        spelled = {part, part.replace("_", " ")}
        start = next((n for n, line in enumerate(lines) if any(_holds(line, one) for one in spelled)), None)
        if start is not None:
            return "\n".join(lines[start : _end(lines, start)])
    return ""


def _holds(line: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line) is not None


def _end(lines: list[str], start: int) -> int:
    """The index after the block: after the first later line that is not blank and not indented deeper than its head,
    if it closes the block, else before it."""
    depth = len(lines[start]) - len(lines[start].lstrip())
    last = min(len(lines), start + _MOST_LINES)
    for number in range(start + 1, last):
        line = lines[number]
        if line.strip() and len(line) - len(line.lstrip()) <= depth:
            return number + 1 if line.strip()[0] in ")}]" or line.strip().startswith("end") else number
    return last


test_text.__test__ = False  # type: ignore[attr-defined]
