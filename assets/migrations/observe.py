"""After a cut over: does the model that answers now do as well live as it did in the comparison?

It is asked a handful of judged queries, as searches ask it. A server that fails, answers grown much slower,
or quality below what the gate allowed is a reason to go back.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assets.context import model_vectors
from assets.migrations import metrics, queries
from assets.migrations.record import Migration
from assets.platform import Platform
from core.embedding import EmbedderUnavailable, catalogue

PROBES = 40
MOST_FAILED = 0.1
"""The share of probes that may fail: a server's hiccup is no reason to go back."""
_SLOWER = 3.0
_SLACK_MS = 250.0


@dataclass(frozen=True, slots=True)
class Seen:
    """`problem` is the reason to go back, or ""; `ndcg` is None where no query has a known answer."""

    probes: int
    failed: int
    p95_ms: float
    ndcg: float | None
    problem: str
    at: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def look(platform: Platform, migration: Migration) -> Seen:
    """One look. Never raises for a model that fails: that is what it is there to see."""
    options = migration.chosen
    with platform.database.system() as connection:
        entry = catalogue.by_id(connection, migration.new_model)
        judged = queries.judged_queries(connection, platform.mirror, PROBES)
    taken: list[float] = []
    scores: list[float] = []
    failed = 0
    last = ""
    for query in judged:
        began = time.perf_counter()
        try:
            embedder = platform.models.open(entry)
            found = model_vectors.nearest_paths(
                platform.database, query.team_id, query.source, embedder, query.text, options.k
            )
        except EmbedderUnavailable as error:
            failed, last = failed + 1, str(error)
            continue
        taken.append(1000 * (time.perf_counter() - began))
        scores.append(metrics.ndcg(found, query.relevant, options.k))
    p95 = metrics.percentile(taken, 0.95)
    quality = float(np.mean(scores)) if scores else None
    problem = _problem(migration, len(judged), failed, last, p95, scores)
    return Seen(len(judged), failed, round(p95, 2), quality and round(quality, 4), problem, time.time())


def _problem(migration: Migration, probes: int, failed: int, last: str, p95: float, scores: list[float]) -> str:
    if probes and failed / probes > MOST_FAILED:
        return f"{failed} of {probes} searches failed: {last}"
    comparison = migration.comparison or {}
    before = (comparison.get("latency_ms") or {}).get("new", {}).get("p95")
    if before is not None and p95 > _SLOWER * before + _SLACK_MS:
        return f"95% of searches took up to {p95:.0f} ms, {before:.0f} ms when it was compared"
    expected = next((m.get("new") for m in comparison.get("metrics", []) if m.get("role") == "primary"), None)
    if expected is not None and len(scores) >= PROBES // 2:
        # Few probes: what could be chance is no reason to go back.
        chance = 2.6 * float(np.std(scores)) / len(scores) ** 0.5
        if float(np.mean(scores)) < expected - migration.chosen.margin - chance:
            return f"nDCG is {np.mean(scores):.3f}, {expected:.3f} when it was compared"
    return ""
