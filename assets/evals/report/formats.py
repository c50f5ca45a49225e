"""A comparison as people and programs read it: HTML, Markdown, JSON and JUnit XML.

The HTML is one file without scripts or anything fetched. All text from cases, trajectories and subjects is
hostile and escaped. What the numbers mean was decided by `compare`; nothing is decided here.
"""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from assets.evals.compare import wording as words
from assets.evals.compare.breakdown import Stratum
from assets.evals.compare.comparison import Comparison
from assets.evals.runs.store import ResultStore
from assets.evals.runs.trajectories import Entry, SideBySide
from assets.shared.markdown import cell, code
from core.statistics import Effect, Interval, Verdict

from . import charts
from .summary import RunSummary, summarise, version_of, versions

if TYPE_CHECKING:
    import jinja2

FLIPS_SHOWN = 200
STRATA_SHOWN = 16
EARLIER_RUNS = 30
PAGES = 100
PAGES_BYTES = 32 << 20


def to_json(found: Comparison) -> dict[str, Any]:
    """Plain values; numbers that are not finite become null."""
    return {"sentence": found.sentence, **plain(found)}


def plain(value: Any) -> Any:
    """Dataclasses, models and enums as what JSON knows; numbers that are not finite become null."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_markdown(found: Comparison) -> str:
    """Short enough for the Dagster UI or a merge request."""
    lines = [f"**{cell(found.sentence)}**", ""]
    lines += [f"- {cell(remark)}" for remark in found.remarks]
    if found.verdict is Verdict.INCONCLUSIVE and found.needed:
        lines.append(f"- some {found.needed} such cases would show an equally good candidate to be not worse")
    if lines[-1]:
        lines.append("")
    lines += ["| metric | baseline | candidate | change | 95% interval | p (Holm) | verdict |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for effect in found.effects:
        interval = effect.interval
        span = f"{words.estimate(effect, interval.low)} to {words.estimate(effect, interval.high)}" if interval else ""
        cells = [
            effect.metric.name + (" (info)" if effect.metric.role == "info" else ""),
            words.level(effect, effect.baseline),
            words.level(effect, effect.candidate),
            words.estimate(effect, effect.estimate) if effect.estimate is not None else "",
            span,
            words.p_value(effect.p_adjusted),
            _said(effect),
        ]
        lines.append("| " + " | ".join(map(cell, cells)) + " |")
    for name, flips in (("lost", found.lost), ("gained", found.gained)):
        if flips:
            named = ", ".join(f"{code(flip.case)}" for flip in flips[:20]) + (" …" if len(flips) > 20 else "")
            lines += ["", f"{len(flips)} cases {name}: {named}"]
    if found.changes:
        lines += ["", "| changed | baseline | candidate |", "|---|---|---|"]
        lines += ["| " + " | ".join(map(cell, change)) + " |" for change in found.changes]
    return "\n".join(lines) + "\n"


def _said(effect: Effect) -> str:
    if effect.metric.role == "info":
        return effect.reason if effect.interval is None else "for information"
    return f"{effect.verdict}: {effect.reason}"


def to_junit(found: Comparison) -> str:
    """For a CI: a test case for the whole and each metric that decides; worse is a failure, inconclusive an error."""
    deciding = [effect for effect in found.effects if effect.metric.role != "info"]
    tests = [("verdict", found.verdict, found.sentence)]
    tests += [(effect.metric.name, effect.verdict, f"{words.change(effect)}: {effect.reason}") for effect in deciding]
    worse = sum(verdict is Verdict.WORSE for _, verdict, _ in tests)
    unsure = sum(verdict is Verdict.INCONCLUSIVE for _, verdict, _ in tests)
    record = found.candidate.record
    suite = ET.Element(
        "testsuite", name=f"penstock eval {record.set_name}", tests=str(len(tests)), failures=str(worse),
        errors=str(unsure), skipped="0", timestamp=record.started.strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip
    for name, verdict, said in tests:
        case = ET.SubElement(suite, "testcase", classname=f"{record.set_name}.{_xml(record.subject)}", name=name)
        if verdict is Verdict.WORSE:
            ET.SubElement(case, "failure", type="worse", message=_xml(said))
        elif verdict is Verdict.INCONCLUSIVE:
            ET.SubElement(case, "error", type="inconclusive", message=_xml(said))
        else:
            ET.SubElement(case, "system-out").text = _xml(f"{verdict}: {said}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Without the control characters that XML 1.0 has no way to write."""
    return "".join(one for one in text if one >= " " or one in "\t\n")


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"svg": _svg}
    environment.globals |= {
        "level": words.level,
        "estimate": words.estimate,
        "p_value": words.p_value,
        "amount": words.amount,
        "percent": lambda share: f"{100 * share:.0f}%",
    }
    return environment


def _svg(text: str) -> Any:
    """Marks what `charts` drew, where everything from data is escaped already, as markup."""
    import markupsafe

    return markupsafe.Markup(text)  # noqa: S704


