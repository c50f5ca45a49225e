"""Measures embedding models on the user's own sources before any migration, and names the one to use.

The queries are messages of past commits, whose source files are the right answer: a search for a task ranks tests and
documents below what a repair would change, so they are not counted. Each model is measured as a search uses it:
fused with the other signals, of which those that read past commits are left out, since they would know the answer. The
vectors are made in memory and thrown away; nothing is registered or stored.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assets.context.models import model_vectors
from assets.context.ranking.query import Query, read_query
from assets.context.ranking.rank import score
from assets.context.ranking.signals.roles import role_of
from assets.context.store.memory import MemoryIndex
from assets.migrations.gate.queries import JudgedQuery, Mirror, judged_queries
from assets.shared import ranking_metrics as metrics
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, embed_most
from core.statistics import MetricSpec, PairedData, compare_metric, percentile

WORDS_ALONE = "no model"
_KNOW_THE_ANSWER = ("commits", "recent", "together")
_WARM_UP = ("warm up", "def warm_up(): pass")
_LEVEL = 0.05
_MORE = 3
"""As many commits are read for each query, since some change no source file."""
_MARGIN = 0.03
"""Required by the comparison, whose verdict is not used here."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to search: with a model, or by words alone. `ndcg` is that of a search that uses it, `alone` that of its
    vectors alone (None for words). `low` and `high` bound the difference of `ndcg` to the present way (None for that
    one, and with too few queries). `problem` says why it could not be measured."""

    name: str
    ndcg: float | None = None
    alone: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    chunks_per_second: float | None = None
    query_p95_ms: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`name` is the model to use, or `WORDS_ALONE`; `because` says why, in a sentence. `bm25` is the nDCG of BM25
    alone. `sampled` are sources of which only some files were searched, since they are larger than the limit."""

    name: str
    because: str
    present: str
    queries: int
    chunks: int
    bm25: float | None
    measured: tuple[Measured, ...]
    sampled: tuple[str, ...]


def recommend(
    database: Database,
    mirror: Mirror,
    models: Mapping[str, Callable[[], Embedder]],
    present: str,
    *,
    queries: int = 200,
    chunks: int = 3000,
    k: int = 10,
    seed: int = 0,
    step: Callable[[str], None] = lambda text: None,
) -> Recommendation:
    """Measures `models` (by name, opened only when it is its turn) and searching by words alone.

    `present` is the name of the model in use, of `models` or `WORDS_ALONE`. At most `chunks` chunks of all sources
    together are embedded with each model; of larger sources the right files and a random sample of others.
    """
    with database.system() as connection:
        judged = _about_sources(judged_queries(connection, mirror, _MORE * queries))[:queries]
        commits = {(team, name): commit for team, name, commit in model_vectors.visible_sources(connection)}
    step(f"reading sources for {len(judged)} queries")
    searched = _read(judged, commits, mirror, chunks, seed)
    total = sum(one.index.manifest.documents for one in searched)
    step("searching by words alone")
    found = {WORDS_ALONE: _Scores(_by_words(searched, k))}
    problems: dict[str, str] = {}
    for name, open_model in models.items():
        step(f"embedding {total:,} chunks with {name}")
        try:
            found[name] = _with_model(searched, open_model(), k)
        except EmbedderUnavailable as error:
            problems[name] = str(error)
    clusters = [query.cluster for one in searched for query in one.queries]
    rivals = max(1, len(found) - 1)
    measured = [
        _measured(name, scores, found.get(present), clusters, name == present, rivals, seed)
        for name, scores in found.items()
    ] + [Measured(name, problem=why) for name, why in problems.items()]
    bm25 = _bm25(searched, k)
    name, because = _choice(measured, present, len(clusters))
    sampled = tuple(one.name for one in searched if one.sampled)
    return Recommendation(name, because, present, len(clusters), total, bm25, tuple(measured), sampled)


def _about_sources(judged: Sequence[JudgedQuery]) -> list[JudgedQuery]:
    """The queries that source files answer, with these alone as the right answer."""
    found = []
    for query in judged:
        if sources := tuple(path for path in query.relevant if role_of(path) is None):
            found.append(replace(query, relevant=sources, cluster=f"{query.team_id}/{query.source}/{sources[0]}"))
    return found


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    index: MemoryIndex
    queries: tuple[JudgedQuery, ...]
    sampled: bool


@dataclass(frozen=True, slots=True)
class _Scores:
    """nDCG of each query, in the order of the sources."""

    fused: Sequence[float]
    alone: Sequence[float] | None = None
    chunks_per_second: float | None = None
    query_p95_ms: float | None = None


