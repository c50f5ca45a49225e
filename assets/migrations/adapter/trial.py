"""What searches find through an adapter and through what else could answer, on queries with known answers.

Twice: by vectors alone, which shows how good the map is, and in whole searches, which is what people get and
what decides. Intervals and tests are `core.statistics`'; queries about one file count together.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.context.models import vector_pairs
from assets.context.store.postgres import NotIndexed
from assets.migrations.gate.queries import JudgedQuery
from assets.shared import ranking_metrics as metrics
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors
from core.embedding.adapter import Use
from core.statistics import Interval, PairedData, TooFewClusters, cluster_interval

ADAPTER, COVERED, WORDS, OLD = (
    "with the adapter",
    "with the new model over what it covers",
    "without vectors",
    ("with the old model"),
)
BM25_ALONE = "BM25 alone"
_DRAWS = 2000
_SHOWN_DRAWS = 400
_DEALT = 20
_MEASURES = (("recall", metrics.recall), ("ndcg", metrics.ndcg), ("mrr", metrics.reciprocal_rank))


@dataclass(frozen=True, slots=True)
class Vectorised:
    """Vectors of texts, each of one width."""

    by_text: Mapping[str, Vectors]

    def rows(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), width), in order."""
        return np.stack([self.by_text[text] for text in texts])


class Prepared:
    """An embedder that has answered already: the vectors of known queries, in the space of `identity`."""

    def __init__(self, identity: str, vectors: Mapping[str, Vectors]) -> None:
        self.identity = identity
        self.max_tokens = 0
        self.dimensions = len(next(iter(vectors.values()))) if vectors else 0
        self._vectors = vectors

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        raise EmbedderUnavailable(f"{self.identity} is only asked queries here")

    def embed_query(self, text: str) -> Vectors:
        if text not in self._vectors:
            raise EmbedderUnavailable(f"{self.identity} was not asked this before")
        return self._vectors[text]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """`alone` and `search` are rows of the report's table; `decided` the paired comparisons behind `use`.

    `chance` is what the adapter's rankings score when they are dealt to other queries of the same source: more than
    a random order, since some files are the answer to many queries.
    """

    use: Use
    reason: str
    alone: tuple[dict[str, Any], ...]
    search: tuple[dict[str, Any], ...]
    decided: tuple[dict[str, Any], ...]
    chance: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        return {
            "alone": list(self.alone),
            "search": list(self.search),
            "decided": list(self.decided),
            "chance": self.chance,
        }


