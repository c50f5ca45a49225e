"""Reads the reports of JavaScript test runners: the JSON of jest and vitest, which is the same, TAP as ava and tape
write it, and the JSON of Penstock's own reporters for mocha and node:test."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from .results import Outcome, TestCase

LOAD = "(load)"
"""The name of the case that says whether a file could be loaded."""
_JEST: dict[str, Outcome] = {"passed": "passed", "failed": "failed", "pending": "skipped", "skipped": "skipped",
                             "todo": "skipped", "disabled": "skipped", "focused": "passed"}  # fmt: skip
_OWN: dict[str, Outcome] = {"passed": "passed", "failed": "failed", "skipped": "skipped"}
_FRAME = re.compile(r"(?:file://)?(/[^\s():]+|(?:[\w.@-]+/)+[\w.@-]+\.[cm]?[jt]sx?):(\d{1,9})(?::\d+)?")
_COMPARED = re.compile(r"^Expected: (.{1,300})\nReceived: (.{1,300})$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TAP = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*?)(?:\s*#\s*(skip|todo)\b.*)?$", re.IGNORECASE)
_MOST_LINES = 200
_SEPARATOR = " > "


def jest_cases(report: bytes, inside: str) -> Iterator[TestCase] | None:
    """Reads the file that `jest --json` or vitest's reporter `json` writes; `inside` is the absolute path that the
    repository had. None when it is no such report."""
    content = _json(report)
    results = content.get("testResults") if isinstance(content, dict) else None
    return _jest(results, inside) if isinstance(results, list) else None


def _jest(results: list[Any], inside: str) -> Iterator[TestCase]:
    for result in filter(_is_object, results):
        file = relative(str(result.get("name") or result.get("testFilePath") or ""), inside)
        tests = [test for test in result.get("assertionResults") or [] if _is_object(test)]
        message = str(result.get("message") or "")
        if not tests and (result.get("status") == "failed" or message):
            path, line = place_of(message, inside)
            yield TestCase(f"{file}::{LOAD}", "error", None, message, path or file, line)
            continue
        yield TestCase(f"{file}::{LOAD}", "passed")
        for test in tests:
            outcome = _JEST.get(str(test.get("status")))
            if outcome is None:
                continue
            names = [*map(str, test.get("ancestorTitles") or []), str(test.get("title") or test.get("fullName"))]
            failure = "\n".join(map(str, test.get("failureMessages") or [])) if outcome == "failed" else ""
            failure = _compared_first(failure)
            path, line = place_of(failure, inside)
            yield TestCase(f"{file}::{name_of(names)}", outcome, _seconds(test.get("duration")), failure, path, line)


def _compared_first(message: str) -> str:
    """A failure of jest's matchers with both values in its first line, which is all that is shown of many failures."""
    plain = _COLOUR.sub("", message)
    found = _COMPARED.search(plain)
    if found is None or not plain.startswith("Error: expect("):
        return plain
    first, _, rest = plain.partition("\n")
    return f"expected {found[1]}, received {found[2]}: {first.removeprefix('Error: ').partition(' // ')[0]}\n{rest}"


def own_cases(report: bytes, inside: str, whole: str) -> Iterator[TestCase] | None:
    """Reads what Penstock's reporters for mocha (one object) and node:test (an object in each line) write. `whole` is
    the file that stands for tests without one. None when it is no such report."""
    content = _json(report)
    if isinstance(content, dict) and isinstance(content.get("tests"), list):
        return _own(content["tests"], inside, whole)
    lines = [_json(line) for line in report.splitlines()]
    return _own(lines, inside, whole) if any(_is_object(line) for line in lines) else None


def _own(tests: list[Any], inside: str, whole: str) -> Iterator[TestCase]:
    loaded: set[str] = set()
    for test in filter(_is_object, tests):
        names = [*map(str, test.get("names") or [])]
        file = relative(str(test.get("file") or ""), inside)
        outcome = _OWN.get(str(test.get("outcome")))
        if not names or outcome is None:
            continue
        first = relative(names[0], inside)
        if len(names) > 1 and names[0] != first and re.search(r"\.[cm]?[jt]sx?$", first):
            file, names = first, names[1:]  # node:test before 20 shows files as tests
        file = file or whole
        message = str(test.get("message") or "")
        path, line = place_of(message, inside)
        if test.get("isFile"):
            if outcome == "failed" and not test.get("inner") and file not in loaded:
                loaded.add(file)
                yield TestCase(f"{file}::{LOAD}", "error", None, message, path, line)
            continue
        if file not in loaded:
            loaded.add(file)
            yield TestCase(f"{file}::{LOAD}", "passed")
        if test.get("suite") and (outcome == "passed" or test.get("inner")):
            continue
        yield TestCase(f"{file}::{name_of(names)}", outcome, _seconds(test.get("ms")), message, path, line)


def tap_cases(output: bytes, inside: str, file_of: Callable[[str], tuple[str, str]]) -> Iterator[TestCase]:
    """Reads TAP (https://testanything.org): `file_of` gives the file and the name of a test from its description, which
    for tape is the comment before its assertions."""
    comment, failing, message = "", None, []
    seen: dict[str, TestCase] = {}

    def add(name: str, outcome: Outcome, said: list[str]) -> None:
        file, own = file_of(name)
        text = "\n".join(said)
        path, line = place_of(text, inside)
        case = TestCase(f"{file}::{own or '(unnamed)'}", outcome, None, text, path, line)
        known = seen.get(case.id)
        if known is None or (known.outcome != "failed" and outcome == "failed"):
            seen[case.id] = case

    for line in output.decode(errors="replace").splitlines():
        if failing is not None:
            if line.startswith((" ", "\t")) and len(message) < _MOST_LINES:
                message.append(line.strip())
                continue
            add(failing, "failed", message)
            failing = None
        found = _TAP.match(line)
        if line.startswith("# ") and not re.match(
            r"# (penstock|tests|pass|fail|ok|skip|todo|suites|duration_ms|cancelled)\b", line
        ):
            comment = "" if line.startswith("# Subtest") else line[2:].strip()
        elif found:
            name = comment if comment else found[3]
            if found[4]:
                add(name, "skipped", [])
            elif found[1]:
                failing, message = name, [found[3]]
            else:
                add(name, "passed", [])
    if failing is not None:
        add(failing, "failed", message)
    yield from seen.values()


def name_of(names: list[str]) -> str:
    """The name of a test from its own and those around it, in one line."""
    return " ".join(_SEPARATOR.join(name for name in names if name).split())[:800] or "(unnamed)"


def relative(path: str, inside: str) -> str:
    """A path as it is in the repository, if it was below `inside`."""
    return path.removeprefix("file://").removeprefix(f"{inside}/").removeprefix("./")


def place_of(message: str, inside: str) -> tuple[str, int]:
    """The first place of the repository that a message names, not one of an installed package."""
    for found in _FRAME.finditer(message[:50_000]):
        path = relative(found[1], inside)
        if not path.startswith("/") and "node_modules/" not in path and not path.startswith(("node:", ".penstock/")):
            return path, int(found[2])
    return "", 0


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _seconds(milliseconds: object) -> float | None:
    return round(float(milliseconds) / 1000, 4) if isinstance(milliseconds, int | float) else None