def to_html(found: Comparison, store: ResultStore, pages: Mapping[str, str] = {}) -> str:
    """One page that stands alone, with the beginnings and ends of the first flipped cases' trajectories side by side.

    `pages` are the pages of flipped cases that lie beside it, by their names, to be linked to.
    """
    names = names_of(found)
    groups: dict[str, list[Stratum]] = {}
    for one in found.strata:
        groups.setdefault(one.name, []).append(one)
    drawn = [
        (name, charts.strata(rows, names)) for name, rows in groups.items() if 1 < len(rows) <= STRATA_SHOWN
    ]  # fmt: skip
    deciding, shown = split_roles(found.effects)
    lost, gained = side_by_side(found, store)
    return _templates().get_template("comparison.html").render(
        found=found,
        names=names,
        css_class=charts.CLASS[found.verdict],
        classes=charts.CLASS,
        forest=charts.forest(found.effects),
        strata=drawn,
        left_out=sorted(name for name, rows in groups.items() if len(rows) > STRATA_SHOWN),
        cost=charts.cost_against_success(found.points),
        effects=[*deciding, *shown],
        scatters=[(one, charts.scatter(one, names)) for one in found.scatters],
        trend=charts.trend(points_of(_earlier(found, store))),
        lost=_listed(lost, pages),
        gained=_listed(gained, pages),
        more_lost=max(0, len(found.lost) - FLIPS_SHOWN),
        more_gained=max(0, len(found.gained) - FLIPS_SHOWN),
    )  # fmt: skip


def split_roles(effects: tuple[Effect, ...]) -> tuple[list[Effect], list[Effect]]:
    """Those that decide, and those that only inform."""
    return [e for e in effects if e.metric.role != "info"], [e for e in effects if e.metric.role == "info"]


@dataclass(frozen=True)
class Listed:
    """A flipped case in the report, with a link to its own page if it has one."""

    sides: SideBySide
    page: str | None

    @property
    def excerpt(self) -> tuple[list[Entry] | None, list[Entry] | None]:
        return self.sides.baseline.excerpt, self.sides.candidate.excerpt


def _listed(cases: list[SideBySide], pages: Mapping[str, str]) -> list[Listed]:
    return [Listed(one, one.page if one.page in pages else None) for one in cases[:FLIPS_SHOWN]]


def side_by_side(found: Comparison, store: ResultStore) -> tuple[list[SideBySide], list[SideBySide]]:
    """Lost and gained cases with what both subjects did; nothing is read before it is shown."""
    runs = (found.baseline.record.run, found.candidate.record.run)
    lost, gained = (
        [SideBySide.of(store, runs, flip, change) for flip in flips[:FLIPS_SHOWN]]
        for change, flips in (("lost", found.lost), ("gained", found.gained))
    )
    return lost, gained


def flip_pages(found: Comparison, store: ResultStore) -> dict[str, str]:
    """A page for each flipped case that left a trajectory, up to a number and a size of all."""
    template, pages, size = _templates().get_template("flip.html"), {}, 0
    for cases in side_by_side(found, store):
        for one in cases[:PAGES]:
            if not one.kept or size > PAGES_BYTES:
                continue
            page = template.render(found=found, names=names_of(found), one=one)
            pages[one.page], size = page, size + len(page)
    return pages


def names_of(found: Comparison) -> tuple[str, str]:
    """What the two sides are called: their subjects, or their runs where it is one subject twice."""
    names = (found.baseline.record.subject, found.candidate.record.subject)
    return names if names[0] != names[1] else (found.baseline.record.run, found.candidate.record.run)


def _earlier(found: Comparison, store: ResultStore) -> list[RunSummary]:
    """The last runs of both subjects on the same cases; none where there are but these two."""
    record = found.candidate.record
    subjects = {found.baseline.record.subject, record.subject}
    same = [
        one for one in store.runs()
        if one.subject in subjects and (one.set_sha256, one.split) == (record.set_sha256, record.split)
    ]  # fmt: skip
    return [summarise(store, one) for one in same[-EARLIER_RUNS:]] if len(same) > 2 else []


def points_of(runs: Sequence[RunSummary]) -> list[tuple[str, str, float, Interval]]:
    """Runs as `charts.trend` draws them: a subject's runs on another version or split of the set are another line."""
    known = versions(runs)
    clash = len({one.record.set_version for one in runs}) < len(known)
    splits = len({one.record.split for one in runs}) > 1

    def line(one: RunSummary) -> str:
        which = [version_of(one, clash=clash)] if len(known) > 1 else []
        which += [one.record.split] if splits else []
        return f"{one.record.subject} ({', '.join(which)})" if which else one.record.subject

    return [
        (one.record.started.strftime("%d %b %H:%M"), line(one), one.success, one.interval)
        for one in runs
        if one.success is not None and one.interval is not None
    ]


def parts_of(found: Comparison, store: ResultStore) -> dict[str, str]:
    """Every form of a report, by file name; pages of flipped cases lie in `flips/`."""
    pages = flip_pages(found, store)
    return {
        "report.html": to_html(found, store, pages),
        **pages,
        "report.md": to_markdown(found),
        "report.json": json.dumps(to_json(found), indent=2, ensure_ascii=False) + "\n",
        "junit.xml": to_junit(found),
    }


def set_html(name: str, runs: list[RunSummary]) -> str:
    """All runs of a set on one page: success over time by subject, and a table."""
    page = _templates().get_template("set.html")
    return page.render(name=name, runs=runs, versions=versions(runs), chart=charts.trend(points_of(runs)))
