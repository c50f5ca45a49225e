"""The gate: searches the same queries with both models and decides whether the new one may take over.

The verdict is better or not worse (by a margin set beforehand), worse, or inconclusive; the last one comes with how
many more queries would decide. `core.statistics` has the statistics; queries about one file count together.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from assets.context.models import model_vectors
from assets.migrations.gate.enough import ALPHA, RULE_OF_THREE, enough
from assets.migrations.gate.evidence import EvalEvidence, combine
from assets.migrations.gate.queries import JudgedQuery
from assets.shared import ranking_metrics as metrics
from core.database import Database
from core.embedding import Embedder
from core.embedding.account import cost_of
from core.settings import SLOWER
from core.statistics import Effect, MetricSpec, PairedData, Verdict, compare_metric, conclude, percentile

SAFE = (Verdict.BETTER, Verdict.NOT_WORSE)
WORST_SHOWN = 20
NOTICED_MS = 50.0
"""A search that takes this much longer is noticed where an answer is waited for; 2 ms that become 6 are not."""
_FEWEST_IN_STRATUM = 12


@dataclass(frozen=True, slots=True)
class PairedAnswer:
    """What both models found for one query: files, best first, and milliseconds taken."""

    team_id: uuid.UUID
    source: str
    text: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    old_ms: float
    new_ms: float
    query: JudgedQuery | None = None
    """None when the right files are not known."""
    bm25: tuple[str, ...] = ()
    """What BM25 alone found; empty when the right files are not known."""
    old_money: float = 0.0
    new_money: float = 0.0


def ask_both(
    database: Database,
    old: Embedder,
    new: Embedder,
    judged: Sequence[JudgedQuery],
    asked: Sequence[tuple[uuid.UUID, str, str]],
    k: int,
    check: Callable[[], None] = lambda: None,
) -> list[PairedAnswer]:
    """Searches each query with both models, and judged ones with BM25 too. `check` is called before each query and may
    raise. Raises `EmbedderUnavailable`."""
    answers: list[PairedAnswer] = []
    wanted: list[tuple[uuid.UUID, str, str, JudgedQuery | None]] = [(q.team_id, q.source, q.text, q) for q in judged]
    wanted += [(*query, None) for query in asked]
    for place, (team_id, source, text, query) in enumerate(wanted):
        check()
        found: dict[str, tuple[tuple[str, ...], float, float]] = {}
        # The second one finds warm caches, so the order alternates.
        for embedder in (old, new) if place % 2 else (new, old):
            began, paid = time.perf_counter(), cost_of(embedder).money
            paths = tuple(model_vectors.nearest_paths(database, team_id, source, embedder, text, k))
            taken = 1000 * (time.perf_counter() - began)
            found[embedder.identity] = (paths, taken, cost_of(embedder).money - paid)
        bm25 = tuple(model_vectors.bm25_paths(database, team_id, source, text, k)) if query is not None else ()
        one, other = found[old.identity], found[new.identity]
        answers.append(
            PairedAnswer(team_id, source, text, one[0], other[0], one[1], other[1], query, bm25, one[2], other[2])
        )
    return answers


def judge_models(
    answers: Sequence[PairedAnswer],
    *,
    k: int,
    margin: float,
    seed: int = 0,
    draws: int = 2000,
    evals: Sequence[EvalEvidence] = (),
    look: int = 1,
    sources: Sequence[str] = (),
    slower: float = SLOWER,
) -> dict[str, Any]:
    """The comparison, as stored and reported: `verdict`, `reason`, `metrics`, `strata`, `worst`, `latency_ms`, ...

    `draws` is the number of bootstrap samples. `evals` that judge retrieval count beside the queries: each must be
    shown to be no worse. `queries_verdict` is that of the queries alone. `look` counts the comparisons of one
    migration: each has half the significance level of the one before, so that repeated comparisons err less than twice
    as often as the first alone. `unjudged_sources` are those of `sources` about which no query has a known answer.
    `slower` of the result is the ratio of the 95th percentiles of latency if it is above the given one and a person
    would notice, else None: such a cut-over is for an operator to decide.
    """
    known = [answer for answer in answers if answer.query is not None]
    level = ALPHA / 2 ** (look - 1)
    effects, verdict, reason = decide(known, k=k, margin=margin, seed=seed, draws=draws, level=level)
    needed = None
    if verdict is Verdict.INCONCLUSIVE:
        deciding = [measure for spec, measure in _specs(k, margin) if spec.role != "info"]
        needed = enough([_paired(known, measure, k) for measure in deciding] if known else [], margin, level)
        reason += f"; {needed}"
    latency = {
        side: {
            f"p{share}": round(percentile([getattr(a, f"{side}_ms") for a in answers], share / 100), 2)
            for share in (50, 95)
        }
        for side in ("old", "new")
    }
    queries_verdict = verdict
    verdict, reason = combine(verdict, reason, evals)
    return {
        "verdict": verdict.value,
        "reason": reason,
        "queries_verdict": queries_verdict.value,
        "evals": [one.model_dump(mode="json") for one in evals],
        "safe": verdict in SAFE,
        "more_queries": needed.queries if needed else None,
        "more_files": needed.files if needed else None,
        "more_queries_as_seen": needed.as_seen if needed else None,
        "look": look,
        "level": level,
        "margin": margin,
        "k": k,
        "queries": {"judged": len(known), "asked": len(answers) - len(known)},
        "unjudged_sources": sorted(set(sources) - {answer.source for answer in known}),
        "metrics": [
            {**_shown(effect), "bm25": _bm25_alone(known, measure, k)}
            for effect, (_, measure) in zip(effects, _specs(k, margin), strict=True)
        ],
        "strata": _strata(known, k, margin, seed, min(draws, 500)),
        "worst": _worst(known, k),
        "changed": _changed(known, k),
        "agreement": round(float(np.mean([metrics.overlap(a.old, a.new, k) for a in answers])), 4) if answers else None,
        "money_per_1000_queries": {
            side: round(1000 * float(np.mean([getattr(a, f"{side}_money") for a in answers])), 6) if answers else 0.0
            for side in ("old", "new")
        },
        "latency_ms": latency,
        "slower": _slower(latency["old"]["p95"], latency["new"]["p95"], slower),
    }


def _slower(old_ms: float, new_ms: float, most: float) -> float | None:
    """How many times as long a search takes, if that is more than `most` and `NOTICED_MS` more."""
    if new_ms <= most * old_ms or new_ms - old_ms <= NOTICED_MS:
        return None
    return round(new_ms / max(old_ms, 0.1), 1)


def _specs(k: int, margin: float) -> list[tuple[MetricSpec, Callable[[Sequence[str], Sequence[str], int], float]]]:
    return [
        (MetricSpec(f"nDCG@{k}", "mean", "higher", margin, role="primary"), metrics.ndcg),
        (MetricSpec(f"recall@{k}", "mean", "higher", margin, role="guard"), metrics.recall),
        (MetricSpec(f"MRR@{k}", "mean", "higher", margin, role="info"), metrics.reciprocal_rank),
    ]


def decide(
    known: Sequence[PairedAnswer], *, k: int, margin: float, seed: int = 0, draws: int = 2000, level: float = ALPHA
) -> tuple[list[Effect], Verdict, str]:
    """Each metric's effect, the verdict and its reason, from answers whose right files are known."""
    found = []
    for spec, measure in _specs(k, margin):
        data = _paired(known, measure, k) if known else None
        found.append(compare_metric(spec, data, confidence=1.0 - level, seed=seed, draws=draws))
    effects, verdict, reason = conclude(found, alpha=level)
    if verdict in SAFE and (doubtful := [effect for effect in effects if _may_hide_failures(effect)]):
        effects = [
            replace(effect, verdict=Verdict.INCONCLUSIVE, reason=_HIDDEN) if effect in doubtful else effect
            for effect in effects
        ]
        names = ", ".join(effect.metric.name for effect in doubtful)
        return effects, Verdict.INCONCLUSIVE, f"{names}: {_HIDDEN}"
    return effects, verdict, reason


