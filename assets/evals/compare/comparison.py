"""Compares two runs of one set case by case: effects, a verdict, and the evidence for it.

Runs that cannot be compared are refused, and a comparison with too many missing results is `inconclusive`. Not for
presentation, which is in `report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.evals.runs.early_stop import read_decision
from assets.evals.runs.results import RunRecord
from assets.evals.runs.store import ResultStore
from assets.evals.runs.subject import CaseOutcome
from core.statistics import (
    Effect,
    MetricSpec,
    Verdict,
    cases_for_margin,
    conclude,
    effect_for_rate,
    kish_size,
)

from .breakdown import Flip, Scatter, Stratum, cost_points, flips, scatters, strata
from .pairing import pair_cases, paired_effect
from .wording import change, counted

if TYPE_CHECKING:
    import polars


OVERLOADED = 1.5
BUSIER = 1.5
"""Two runs cannot be compared if one had a mean load per core of at least `OVERLOADED` and of at least `BUSIER` times
the other's: within a time limit, its subject got less done."""


class NotComparable(ValueError):
    """The two runs cannot be compared; the message names the difference that prevents it."""


@dataclass(frozen=True)
class Side:
    """One run in a comparison. `rows` counts its results, `infrastructure` those lost; `absent` are cases that its
    machine could not run; `flaky` are cases whose repeats ended differently; `load` is the mean load per core (1.0: all
    cores busy), None if it was not measured."""

    record: RunRecord
    rows: int
    infrastructure: int
    flaky: tuple[str, ...]
    load: float | None = None
    absent: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        return self.record.cases * self.record.repeats


