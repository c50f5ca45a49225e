"""Reads the output of `go test -json` (https://pkg.go.dev/cmd/test2json), a stream of JSON objects by line."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .results import Outcome, TestCase

BUILD = "(build)"
"""The name of the case that says whether a package's tests could be compiled."""
_OUTCOMES: dict[str, Outcome] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_FRAME = re.compile(r"^\s*(?:=== .*|--- (?:PASS|FAIL|SKIP).*|PASS|FAIL|exit status \d+)\s*$")
_PLACE = re.compile(r"(?:^|[\s(])((?:[\w.-]+/)*[\w.-]+\.go):(\d+)")
_MOST_LINES = 400
"""Lines of output that are kept of one test."""


@dataclass
class _Package:
    tests: dict[str, list[str]] = field(default_factory=dict)
    outcomes: dict[str, tuple[Outcome, float | None]] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    ended: str = ""


def go_cases(output: bytes, errors: bytes, place: Callable[[str, str], str]) -> Iterator[TestCase]:
    """The tests of a run. `errors` is its standard error, where older versions say what does not compile; `place` gives
    the file, relative to the root, of a test by its package's import path and its name (empty for the package itself).
    """
    packages: dict[str, _Package] = {}
    plain: list[str] = []
    for line in output.decode(errors="replace").splitlines():
        event = _event(line)
        if event is None:
            plain.append(line)
            continue
        action, name = str(event.get("Action", "")), str(event.get("Package") or event.get("ImportPath") or "")
        package = packages.setdefault(name.partition(" ")[0], _Package())
        _add(package, action, event)
    said = "\n".join(plain) + "\n" + errors.decode(errors="replace")
    compiled = _compiler_output(said)
    for name, package in packages.items():
        yield from _cases(name, package, compiled.get(name, ""), place)


def _event(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "Action" in event else None


def _add(package: _Package, action: str, event: dict[str, object]) -> None:
    test, text = event.get("Test"), str(event.get("Output", ""))[:4000]
    elapsed = event.get("Elapsed")
    seconds = float(elapsed) if isinstance(elapsed, int | float) else None
    if action == "build-output":
        package.built = [*package.built[-_MOST_LINES:], text]
    elif isinstance(test, str):
        lines = package.tests.setdefault(test[:1000], [])
        if action == "output" and len(lines) < _MOST_LINES:
            lines.append(text)
        elif action in _OUTCOMES:
            package.outcomes[test[:1000]] = _OUTCOMES[action], seconds
    elif action == "output" and len(package.output) < _MOST_LINES:
        package.output.append(text)
    elif action in _OUTCOMES:
        package.ended = action


def _cases(name: str, package: _Package, compiled: str, place: Callable[[str, str], str]) -> Iterator[TestCase]:
    if not package.tests and package.ended == "skip":
        return  # it has no test files
    built = "".join(line for line in package.built if not line.startswith("# ")) or compiled
    at = place(name, "")
    if package.ended == "fail" and not package.tests:
        message = built or "".join(line for line in package.output if not _FRAME.match(line))
        file, line = _place(message, "")
        yield TestCase(f"{at}::{BUILD}", "error", None, message, file, line)
        return
    if package.tests or package.ended:
        yield TestCase(f"{at}::{BUILD}", "passed")
    for test, lines in package.tests.items():
        known = package.outcomes.get(test) or (("failed", None) if package.ended == "fail" else None)
        if known is None:
            continue  # it was stopped before its end
        outcome, seconds = known
        if outcome == "failed" and package.ended == "pass":
            continue  # a suite within a test that checks how suites fail; a test that failed would end its package so
        message = "".join(line for line in lines if not _FRAME.match(line)) if outcome == "failed" else ""
        if outcome == "failed" and not message.strip():
            message = _without_own(test, package)
        file, number = _place(message, at)
        yield TestCase(f"{place(name, test)}::{test}", outcome, seconds, message, file, number)


def _without_own(test: str, package: _Package) -> str:
    """Why a test failed that says nothing itself: which of its subtests did, else what the package said."""
    failed = [
        name for name, (outcome, _) in package.outcomes.items() if outcome == "failed" and name.startswith(f"{test}/")
    ]
    if failed:
        return f"{failed[0]} failed"
    return "".join(line for line in package.output if not _FRAME.match(line))


def _place(message: str, folder: str) -> tuple[str, int]:
    found = _PLACE.search(message)
    if found is None:
        return "", 0
    path = found[1] if "/" in found[1] or not folder else f"{folder}/{found[1]}"
    return path.removeprefix("./"), int(found[2][:9])


def _compiler_output(text: str) -> dict[str, str]:
    """What the compiler said by import path: after a line `# IMPORT_PATH` or `# IMPORT_PATH [IMPORT_PATH.test]`."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines()[:5000]:
        head = re.match(r"# (\S+)(?: \[\S+\])?$", line)
        if head:
            current = found.setdefault(head[1], [])
        elif current is not None and line.strip() and not line.startswith(("FAIL", "ok ", "?")):
            current.append(line)
    return {name: "\n".join(lines[:100]) for name, lines in found.items()}
