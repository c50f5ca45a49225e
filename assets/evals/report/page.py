"""HTML pages of a comparison, of its flipped cases, and of all runs of a set. The verdict comes from `compare`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assets.evals.compare import wording as words
from assets.evals.compare.breakdown import Stratum
from assets.evals.compare.comparison import Comparison
from assets.evals.runs.store import ResultStore
from assets.evals.runs.trajectories import Entry, SideBySide
from assets.shared import charts
from assets.shared.charts import Mark, Row
from assets.shared.pages import templates
from core.statistics import Effect, Interval

from .summary import RunSummary, summarise, version_of, versions

if TYPE_CHECKING:
    import jinja2

FLIPS_SHOWN = 200
STRATA_SHOWN = 16
EARLIER_RUNS = 30
PAGES = 100
PAGES_BYTES = 32 << 20


def to_html(found: Comparison, store: ResultStore, pages: Mapping[str, str] = {}) -> str:
    """One self-contained page, with excerpts of the first flipped cases' trajectories side by side.

    `pages` are the pages of flipped cases (`flip_pages`) to link to, by their path relative to this page.
    """
    names = names_of(found)
    groups: dict[str, list[Stratum]] = {}
    for one in found.strata:
        groups.setdefault(one.name, []).append(one)
    lost, gained = side_by_side(found, store)
    return _template("comparison.html").render(
        found=found,
        names=names,
        classes=charts.CLASS,
        forest=charts.intervals(
            [_effect(one) for one in found.effects if one.gain is not None],
            1.0, "Effects with 95% intervals, in units of each metric's margin", furthest=6.0,
        ),
        strata=[
            (name, charts.rates(
                [_stratum(one) for one in rows], f"Success by {name}", {"baseline": names[0], "candidate": names[1]}
            ))
            for name, rows in groups.items() if 1 < len(rows) <= STRATA_SHOWN
        ],
        left_out=sorted(name for name, rows in groups.items() if len(rows) > STRATA_SHOWN),
        cost=charts.cost_against_success(found.points),
        effects=sorted(found.effects, key=lambda effect: effect.metric.role == "info"),
        scatters=[
            (one, charts.scatter(
                one.points, one.cases, (f"{names[0]}{', ' + one.unit if one.unit else ''}", names[1]),
                f"{one.metric} case by case",
            ))
            for one in found.scatters
        ],
        trend=charts.trend(points_of(_earlier(found, store))),
        lost=_listed(lost, pages),
        gained=_listed(gained, pages),
        more_lost=max(0, len(found.lost) - FLIPS_SHOWN),
        more_gained=max(0, len(found.gained) - FLIPS_SHOWN),
    )  # fmt: skip


def _template(name: str) -> "jinja2.Template":
    return templates(Path(__file__).parent / "templates").get_template(
        name,
        globals={
            "level": words.level, "estimate": words.estimate, "p_value": words.p_value, "amount": words.amount,
            "percent": lambda share: f"{100 * share:.0f}%",
        },
    )  # fmt: skip


def _effect(effect: Effect) -> Row:
    """An effect in units of its metric's margin, with its sign turned so that right is better."""
    value = effect.estimate or effect.neutral
    if effect.metric.kind == "ratio":
        value = math.log(value) if value > 0 else -math.inf
    gain = effect.gain or Interval(0.0, 0.0)
    mark = Mark(
        (value if effect.metric.better == "higher" else -value) / effect.allowance,
        Interval(gain.low / effect.allowance, gain.high / effect.allowance),
        "info" if effect.metric.role == "info" else charts.CLASS[effect.verdict],
    )
    ends = effect.interval or Interval(math.nan, math.nan)
    span = f"{words.estimate(effect, ends.low)} to {words.estimate(effect, ends.high)}"
    unit = " points" if effect.metric.kind == "rate" else ""
    note = f"{words.estimate(effect, effect.estimate)}{unit} ({span}), {effect.cases} cases"
    return Row(effect.metric.name.replace("_", " "), (mark,), note)


def _stratum(one: Stratum) -> Row:
    baseline = Mark(one.baseline, one.baseline_interval, "baseline")
    candidate = Mark(one.candidate, one.candidate_interval, "candidate")
    return Row(one.value, (baseline, candidate), f"{one.baseline:.0%} to {one.candidate:.0%}, {one.cases} cases")


@dataclass(frozen=True)
class Listed:
    """A flipped case in the report, with the path of its own page if it has one."""

    sides: SideBySide
    page: str | None

    @property
    def excerpt(self) -> tuple[list[Entry] | None, list[Entry] | None]:
        return self.sides.baseline.excerpt, self.sides.candidate.excerpt


def _listed(cases: list[SideBySide], pages: Mapping[str, str]) -> list[Listed]:
    return [Listed(one, one.page if one.page in pages else None) for one in cases[:FLIPS_SHOWN]]


def side_by_side(found: Comparison, store: ResultStore) -> tuple[list[SideBySide], list[SideBySide]]:
    """The lost and the gained cases, with the files of both runs. Files are only read when shown."""
    runs = (found.baseline.record.run, found.candidate.record.run)
    lost, gained = (
        [SideBySide.of(store, runs, flip, change) for flip in flips[:FLIPS_SHOWN]]
        for change, flips in (("lost", found.lost), ("gained", found.gained))
    )
    return lost, gained


def flip_pages(found: Comparison, store: ResultStore) -> dict[str, str]:
    """The page of each flipped case with a stored trajectory or patch, by its relative path: at most `PAGES` lost and
    `PAGES` gained cases, and about `PAGES_BYTES` in all."""
    template, pages, size = _template("flip.html"), {}, 0
    for cases in side_by_side(found, store):
        for one in cases[:PAGES]:
            if not one.kept or size > PAGES_BYTES:
                continue
            page = template.render(found=found, names=names_of(found), one=one)
            pages[one.page], size = page, size + len(page)
    return pages


def names_of(found: Comparison) -> tuple[str, str]:
    """The display names of baseline and candidate: their subjects, or their runs if both have the same subject."""
    names = (found.baseline.record.subject, found.candidate.record.subject)
    return names if names[0] != names[1] else (found.baseline.record.run, found.candidate.record.run)


def _earlier(found: Comparison, store: ResultStore) -> list[RunSummary]:
    """The last runs of both subjects on the same cases; empty if there are only these two."""
    record = found.candidate.record
    subjects = {found.baseline.record.subject, record.subject}
    same = [
        one for one in store.runs()
        if one.subject in subjects and (one.set_sha256, one.split) == (record.set_sha256, record.split)
    ]  # fmt: skip
    return [summarise(store, one) for one in same[-EARLIER_RUNS:]] if len(same) > 2 else []


def points_of(runs: Sequence[RunSummary]) -> list[tuple[str, str, float, Interval]]:
    """Runs as points for `charts.trend`: one line per subject, version of the set and split."""
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


def set_html(name: str, runs: list[RunSummary]) -> str:
    """All runs of a set on one page: a chart of success over time by subject, and a table."""
    return _template("set.html").render(
        name=name, runs=runs, versions=versions(runs), chart=charts.trend(points_of(runs))
    )