_HIDDEN = "so few queries may miss rare failures"


def _may_hide_failures(effect: Effect) -> bool:
    """Whether failures that none of the queries showed could exceed the margin, by the rule of three
    (`enough.RULE_OF_THREE`). A resampling interval does not cover them: where no query differs, its width is 0."""
    if effect.metric.role == "info" or effect.estimate is None:
        return False
    return effect.estimate - RULE_OF_THREE / max(1, effect.clusters) <= -effect.metric.margin


def _paired(
    known: Sequence[PairedAnswer], measure: Callable[[Sequence[str], Sequence[str], int], float], k: int
) -> PairedData:
    judged = [(answer, answer.query) for answer in known if answer.query is not None]
    return PairedData.of(
        [measure(answer.old, query.relevant, k) for answer, query in judged],
        [measure(answer.new, query.relevant, k) for answer, query in judged],
        [query.cluster for _, query in judged],
    )


def _bm25_alone(
    known: Sequence[PairedAnswer], measure: Callable[[Sequence[str], Sequence[str], int], float], k: int
) -> float | None:
    """The mean score of BM25 alone on the same queries; None without any."""
    scores = [measure(answer.bm25, answer.query.relevant, k) for answer in known if answer.query is not None]
    return round(float(np.mean(scores)), 5) if scores and any(answer.bm25 for answer in known) else None


