"""Joins two stages: passes the results of evals to a migration of embedding models.

Compares a set's newest complete runs that name the two models (`model_digest` in a run's identity) and are otherwise
alike in what matters. Sets without such runs are left out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assets.evals.compare.comparison import Comparison
    from assets.evals.runs.results import RunRecord
    from assets.evals.runs.store import ResultStore

MODEL = "model_digest"
_NAMES = frozenset({MODEL, "embedding_model", "embedding_digest", "index_version"})
"""The fields of a run's identity that depend on the model. The index version depends on it and on how the code cuts
files."""
_MOST_RUNS = 40
"""How many of the newest runs of each model and set are considered."""


def model_evals(old: str, new: str) -> list[dict[str, Any]]:
    """Evidence from this installation's results; the callback that `Platform` takes.

    Unreadable results become inconclusive evidence, so that the gate does not pass because they are missing.
    """
    import polars

    from assets.evals.runs.store import StoreError
    from dagster_project.eval_places import result_store

    try:
        return evidence_of(result_store(), old, new)
    except (StoreError, OSError, ValueError, polars.exceptions.PolarsError) as error:
        return [_unreadable(str(error))]


def evidence_of(store: "ResultStore", old: str, new: str) -> list[dict[str, Any]]:
    """Records of `assets.migrations.gate.evidence.EvalEvidence`, one per set; `old` and `new` are model identities."""
    from assets.evals.compare.comparison import NotComparable, compare_runs
    from assets.evals.runs.store import StoreError

    by_set: dict[str, dict[str, list[RunRecord]]] = {}
    for record in store.runs():
        if (model := record.identity.get(MODEL)) in (old, new):
            by_set.setdefault(record.set_name, {}).setdefault(model, []).append(record)
    found = []
    for _, runs in sorted(by_set.items()):
        for baseline, candidate in _pairs(runs.get(old, []), runs.get(new, [])):
            try:
                found.append(_evidence(compare_runs(store, baseline, candidate)))
            except (NotComparable, StoreError):
                continue
            break
    return found


def _unreadable(why: str) -> dict[str, Any]:
    sentence = f"results of evals cannot be read: {why}"[:2000]
    return {
        "set_name": "evals", "set_version": "unknown", "retrieval": True, "cases": 0, "verdict": "inconclusive",
        "sentence": sentence, "reason": sentence, "old_run": "", "new_run": "",
    }  # fmt: skip


def _pairs(old: Sequence["RunRecord"], new: Sequence["RunRecord"]) -> list[tuple["RunRecord", "RunRecord"]]:
    """Pairs of runs of the same cases by the same engine: those with the same code first, then the newest."""
    found = [
        (baseline, candidate)
        for candidate in reversed(new[-_MOST_RUNS:])
        for baseline in reversed(old[-_MOST_RUNS:])
        if baseline.set_sha256 == candidate.set_sha256
        and baseline.split == candidate.split
        and _without_model(baseline) == _without_model(candidate)
    ]
    return sorted(found, key=lambda pair: pair[0].code_commit != pair[1].code_commit)


def _without_model(record: "RunRecord") -> dict[str, str]:
    return {name: value for name, value in record.identity.items() if name not in _NAMES}


def _evidence(found: "Comparison") -> dict[str, Any]:
    from assets.evals.report.formats import json_values

    record = found.candidate.record
    return {
        "set_name": record.set_name,
        "set_version": record.set_version,
        "retrieval": record.identity.get("engine") == "retrieval",
        "cases": found.cases,
        "verdict": found.verdict.value,
        "sentence": found.sentence[:2000],
        "reason": found.reason[:2000],
        "old_run": found.baseline.record.run,
        "new_run": record.run,
        "metrics": [
            {
                "name": effect.metric.title or effect.metric.name,
                "role": effect.metric.role,
                "old": json_values(effect.baseline),
                "new": json_values(effect.candidate),
                "difference": json_values(effect.estimate),
                "low": json_values(effect.interval.low) if effect.interval else None,
                "high": json_values(effect.interval.high) if effect.interval else None,
                "neutral": effect.neutral,
                "verdict": effect.verdict.value,
            }
            for effect in found.effects[:50]
        ],
        "strata": [json_values(stratum) for stratum in found.strata[:100]],
        "lost": [flip.case for flip in found.lost[:50]],
        "gained": [flip.case for flip in found.gained[:50]],
    }
