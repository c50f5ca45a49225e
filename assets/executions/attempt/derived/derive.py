"""Derives a test from an issue's text: claims are found, looked at on the unchanged commit, and written as a test."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from assets.executions.attempt.derived.choose import Choice, choose
from assets.executions.attempt.derived.claims import MOST_CLAIMS, Claim
from assets.executions.attempt.derived.commands import claims_of_console, is_console, merged
from assets.executions.attempt.derived.doctests import claims_of_session, is_session
from assets.executions.attempt.derived.probe import look, probe_module
from assets.executions.attempt.derived.project_names import ProjectNames
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.sentences import claims_of_paragraph
from assets.executions.attempt.derived.snippets import claims_of_snippet, is_snippet
from assets.executions.attempt.derived.tables import claims_of_table, is_table
from assets.executions.attempt.derived.test_file import place, render
from assets.executions.attempt.derived.tracebacks import claims_of_traceback, traces_in
from assets.executions.repository.test_command import TestCommand
from assets.executions.trial.baseline import Allowance
from assets.executions.trial.worker_client import Worker


@dataclass(frozen=True)
class Evidence:
    """What an issue holds: its claims, sentences about code that is not used, and tracebacks without a call."""

    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Derived:
    """A test file that was derived: its path and text, and from which kinds of evidence."""

    path: str
    text: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NotDerived:
    """`notes` say what was seen of the issue's examples, `missing` what a person should add."""

    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def evidence_in(text: str, names: ProjectNames, scripts: Mapping[str, str]) -> Evidence:
    """The claims of an issue's text, at most `MOST_CLAIMS`, the more explicit kinds of evidence first. Executes nothing
    and never raises."""
    reading = Reading(text, names)
    paths = tuple(names.modules.values())
    kinds: dict[str, list[Claim]] = {kind: [] for kind in ("example", "table", "traceback", "command", "sentence")}
    missing: list[str] = []
    for at, block in enumerate(reading.blocks):
        traces = traces_in(block.text, paths) if "Traceback (most" in block.text else []
        if is_session(block):
            kinds["example"] += claims_of_session(reading, at)
        elif is_console(block):
            kinds["command"] += claims_of_console(reading, at, scripts)
        elif traces:
            for trace in traces:
                found = claims_of_traceback(reading, at, trace)
                kinds["traceback"] += found
                if not found:
                    missing.append(
                        f"the traceback ends at {trace.place} ({trace.exception}), and the issue does not show the "
                        "call that leads there: which is it, with which arguments?"
                    )
        elif is_snippet(block, reading):
            kinds["example"] += claims_of_snippet(reading, at)
        elif not block.code and is_table(block.text):
            kinds["table"] += claims_of_table(reading, at)
        elif not block.code and not block.role:
            kinds["sentence"] += claims_of_paragraph(reading, at)
    kinds["command"] = merged(kinds["command"])
    claims = _distinct([claim for found in kinds.values() for claim in found])[:MOST_CLAIMS]
    if not claims and not missing:
        missing.append(_lacking(reading))
    return Evidence(tuple(claims), tuple(reading.refused), () if claims else tuple(missing))


def probe(worker: Worker, path: str, found: Evidence, allowance: Allowance) -> Choice:
    """Looks at claims in a worker that has their module at `path`. Raises `WorkerDied`."""
    choice = choose(found.claims, look(worker, path, found.claims, allowance))
    choice.notes = [*found.notes, *choice.notes]
    return choice


def written(choice: Choice, path: str, title: str, command: TestCommand) -> Derived | NotDerived:
    """The test file of a choice; else what is missing."""
    if not any(kept.fails for kept in choice.kept):
        return NotDerived(tuple(choice.notes), tuple(dict.fromkeys(choice.missing)))
    sources = tuple(dict.fromkeys(kept.claim.source for kept in choice.kept if kept.fails))
    text = render(choice.kept, title, unittest=command.runner == "unittest")
    return Derived(path, text, sources, tuple(choice.notes))


def question(missing: tuple[str, ...]) -> str:
    """What to ask on the issue."""
    asked = [f"{text[0].upper()}{text[1:]}" if not text.startswith("`") else text for text in missing[:3]]
    return " ".join(asked)


__all__ = ["Derived", "Evidence", "NotDerived", "ProjectNames", "evidence_in", "place", "probe", "probe_module",
           "question", "written"]  # fmt: skip


def _distinct(claims: list[Claim]) -> list[Claim]:
    """One claim for each call: what a later one states is added to the first."""
    found: dict[tuple[str, str], Claim] = {}
    for claim in claims:
        key = (claim.code, claim.subject)
        if key not in found:
            found[key] = claim
        elif found[key].shown is None:
            known = found[key]
            expected, actual = known.expected or claim.expected, known.actual or claim.actual
            found[key] = replace(known, expected=expected, actual=None if actual == expected else actual)
    return list(found.values())


def _lacking(reading: Reading) -> str:
    """What an issue without a claim lacks: a call, or what it gives and should give."""
    calls = [
        block
        for block in reading.blocks
        if (block.code and is_snippet(block, reading)) or is_session(block) or is_console(block)
    ]
    inline = any("`" in block.text and _named(reading, block.text) for block in reading.blocks if not block.code)
    if calls or inline:
        return "the issue shows a call, but not both what it gives and what it should give: which result is right?"
    return (
        "the issue shows no call of the program: a short example is needed, with its input, the right result, and the "
        "wrong result or the error that is seen."
    )


def _named(reading: Reading, text: str) -> bool:
    return any("(" in code and reading.mentions_project(code) for code in text.split("`")[1::2][:40])