class Trial:
    """Searches for queries with known answers. `check` is called before each and may stop it."""

    def __init__(self, database: Database, k: int, check: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._k = k
        self._check = check

    def ndcg_alone(self, embedders: Sequence[Embedder], asked: Sequence[JudgedQuery]) -> list[float]:
        """Each one's mean nDCG of the files nearest by vectors; 0 for no queries."""
        scores: list[list[float]] = [[] for _ in embedders]
        for query in asked:
            self._check()
            with contextlib.suppress(NotIndexed), self._opened(query) as index:
                for embedder, found in zip(embedders, scores, strict=True):
                    found.append(metrics.ndcg(index.nearest(embedder, query.text, self._k), query.relevant, self._k))
        return [float(np.mean(found)) if found else 0.0 for found in scores]

    def run(
        self,
        held_back: Sequence[JudgedQuery],
        alone: Sequence[tuple[str, Embedder]],
        adapter: tuple[str, Embedder],
        new: Embedder,
        old: Embedder | None,
    ) -> TrialResult:
        """`alone` are named spaces to ask by vectors alone, with `adapter` among them; the others answer in whole
        searches."""
        found: dict[str, list[list[str]]] = {name: [] for name, _ in alone}
        models: dict[str, list[Embedder]] = {ADAPTER: [adapter[1]], COVERED: [new], WORDS: []}
        if old is not None:
            models[OLD] = [old]
        whole: dict[str, list[list[str]]] = {name: [] for name in (*models, BM25_ALONE)}
        kept: list[JudgedQuery] = []
        for query in held_back:
            self._check()
            try:
                with self._opened(query) as index:
                    for name, embedder in alone:
                        found[name].append(index.nearest(embedder, query.text, self._k))
                    for name, embedders in models.items():
                        whole[name].append(index.ranked(embedders, query.text, self._k))
                    whole[BM25_ALONE].append(index.ranked([], query.text, self._k, weights=vector_pairs.BM25))
            except NotIndexed:  # removed meanwhile
                continue
            kept.append(query)
        by_search = {name: _scores(lists, kept, self._k) for name, lists in whole.items()}
        use, reason, decided = decide({name: by_search[name]["ndcg"] for name in by_search}, [q.cluster for q in kept])
        rows = [_row(name, _scores(found[name], kept, self._k), kept) for name, _ in alone]
        rows.append(_row(BM25_ALONE, by_search[BM25_ALONE], kept))
        return TrialResult(
            use,
            reason,
            tuple(rows),
            tuple(_row(name, scores, kept) for name, scores in by_search.items()),
            tuple(decided),
            _chance(found[adapter[0]], kept, self._k),
        )

    def _opened(self, query: JudgedQuery) -> AbstractContextManager[vector_pairs.Asked]:
        return vector_pairs.opened(self._database, query.team_id, query.source)


def decide(ndcg: Mapping[str, Sequence[float]], clusters: Sequence[str]) -> tuple[Use, str, list[dict[str, Any]]]:
    """What answers while the old model is away, why, and each comparison, from nDCG by query of whole searches.

    The adapter is used only if the 95% interval of its gain lies above 0 against every alternative; each of them
    must fall, so that nothing is to be corrected for their number (Berger 1982, Technometrics 24:295). Otherwise the
    new model over what it covers, by the same rule; otherwise words.
    """
    decided: list[dict[str, Any]] = []

    def beats(one: str, others: Sequence[str]) -> str:
        """ "" when it beats them all, else which one it does not."""
        failed = ""
        for other in others:
            data = PairedData.of(ndcg[other], ndcg[one], list(clusters))
            interval = _interval(data, _DRAWS)
            gain = float(data.difference.mean()) if data.cases else 0.0
            decided.append(
                {
                    "one": one,
                    "other": other,
                    "gain": round(gain, 4),
                    "low": interval and round(interval.low, 4),
                    "high": interval and round(interval.high, 4),
                }
            )
            if interval is None or interval.low <= 0:
                shown = f" (95%: {interval.low:+.3f} to {interval.high:+.3f})" if interval else " (too few files)"
                failed = failed or f"nDCG {gain:+.3f}{shown} against searches {other}"
        return failed

    why = beats(ADAPTER, (COVERED, WORDS, BM25_ALONE))
    if not why:
        near = min(decided, key=lambda row: row["low"])
        span = f"(95%: {near['low']:+.3f} to {near['high']:+.3f})"
        return Use.ADAPTER, f"is used: nDCG {near['gain']:+.3f} {span} against searches {near['other']}", decided
    why = f"abstains: not shown to be better, {why}"
    covered = beats(COVERED, (WORDS, BM25_ALONE))
    if not covered:
        return Use.COVERED, why, decided
    return Use.NOTHING, why, decided


def _scores(lists: Sequence[Sequence[str]], asked: Sequence[JudgedQuery], k: int) -> dict[str, list[float]]:
    return {
        name: [measure(ranked, query.relevant, k) for ranked, query in zip(lists, asked, strict=True)]
        for name, measure in _MEASURES
    }


def _chance(lists: Sequence[Sequence[str]], asked: Sequence[JudgedQuery], k: int) -> dict[str, float]:
    """Each measure's mean when a query gets the rankings of others of its source, of which some at most."""
    by_source: dict[tuple[object, str], list[int]] = {}
    for place, query in enumerate(asked):
        by_source.setdefault((query.team_id, query.source), []).append(place)
    scores: dict[str, list[float]] = {name: [] for name, _ in _MEASURES}
    for places in by_source.values():
        for turn in range(1, min(len(places), _DEALT + 1)):
            for own, other in zip(places, places[turn:] + places[:turn], strict=True):
                if asked[own].cluster != asked[other].cluster:
                    for name, measure in _MEASURES:
                        scores[name].append(measure(lists[other], asked[own].relevant, k))
    return {name: round(float(np.mean(values)), 4) if values else 0.0 for name, values in scores.items()}


def _row(name: str, scores: Mapping[str, Sequence[float]], asked: Sequence[JudgedQuery]) -> dict[str, Any]:
    """Each measure's mean with its 95% interval (None where there are too few files)."""
    row: dict[str, Any] = {"name": name, "queries": len(asked)}
    for measure, values in scores.items():
        data = PairedData.of(np.zeros(len(values)), values, [query.cluster for query in asked])
        interval = _interval(data, _SHOWN_DRAWS)
        row[measure] = round(float(np.mean(values)), 4) if len(values) else None
        row[f"{measure}_low"] = interval and round(interval.low, 4)
        row[f"{measure}_high"] = interval and round(interval.high, 4)
    return row


def _interval(data: PairedData, draws: int) -> Interval | None:
    try:
        return cluster_interval(data, "difference", draws=draws)
    except TooFewClusters:
        return None
