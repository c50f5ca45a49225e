"""Results as a table of probes by backends: a page in Markdown, and the same cells for a terminal."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from sandbox.protocol import Sandbox

from .record import Outcome, ProbeResult

_SHORT = {Outcome.HELD: "held", Outcome.BROKEN: "BROKEN", Outcome.NOT_APPLICABLE: "n/a"}
_INTRODUCTION = """\
Each probe tries to break out of the sandbox, or to exceed one of its limits, and the page says what it met. *Held*
means that the attempt reached nothing; for what must work, that it works. *n/a* means that the machine lacks the
mechanism.
The tests of Penstock run the same probes without a sandbox and without the proxy's rules, where each gets through.
What limits a command, and by which mechanism, is in [sandbox.md](sandbox.md)."""


def columns(results: Sequence[ProbeResult]) -> list[str]:
    """The backends, in the order of the results."""
    return list(dict.fromkeys(one.backend for one in results))


def families(results: Sequence[ProbeResult]) -> Iterator[tuple[str, list[list[ProbeResult]]]]:
    """Each family, with its probes; of each probe the result on each backend that ran it."""
    for family in dict.fromkeys(one.family for one in results):
        names = dict.fromkeys(one.probe for one in results if one.family == family)
        yield family, [[one for one in results if (one.family, one.probe) == (family, name)] for name in names]


def word(result: ProbeResult | None) -> str:
    return "" if result is None else _SHORT[result.outcome]


def summary(results: Sequence[ProbeResult], backend: str) -> str:
    """How many probes of a backend held."""
    mine = [one.outcome for one in results if one.backend == backend]
    counts = {outcome: mine.count(outcome) for outcome in Outcome}
    text = f"{counts[Outcome.HELD]} of {len(mine) - counts[Outcome.NOT_APPLICABLE]} probes held"
    return f"{text}, {counts[Outcome.NOT_APPLICABLE]} not applicable" if counts[Outcome.NOT_APPLICABLE] else text


def version(sandbox: Sandbox) -> str:
    """The version of a backend's program; empty when it has none to tell."""
    tell = getattr(sandbox, "version", None)
    return str(tell()) if tell is not None else ""


def markdown(results: Sequence[ProbeResult], versions: Mapping[str, str], user: str, on: date) -> str:
    """A page. `versions` are those of the backends' programs; `user` says as whom the probes ran."""
    lines = ["# What the sandbox withstands", "", _INTRODUCTION, ""]
    lines += [f"Measured on {on:%-d %B %Y} with Linux {platform.release()} ({platform.machine()}), {user}, by:", ""]
    lines += ["    penstock sandbox probe --markdown", "", "| backend | version | result |", "|---|---|---|"]
    lines += [f"| {one} | {versions.get(one, '')} | {summary(results, one)} |" for one in columns(results)]
    for family, probes in families(results):
        backends = [one for one in columns(results) if any(r.backend == one for probe in probes for r in probe)]
        lines += ["", f"## {family[0].upper()}{family[1:]}", ""]
        lines += [f"| probe | what it tries | {' | '.join(backends)} |", "|---|---|" + "---|" * len(backends)]
        for probe in probes:
            cells = {one.backend: f"**{word(one)}**: {_cell(one.evidence)}" for one in probe}
            shown = " | ".join(cells.get(backend, "") for backend in backends)
            lines.append(f"| {_cell(probe[0].probe)} | {_cell(probe[0].attempt)} | {shown} |")
    return "\n".join(lines) + "\n"


def _cell(text: str, most: int = 160) -> str:
    """A text for a cell of a Markdown table: on one line, without control characters and markup."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shown = plain if len(plain) <= most else f"{plain[:most]}…"
    for mark in "\\`*_|<[":
        shown = shown.replace(mark, f"\\{mark}")
    return shown