@dataclass(frozen=True)
class Comparison:
    """Everything that a report shows. `sentence` states the verdict; `remarks` what else a reader must know."""

    baseline: Side
    candidate: Side
    cases: int
    clusters: int
    effects: tuple[Effect, ...]
    verdict: Verdict
    reason: str
    remarks: tuple[str, ...]
    changes: tuple[tuple[str, str, str], ...]
    """The versions that differ: name, the baseline's, the candidate's."""
    lost: tuple[Flip, ...]
    gained: tuple[Flip, ...]
    strata: tuple[Stratum, ...]
    detectable: float | None
    """The smallest change of the primary rate that these cases detect with a power of 80%."""
    ended_early: bool = False
    """Whether the candidate's run ended because it was found worse than this baseline."""
    needed: int | None = None
    """The number of cases, in clusters like these, that shows an equal candidate to be not worse, with 80% power."""
    points: tuple[tuple[str, float, float], ...] = ()
    """Cost against success (`breakdown.cost_points`)."""
    scatters: tuple[Scatter, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict, the metrics that decided it, and the cases it is based on."""
        candidate, baseline = self.candidate.record.subject, self.baseline.record.subject
        if candidate == baseline:
            candidate, baseline = self.candidate.record.run, self.baseline.record.run
        record = self.candidate.record
        over = f"over {counted(self.cases, 'case')} in {counted(self.clusters, 'cluster')} of "
        over += f"{record.set_name} {record.set_version}"
        deciding = [effect for effect in self.effects if effect.metric.role != "info"]
        primary = [effect for effect in deciding if effect.metric.role == "primary"]
        if self.verdict is Verdict.INCONCLUSIVE:
            known = "".join(f"; {one.metric.words} {change(one)}" for one in primary[:1] if one.interval is not None)
            return f"Inconclusive: {candidate} may or may not be worse than {baseline}: {self.reason}{known} ({over})."
        decided = [effect for effect in deciding if effect.verdict is self.verdict]
        shown = (primary if self.verdict is Verdict.NOT_WORSE else decided) or decided or deciding
        if self.ended_early:
            return f"Worse: {candidate} is worse than {baseline}: {self.reason} ({over})."
        changes = "; ".join(f"{effect.metric.words} {change(effect)}" for effect in shown[:2])
        word = {
            Verdict.WORSE: "is worse than",
            Verdict.BETTER: "is better than",
            Verdict.NOT_WORSE: "is not worse than",
        }
        return f"{str(self.verdict).capitalize()}: {candidate} {word[self.verdict]} {baseline}: {changes} ({over})."


def compare_runs(
    store: ResultStore, baseline: RunRecord, candidate: RunRecord, *, across_versions: bool = False, seed: int = 0
) -> Comparison:
    """Compares `candidate` with `baseline`. `seed` is that of the bootstrap. Raises `NotComparable`, `StoreError`.

    With `across_versions`, runs of different versions of a set are compared over the case ids that both have. The
    verdict is then always `inconclusive`, since cases with equal ids may differ.
    """
    _refuse(baseline, candidate, across_versions)
    first, second = store.load(baseline), store.load(candidate)
    sides = (_side(baseline, first), _side(candidate, second))
    specs = [metric.spec() for metric in candidate.metrics]
    pairs = pair_cases(first, second, specs)
    count, labels = pairs.height, pairs["cluster"].to_numpy() if pairs.height else np.array([], dtype=str)
    effects = [paired_effect(spec, pairs, seed) for spec in specs]
    judged, verdict, reason = conclude(effects)
    # What neither machine can run is not part of the comparison.
    missing = max(0, max(baseline.cases, candidate.cases) - count - len(set(sides[0].absent) & set(sides[1].absent)))
    remarks, why = _doubts(sides, specs, count, missing)
    if across_versions and baseline.set_sha256 != candidate.set_sha256:
        why = (
            f"the runs are of {baseline.set_name} {baseline.set_version} and {candidate.set_version}, in which cases "
            f"with equal ids may differ"
        )
    why = why or hidden(judged, verdict, missing)
    if why:
        verdict, reason = Verdict.INCONCLUSIVE, why
    decision, ended_early = read_decision(store, candidate.run), False
    if decision is not None:
        remarks.append(f"the candidate's run was ended early: {decision.sentence}")
        if decision.baseline == baseline.run and baseline.set_sha256 == candidate.set_sha256:
            # Intervals are not valid for a sample that was ended because of its outcome; the sequential test is.
            verdict, reason, ended_early = Verdict.WORSE, decision.sentence, True
    lost, gained = flips(pairs)
    detectable, needed = _sample_sizes(judged, labels)
    return Comparison(
        baseline=sides[0],
        candidate=sides[1],
        cases=count,
        clusters=int(np.unique(labels).size),
        effects=tuple(judged),
        verdict=verdict,
        reason=reason,
        remarks=tuple(remarks),
        changes=_changes(baseline, candidate),
        lost=lost,
        gained=gained,
        strata=strata(pairs),
        detectable=detectable,
        needed=needed,
        ended_early=ended_early,
        points=cost_points(pairs, baseline, candidate),
        scatters=scatters(pairs, judged),
    )


def _refuse(baseline: RunRecord, candidate: RunRecord, across_versions: bool) -> None:
    if baseline.run == candidate.run:
        raise NotComparable(f"{baseline.run} cannot be compared with itself: name two different runs")
    if baseline.set_name != candidate.set_name:
        raise NotComparable(f"{baseline.run} is of set {baseline.set_name}, {candidate.run} of {candidate.set_name}")
    if baseline.set_sha256 != candidate.set_sha256 and not across_versions:
        raise NotComparable(
            f"{baseline.run} is of {baseline.set_name} {baseline.set_version} ({baseline.set_sha256[:12]}), "
            f"{candidate.run} of {candidate.set_version} ({candidate.set_sha256[:12]}): run the baseline again on the "
            f"new version, or compare the cases that both have with --across-versions"
        )
    if baseline.split != candidate.split:
        raise NotComparable(
            f"{baseline.run} is of split {baseline.split}, {candidate.run} of {candidate.split}: run one of them again"
        )


def _side(record: RunRecord, rows: "polars.DataFrame") -> Side:
    import polars as pl

    ends = rows.drop_nulls("success").group_by("case").agg(pl.col("success").n_unique().alias("ends"))
    flaky = tuple(sorted(ends.filter(pl.col("ends") > 1)["case"].to_list()))
    load = rows["load"].mean() if "load" in rows.columns else None
    unrun = rows.filter(pl.col("outcome") == str(CaseOutcome.NOT_RUNNABLE))
    return Side(
        record,
        rows.height,
        int(rows["success"].null_count()) - unrun.height,
        flaky,
        load if isinstance(load, float) else None,
        tuple(sorted(set(unrun["case"].to_list()))),
    )


def _doubts(
    sides: tuple[Side, Side], metrics: Sequence[MetricSpec], cases: int, missing: int
) -> tuple[list[str], str | None]:
    """Remarks for the reader, and a reason for `inconclusive`, or None."""
    remarks: list[str] = []
    for role, side in zip(("baseline", "candidate"), sides, strict=True):
        if side.infrastructure:
            remarks.append(f"{side.infrastructure} results of the {role} were lost to infrastructure and are left out")
        if side.absent:
            remarks.append(f"{len(side.absent)} cases could not be run on the {role}'s machine and are left out")
        if side.rows < side.expected:
            remarks.append(f"the {role}'s run is incomplete: {side.rows} of {side.expected} results")
        if side.flaky:
            named = ", ".join(side.flaky[:5]) + (" …" if len(side.flaky) > 5 else "")
            remarks.append(f"{len(side.flaky)} flaky cases of the {role}: {named}")
    first, second = sides[0].record, sides[1].record
    for name in ("seed", "repeats", "parallel", "machine", "case_seconds"):
        mine, theirs = getattr(first, name), getattr(second, name)
        if mine != theirs:
            note = "; times are not comparable" if name in ("parallel", "machine") else ""
            remarks.append(f"the runs differ in {name} ({mine} and {theirs}){note}")
    primary = next((metric for metric in metrics if metric.role == "primary" and metric.kind == "rate"), None)
    allowed = primary.margin / 2 if primary else 0.05
    total = cases + missing
    if cases == 0:
        return remarks, "no case has a result on both sides"
    if (busy := _busier(*sides)) is not None:
        return remarks, busy
    if missing > allowed * total:
        return remarks, (
            f"{missing} of {total} cases lack a result on one side, which could change success by more than half its "
            f"margin; resume the runs"
        )
    return remarks, None


def _busier(first: Side, second: Side) -> str | None:
    """The reason if the machine was too much busier during one run than during the other, else None."""
    if first.load is None or second.load is None:
        return None
    low, high = sorted((first.load, second.load))
    if high < OVERLOADED or high < BUSIER * low:
        return None
    return (
        f"the load per core was {high:.1f} during {(first if first.load > second.load else second).record.run} and "
        f"{low:.1f} during the other run, so the same time limit allowed less work; run both on an equally free machine"
    )


def hidden(effects: Sequence[Effect], verdict: Verdict, missing: int) -> str | None:
    """The reason if the cases that lack a result on one side could overturn the verdict, else None.

    It assumes the worst for them, since they may differ from the others: slow or destructive cases are lost first.
    """
    primary = _primary(effects)
    if not missing or primary is None or primary.gain is None:
        return None
    share = missing / (missing + primary.cases)
    worst, best = primary.gain.low * (1 - share) - share, primary.gain.high * (1 - share) + share
    said = f"{missing} of {missing + primary.cases} cases lack a result on one side; depending on them, "
    if verdict in (Verdict.BETTER, Verdict.NOT_WORSE) and worst <= -primary.allowance:
        return f"{said}success could be worse by more than its margin; resume the runs"
    if verdict is Verdict.WORSE and primary.verdict is Verdict.WORSE and best >= 0:
        return f"{said}success might not be worse at all; resume the runs"
    return None


def _changes(first: RunRecord, second: RunRecord) -> tuple[tuple[str, str, str], ...]:
    one = {"code commit": first.code_commit, "subject": first.subject, **first.identity}
    other = {"code commit": second.code_commit, "subject": second.subject, **second.identity}
    names = [*one, *(name for name in other if name not in one)]
    return tuple(
        (name, one.get(name, "none"), other.get(name, "none"))
        for name in names
        if one.get(name, "none") != other.get(name, "none")
    )


def _primary(effects: Sequence[Effect]) -> Effect | None:
    return next((effect for effect in effects if effect.metric.role == "primary" and effect.design), None)


def _sample_sizes(effects: Sequence[Effect], labels: Any) -> tuple[float | None, int | None]:
    """`Comparison.detectable` and `needed`, from the share of discordant cases, the design effect and the cluster size
    that this comparison found."""
    if (primary := _primary(effects)) is None:
        return None, None
    differing = min(1.0, (primary.wins + primary.losses) / primary.cases)
    _, sizes = np.unique(labels, return_counts=True)
    effect, size = max(1.0, primary.design or 1.0), kish_size(sizes.astype(np.float64))
    detectable = effect_for_rate(differing, primary.cases, effect=effect, size=size) if differing else None
    return detectable, cases_for_margin(primary.metric.margin, differing, effect=effect, size=size)
