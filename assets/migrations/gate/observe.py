"""Observes the new model after a cut-over: does it do as well live as the old model, and as in the comparison?

It searches a few queries with it: those with known right files, and recent user queries. A failing server, much slower
searches, or quality below what the gate allowed is a reason to roll back.
"""

import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.models import model_vectors
from assets.context.store.postgres import NotIndexed
from assets.migrations.gate import queries
from assets.migrations.gate.queries import JudgedQuery
from assets.migrations.lifecycle.record import Migration
from assets.platform import Platform
from assets.shared import ranking_metrics as metrics
from core.embedding import EmbedderUnavailable, catalogue, known_answers
from core.statistics import percentile

PROBES = 40
LOOK_MOST_SECONDS = 20.0
"""A slow model is asked fewer probes: a sensor waits for them."""
MOST_FAILED = 0.1
"""The share of probes that may fail: a brief server failure is not a reason to roll back."""
_SLOWER = 3.0
_SLACK_MS = 250.0
_CHANCE = 2.6
"""In standard errors: what a few probes show by chance is not a reason to roll back."""

Probe = tuple[uuid.UUID, str, str, JudgedQuery | None]


@dataclass(frozen=True, slots=True)
class Observation:
    """`problem` is the reason to roll back, or "". `ndcg` is None if no query has a known answer, `old_ndcg` also if
    the old model did not answer. `at` is in seconds since the epoch."""

    probes: int
    failed: int
    p95_ms: float
    ndcg: float | None
    problem: str
    at: float
    old_ndcg: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def observe(platform: Platform, migration: Migration) -> Observation:
    """Probes the new model once. A model that fails becomes a `problem`, not an exception."""
    with platform.database.system() as connection:
        new = catalogue.by_id(connection, migration.new_model)
        old = catalogue.by_id(connection, migration.old_model)
        probes = _probes(connection, platform)
    k = migration.chosen.k
    taken: list[float] = []
    pairs: list[tuple[float | None, float]] = []
    failed, asked = 0, 0
    last = ""
    old_answers = True
    until = time.monotonic() + LOOK_MOST_SECONDS
    for probe in probes:
        if asked and time.monotonic() > until:
            break
        began = time.perf_counter()
        try:
            found = _search(platform, new, probe, k)
        except EmbedderUnavailable as error:
            asked, failed, last = asked + 1, failed + 1, str(error)
            continue
        except NotIndexed:  # the source was removed meanwhile
            continue
        asked += 1
        taken.append(1000 * (time.perf_counter() - began))
        if (query := probe[3]) is None:
            continue
        before: list[str] | None = None
        if old_answers:
            try:
                before = _search(platform, old, probe, k)
            except (EmbedderUnavailable, NotIndexed):
                old_answers = False
        score = metrics.ndcg(found, query.relevant, k)
        pairs.append((None if before is None else metrics.ndcg(before, query.relevant, k), score))
    p95 = percentile(taken, 0.95)
    both = [(one, other) for one, other in pairs if one is not None]
    problem = (
        _failing(asked, failed, last) or _slow(migration, p95) or _lost(migration, pairs, both if old_answers else [])
    )
    quality = round(float(np.mean([score for _, score in pairs])), 4) if pairs else None
    beside = round(float(np.mean([score for score, _ in both])), 4) if both and old_answers else None
    return Observation(asked, failed, round(p95, 2), quality, problem, time.time(), beside)


def _probes(connection: Connection[TupleRow], platform: Platform) -> list[Probe]:
    """Judged queries first, then user queries; a fixed text for each source without either."""
    judged = queries.judged_queries(connection, platform.mirror, PROBES)
    found: list[Probe] = [(query.team_id, query.source, query.text, query) for query in judged]
    found += [(*query, None) for query in model_vectors.asked_queries(connection, PROBES - len(found))]
    known = {(team_id, source) for team_id, source, _, _ in found}
    others = [(team, source) for team, source, _ in model_vectors.visible_sources(connection)]
    missing = [one for one in others if one not in known][: PROBES // 2]
    return found + [(team, source, known_answers.TEXTS[0], None) for team, source in missing]


def _search(platform: Platform, entry: catalogue.Entry, probe: Probe, k: int) -> list[str]:
    team_id, source, text, _ = probe
    return model_vectors.nearest_paths(platform.database, team_id, source, platform.models.open(entry), text, k)


def _failing(asked: int, failed: int, last: str) -> str:
    return f"{failed} of {asked} searches failed: {last}" if asked and failed / asked > MOST_FAILED else ""


def _slow(migration: Migration, p95: float) -> str:
    before = ((migration.comparison or {}).get("latency_ms") or {}).get("new", {}).get("p95")
    if before and p95 > _SLOWER * before + _SLACK_MS:  # 0 where the comparison had no query
        return f"the 95th percentile of searches is {p95:.0f} ms, and was {before:.0f} ms in the comparison"
    return ""


def _lost(migration: Migration, pairs: list[tuple[float | None, float]], both: list[tuple[float, float]]) -> str:
    """Compares with the old model on the same queries; if that does not answer, with the earlier comparison."""
    measured = (migration.comparison or {}).get("metrics", [])
    primary: dict[str, Any] = next((metric for metric in measured if metric.get("role") == "primary"), {})
    if min(len(pairs), len(both) or len(pairs)) < PROBES // 2 or primary.get("new") is None:
        return ""
    scores = np.array([score for _, score in pairs])
    if both:
        before = np.array([one for one, _ in both])
        gained = np.array([other for _, other in both]) - before
        # A loss that an operator accepted is not a reason to roll back.
        allowed = min(0.0, float(primary.get("difference") or 0.0)) - migration.chosen.margin
        if float(gained.mean()) < allowed - _CHANCE * float(gained.std()) / len(gained) ** 0.5:
            return f"nDCG is {scores.mean():.3f}, but {before.mean():.3f} for {migration.old_name} on the same queries"
        return ""
    chance = _CHANCE * float(scores.std()) / len(scores) ** 0.5
    if float(scores.mean()) < float(primary["new"]) - migration.chosen.margin - chance:
        return f"nDCG is {scores.mean():.3f}, and was {primary['new']:.3f} in the comparison"
    return ""