def _read(
    judged: Sequence[JudgedQuery], commits: Mapping[tuple[uuid.UUID, str], str], mirror: Mirror, chunks: int, seed: int
) -> list[_Source]:
    by_source: dict[tuple[uuid.UUID, str], list[JudgedQuery]] = {}
    for query in judged:
        by_source.setdefault((query.team_id, query.source), []).append(query)
    found, left = [], chunks
    for place, ((team, name), queries) in enumerate(by_source.items()):
        share = left // (len(by_source) - place)
        index = MemoryIndex.build(mirror(team, name), commits[team, name], source=name)
        right = {path for query in queries for path in query.relevant}
        fitting = index.sample(share, keep=right, seed=seed)
        left -= fitting.manifest.documents
        sampled = fitting.manifest.documents < index.manifest.documents
        found.append(_Source(name, fitting, tuple(queries), sampled))
    return found


def _by_words(searched: Sequence[_Source], k: int) -> list[float]:
    return [
        _ndcg(
            one.index, score(one.index, words, off=(*_KNOW_THE_ANSWER, "vectors")).best_of_files(k).documents, query, k
        )
        for one, query, words in _asked(searched)
    ]


def _bm25(searched: Sequence[_Source], k: int) -> float | None:
    scores = [
        _ndcg(one.index, score(one.index, words, weights={"text": 1.0}).best_of_files(k).documents, query, k)
        for one, query, words in _asked(searched)
    ]
    return round(float(np.mean(scores)), 4) if scores else None


def _with_model(searched: Sequence[_Source], embedder: Embedder, k: int) -> _Scores:
    """Raises `EmbedderUnavailable`."""
    embed_most(embedder, list(_WARM_UP))
    began, made = time.perf_counter(), 0
    indexes = {}
    for one in searched:
        indexes[one.name] = index = one.index.with_models([embedder])
        index.embed_all(embedder)
        made += index.manifest.documents
    rate = made / max(1e-9, time.perf_counter() - began)
    fused, alone, taken = [], [], []
    for one, query, words in _asked(searched):
        index = indexes[one.name]
        began = time.perf_counter()
        nearest, _ = index.nearest(embedder.identity, query.text, 8 * k)
        taken.append(1000 * (time.perf_counter() - began))
        alone.append(_ndcg(index, nearest, query, k))
        ranked = score(index, words, off=_KNOW_THE_ANSWER).best_of_files(k).documents
        fused.append(_ndcg(index, ranked, query, k))
    return _Scores(fused, alone, round(rate, 1), round(percentile(taken, 0.95), 1) if taken else None)


def _asked(searched: Sequence[_Source]) -> list[tuple[_Source, JudgedQuery, Query]]:
    return [(one, query, read_query(query.text)) for one in searched for query in one.queries]


def _ndcg(index: MemoryIndex, documents: Sequence[int] | np.ndarray, query: JudgedQuery, k: int) -> float:
    manifest = index.manifest
    paths = dict.fromkeys(manifest.paths[int(manifest.file_of[document])] for document in documents)
    return metrics.ndcg(list(paths)[:k], query.relevant, k)


def _measured(
    name: str,
    scores: _Scores,
    present: _Scores | None,
    clusters: Sequence[str],
    is_present: bool,
    rivals: int,
    seed: int,
) -> Measured:
    def mean(values: Sequence[float] | None) -> float | None:
        return round(float(np.mean(values)), 4) if values else None

    difference = low = high = None
    if present is not None and not is_present and clusters:
        data = PairedData.of(present.fused, scores.fused, clusters)
        spec = MetricSpec("nDCG", "mean", "higher", _MARGIN, role="primary")
        # Several models are compared with the present one, so each has its share of the error (Bonferroni).
        effect = compare_metric(spec, data, confidence=1.0 - _LEVEL / rivals, seed=seed)
        difference = None if effect.estimate is None else round(effect.estimate, 4)
        if effect.interval is not None:
            low, high = round(effect.interval.low, 4), round(effect.interval.high, 4)
    return Measured(
        name,
        mean(scores.fused),
        mean(scores.alone),
        difference,
        low,
        high,
        scores.chunks_per_second,
        scores.query_p95_ms,
    )


def _choice(measured: Sequence[Measured], present: str, queries: int) -> tuple[str, str]:
    """The model with the best search of those that are shown to be better than the present one, else that one."""
    if not queries:
        return present, "no commit of the indexed sources can serve as a query, so nothing was compared"
    better = [one for one in measured if one.low is not None and one.low > 0 and one.ndcg is not None]
    if better:
        best = max(better, key=lambda one: (one.ndcg or 0.0, one.name))
        return best.name, f"searches with it are better by {best.difference:.3f} ({best.low:+.3f} to {best.high:+.3f})"
    if all(one.low is None for one in measured):
        return present, f"{queries} queries are too few to tell the others from it"
    return present, "none of the others is shown to be better"
