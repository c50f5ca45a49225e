"""Reads what `cargo test` says: its JSON messages about compiling, between them the text of libtest and of rustdoc.

Stable toolchains have no machine-readable report of tests, so their text is read, in the forms of Rust 1.60 and newer.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .results import Outcome, TestCase

BUILD = "(build)"
"""The name of the case that says whether a target could be compiled, and ran to its end."""
RUN = "(run)"
"""The name of the only case of a target that has a harness of its own."""
_MOST_LINES = 400
_RUNNING = re.compile(r"^\s+Running (?:unittests )?(\S*)\s*\((.+)\)$")
_DOCS = re.compile(r"^\s+Doc-tests (\S+)$")
_TEST = re.compile(r"^test (.+?)(?: - (?:should panic|compile|compile fail))? \.\.\. ?(.*)$")
_VERDICT = re.compile(r"(ok|FAILED|ignored)(?:, .*| \(.*\)| <.*>)?$")
_OUTPUT = re.compile(r"^---- (.+?)(?: - (?:should panic|compile|compile fail))? (?:stdout|stderr) ----$")
_FAILED_TARGET = re.compile(r"^error: (?:test|doctest) failed, to rerun pass ")
_EXIT = re.compile(r"process didn't exit successfully: .*\((.*)\)$")
_DOC_TEST = re.compile(r"^(\S.*?\.(?:rs|md)) - (?:(.*?) )?\(line \d+\)(?: - .*)?$")
_PANIC = re.compile(r"panicked at (?:'(?:.|\n)*?', )?([^\s:'/][^:\n']*\.rs):(\d+)(?::\d+)?")
_ANY_PLACE = re.compile(r"(?:^|[\s(])([\w.-]+(?:/[\w.-]+)*\.rs):(\d+)")
_NOTE = re.compile(r"^note: run with `RUST_BACKTRACE=1`.*\n?", re.MULTILINE)
_OUTCOMES: dict[str, Outcome] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


@dataclass(frozen=True)
class Places:
    """Where things are in the repository: `source` makes a path that a tool gives relative to the root (empty for one
    outside), `unit` names the file of a test by its target's file and its name, `doc` by its crate and the file that
    rustdoc names."""

    source: Callable[[str], str]
    unit: Callable[[str, str], str]
    doc: Callable[[str, str], str]


@dataclass
class _Section:
    """What one test program, or the doc tests of one crate, said."""

    source: str
    crate: str = ""
    libtest: bool = False
    ended: bool = False
    failed: bool = False
    why: str = ""
    waiting: str = ""
    outcomes: dict[str, Outcome | None] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def cargo_cases(output: bytes, manifest: str, places: Places) -> Iterator[TestCase]:
    """The tests of a run, whose standard output and standard error are one stream. `manifest` is the file that gets the
    case for dependencies and build scripts."""
    built: dict[str, bool] = {}
    broken: dict[str, list[dict[str, Any]]] = {}
    programs: dict[str, str] = {}
    sections: list[_Section] = []
    plain: list[str] = []
    finished: list[bool] = []
    current: _Section | None = None
    for line in output.decode(errors="replace").splitlines():
        message = _message(line)
        if message is not None:
            _note(message, places, built, broken, programs, finished)
        elif found := _RUNNING.match(line):
            program = found[2].rpartition("/")[2]
            current = _Section(programs.get(program) or places.source(found[1]) or manifest)
            sections.append(current)
        elif found := _DOCS.match(line):
            current = _Section("", found[1])
            sections.append(current)
        elif current is not None:
            _read(current, line)
        else:
            plain = [*plain[-_MOST_LINES:], line]
    yield from _compiled(manifest, built, broken, finished, plain, bool(sections), places)
    for section in sections:
        yield from _cases(section, places, broken)


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"reason":'):
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _note(
    message: dict[str, Any],
    places: Places,
    built: dict[str, bool],
    broken: dict[str, list[dict[str, Any]]],
    programs: dict[str, str],
    finished: list[bool],
) -> None:
    if message.get("reason") == "build-finished":
        finished.append(bool(message.get("success")))
        return
    target, profile = message.get("target"), message.get("profile")
    if not isinstance(target, dict) or "custom-build" in (target.get("kind") or ()):
        return
    source = places.source(str(target.get("src_path", "")))
    if not source:
        return
    if message.get("reason") == "compiler-artifact" and isinstance(profile, dict):
        if profile.get("test") and isinstance(message.get("executable"), str):
            programs[message["executable"].rpartition("/")[2]] = source
            built[source] = True
    elif message.get("reason") == "compiler-message" and isinstance(message.get("message"), dict):
        told = message["message"]
        if str(told.get("level", "")).startswith("error") and told.get("spans") is not None:
            broken.setdefault(source, []).append(told)


def _compiled(
    manifest: str,
    built: dict[str, bool],
    broken: dict[str, list[dict[str, Any]]],
    finished: list[bool],
    plain: list[str],
    ran: bool,
    places: Places,
) -> Iterator[TestCase]:
    """A case for each target, and one for what is built before them."""
    for source in built:
        if source not in broken:
            yield TestCase(f"{source}::{BUILD}", "passed")
    for source, errors in broken.items():
        told = (str(error.get("rendered") or error.get("message") or "") for error in errors[:40])
        text = "\n".join(dict.fromkeys(told))  # a library is compiled twice, with its tests and without
        path, line = _span(errors, places)
        yield TestCase(f"{source}::{BUILD}", "error", None, text, path, line)
    if finished[:1] == [True] or broken or ran:
        yield TestCase(f"{manifest}::{BUILD}", "passed")
    elif finished or any(line.startswith("error") for line in plain):
        start = next((at for at, line in enumerate(plain) if line.startswith("error")), 0)
        yield TestCase(f"{manifest}::{BUILD}", "error", None, "\n".join(plain[start:]), manifest, 0)


def _span(errors: list[dict[str, Any]], places: Places) -> tuple[str, int]:
    for error in errors:
        spans = error.get("spans")
        for span in spans if isinstance(spans, list) else ():
            if isinstance(span, dict) and span.get("is_primary") and isinstance(span.get("line_start"), int):
                path = places.source(str(span.get("file_name", "")))
                if path:
                    return path, span["line_start"]
    return "", 0


def _read(section: _Section, line: str) -> None:
    """Reads one line of what a test program said."""
    if _FAILED_TARGET.match(line):
        section.failed, section.waiting = True, ""
        return
    if (found := _EXIT.search(line)) and section.failed:
        section.why = section.why or found[1]
        return
    if re.match(r"^running \d+ tests?$", line):
        section.libtest, section.ended, section.waiting = True, False, ""
    elif line.startswith("test result: "):
        section.ended = True
        section.waiting = ""
    elif section.libtest and (found := _OUTPUT.match(line)):
        section.waiting = found[1]
        section.messages.setdefault(found[1], [])
    elif section.libtest and line in ("failures:", "successes:"):
        section.waiting = line
    elif section.waiting in ("failures:", "successes:"):
        if section.waiting == "failures:" and line.startswith("    "):
            section.outcomes[_without_kind(line[4:])] = "failed"
    elif section.waiting:
        lines = section.messages[section.waiting]
        if len(lines) < _MOST_LINES:
            lines.append(line)
    elif section.libtest and not section.ended and (found := _TEST.match(line)):
        verdict = _VERDICT.search(found[2])
        section.outcomes[found[1][:1000]] = _OUTCOMES[verdict[1]] if verdict else None
    elif len(section.said) < _MOST_LINES:
        section.said.append(line)


def _without_kind(name: str) -> str:
    return re.sub(r" - (?:should panic|compile|compile fail)$", "", name)[:1000]


def _cases(section: _Section, places: Places, broken: dict[str, list[dict[str, Any]]]) -> Iterator[TestCase]:
    documented: dict[str, int] = {}
    for name, outcome in section.outcomes.items():
        if outcome is None and not section.ended:
            continue  # it was stopped before its end
        found = _DOC_TEST.match(name) if section.crate else None
        if found:
            file, item = places.doc(section.crate, found[1]), found[2] or "crate"
            count = documented[f"{file}::{item}"] = documented.get(f"{file}::{item}", 0) + 1
            named = f"{item} (doc{'' if count == 1 else f' {count}'})"
        else:
            file, named = places.unit(section.source, name) if section.source else section.crate, name
        message = ""
        if outcome == "failed":
            lines = section.messages.get(name) or []
            message = _NOTE.sub("", "\n".join(lines)).strip()
        path, line = _place(message, places)
        yield TestCase(f"{file}::{named}", outcome or "passed", None, message, path, line)
    if section.crate or section.source in broken:
        return
    if not section.libtest:
        said = "\n".join([section.why, *section.said]).strip() if section.failed else ""
        path, line = _place(said, places)
        yield TestCase(f"{section.source}::{RUN}", "failed" if section.failed else "passed", None, said, path, line)
    elif section.failed and not section.ended:
        said = "\n".join([f"The test program ended early ({section.why or 'no reason is known'}).", *section.said])
        yield TestCase(f"{section.source}::{BUILD}", "error", None, said, section.source, 0)


def _place(message: str, places: Places) -> tuple[str, int]:
    """The first place in the repository that a message names."""
    for pattern in (_PANIC, _ANY_PLACE):
        for found in pattern.finditer(message):
            path = places.source(found[1])
            if path:
                return path, int(found[2][:9])
    return "", 0