def _strata(known: Sequence[PairedAnswer], k: int, margin: float, seed: int, draws: int) -> list[dict[str, Any]]:
    """Each metric by source and by language; shown, not judged: many small groups would raise false alarms."""
    groups: dict[tuple[str, str], list[PairedAnswer]] = {}
    for answer in known:
        if answer.query is not None:
            groups.setdefault(("source", answer.source), []).append(answer)
            groups.setdefault(("language", answer.query.language), []).append(answer)
    shown = []
    for (kind, name), members in sorted(groups.items()):
        if len(members) >= _FEWEST_IN_STRATUM:
            for spec, measure in _specs(k, margin):
                effect = compare_metric(spec, _paired(members, measure, k), seed=seed, draws=draws)
                bm25 = _bm25_alone(members, measure, k)
                shown.append({"kind": kind, "name": name, **_shown(effect), "bm25": bm25})
    return shown


def _changed(known: Sequence[PairedAnswer], k: int) -> dict[str, int]:
    """How many queries the new model answers better, equally well and worse, by nDCG."""
    counts = {"better": 0, "same": 0, "worse": 0}
    for answer in known:
        if answer.query is not None:
            before, after = (metrics.ndcg(ranked, answer.query.relevant, k) for ranked in (answer.old, answer.new))
            counts["same" if abs(after - before) < 1e-9 else "better" if after > before else "worse"] += 1
    return counts


def _worst(known: Sequence[PairedAnswer], k: int) -> list[dict[str, Any]]:
    """The queries with the largest loss of nDCG, with what both models found."""
    lost = []
    for answer in known:
        if answer.query is None:
            continue
        before, after = (metrics.ndcg(ranked, answer.query.relevant, k) for ranked in (answer.old, answer.new))
        if after < before:
            lost.append((before - after, answer, answer.query, before, after))
    lost.sort(key=lambda row: (-row[0], row[1].text))
    return [
        {
            "source": answer.source,
            "query": answer.text[:300],
            "relevant": list(query.relevant),
            "old": list(answer.old[:5]),
            "new": list(answer.new[:5]),
            "bm25": list(answer.bm25[:5]),
            "old_ndcg": round(before, 4),
            "new_ndcg": round(after, 4),
        }
        for _, answer, query, before, after in lost[:WORST_SHOWN]
    ]


def _shown(effect: Effect) -> dict[str, Any]:
    def number(value: float | None) -> float | None:
        return None if value is None else round(value, 5)

    return {
        "metric": effect.metric.name,
        "role": effect.metric.role,
        "queries": effect.cases,
        "clusters": effect.clusters,
        "old": number(effect.baseline),
        "new": number(effect.candidate),
        "difference": number(effect.estimate),
        "low": number(effect.interval.low if effect.interval else None),
        "high": number(effect.interval.high if effect.interval else None),
        "p": number(effect.p),
        "verdict": effect.verdict.value,
        "reason": effect.reason,
    }
