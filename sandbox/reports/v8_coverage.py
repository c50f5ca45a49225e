"""Reads the coverage that Node.js writes with NODE_V8_COVERAGE: counts of ranges of the sources that were loaded.

Its format is that of `Profiler.takePreciseCoverage` of the Chrome DevTools Protocol: offsets are in UTF-16 code units,
inner ranges follow outer ones.
"""

import json
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

_MOST_RANGES = 50_000
_MOST_SCRIPTS = 2_000


def executed_lines(report: bytes, inside: str, text_of: Callable[[str], str | None]) -> dict[str, frozenset[int]]:
    """The lines, from 1, that were executed of each file of the repository, which was at `inside`. `text_of` gives a
    file's text by its path. A script that is not its file's text, such as a translated one, is left out."""
    try:
        content = json.loads(report)
    except (ValueError, RecursionError):
        return {}
    scripts = content.get("result") if isinstance(content, dict) else None
    found: dict[str, frozenset[int]] = {}
    start = f"file://{inside}/"
    for script in scripts[:_MOST_SCRIPTS] if isinstance(scripts, list) else ():
        url = script.get("url") if isinstance(script, dict) else None
        if not isinstance(url, str) or not url.startswith(start) or "/node_modules/" in url or "%" in url:
            continue
        path = url.removeprefix(start)
        text = text_of(path)
        if text is None:
            continue
        lines = _lines(script.get("functions"), text)
        if lines:
            found[path] = found.get(path, frozenset()) | lines
    return found


def _lines(functions: Any, text: str) -> frozenset[int]:
    starts, numbers, size = _first_units(text)
    ranges = [
        (int(one["startOffset"]), int(one["endOffset"]), int(one["count"]))
        for function in (functions if isinstance(functions, list) else ())
        for one in (function.get("ranges") or () if isinstance(function, dict) else ())
        if isinstance(one, dict) and all(isinstance(one.get(k), int) for k in ("startOffset", "endOffset", "count"))
    ][:_MOST_RANGES]
    if not ranges or max(end for _, end, _ in ranges) != size:
        return frozenset()
    ran = [False] * len(starts)
    for first, last, count in sorted(ranges, key=lambda one: (one[0], -one[1])):
        begin, end = bisect_left(starts, first), bisect_left(starts, last)
        ran[begin:end] = [count > 0] * (end - begin)
    return frozenset(number for number, executed in zip(numbers, ran, strict=True) if executed)


def _first_units(text: str) -> tuple[list[int], list[int], int]:
    """Where the first character that is no space of each line is, the numbers of these lines, and the text's length,
    in UTF-16 code units. Lines without any are left out."""
    starts, numbers, at = [], [], 0
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.lstrip()
        if stripped.strip():
            starts.append(at + _units(line[: len(line) - len(stripped)]))
            numbers.append(number)
        at += _units(line) + 1
    return starts, numbers, at - 1


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
