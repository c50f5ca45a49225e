"""`python -m tests.bench.vectors MODEL ...`: how much embedding models improve file ranking, combined in several ways.

On every third release of the localisation set, the ranking without vectors selects the best files of each case and the
best chunks of each file, and a model compares these with the request. So a slow model embeds thousands of texts instead
of a hundred thousand, which is enough to see its effect on the first ranks. Each way's weight is the one with the best
reciprocal rank on the other packages; 0 is among those tried.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from assets.context.chunking import chunks
from assets.context.chunking.content import embedded_text
from assets.context.ranking.index import Floats
from assets.context.ranking.query import read_query
from assets.context.ranking.rank import score
from assets.evals.harvest.releases import fetch_releases
from assets.evals.sets.localisation import LocalisationCase, Retrieval, load_localisation, score_ranking
from core.embedding import Embedder, open_embedder
from tests.bench.retrieval import open_release
from tests.bench.retrieval_scores import METRICS, difference, files_of, mean

FILES, CHUNKS = 20, 3
"""The number of best files per case, and of best chunks per file, that a model compares with the request."""
EVERY = 3
TRIED = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SHOWN = ("recall@1", "recall@5", "MRR")


@dataclass
class Pool:
    """A case's best-ranked files, best first, with their scores (files,) and the texts of their best chunks."""

    case: LocalisationCase
    paths: list[str]
    scores: Floats
    texts: list[list[str]]


def pools_of(releases: int, model: str) -> tuple[list[Pool], dict[str, Retrieval]]:
    """The pools of every `releases`-th release's cases, and their scores in the ranking with all chunks' vectors."""
    cases, embedder = load_localisation(), open_embedder(model)
    wanted = sorted({case.release for case in cases})[::releases]
    pools, shipped = [], {}
    for key, folder in fetch_releases(wanted).items():
        print(f"ranking in {folder.name}", file=sys.stderr, flush=True)  # noqa: T201
        index = open_release(key[0], folder, embedder).index
        for case in (case for case in cases if case.release == key):
            query = read_query(case.query)
            found = score(index, query).best_of_files(50).documents
            shipped[case.id] = score_ranking(files_of(index, found), case.files)
            ranking = score(index, query, off={"vectors"})
            total, (first, scores, _) = ranking.total(), ranking.best_of_files(FILES)
            texts = []
            for file in index.manifest.file_of[first].tolist():
                held = np.array(index.manifest.documents_of(file))
                best = held[np.argsort(-total[held], kind="stable")[:CHUNKS]].tolist()
                texts.append([embedded_text(chunk) for chunk in index.chunks(best)])
            pools.append(Pool(case, files_of(index, first), scores, texts))
    return pools, shipped


def similarities(pools: Sequence[Pool], embedder: Embedder) -> list[tuple[Floats, Floats]]:
    """For each pool: cosines of its chunks (files, CHUNKS), the lowest value for a missing chunk, and of the chunks
    joined."""
    joined = [["\n\n".join(texts) for texts in pool.texts] for pool in pools]
    of_pools = [texts for pool, whole in zip(pools, joined, strict=True) for texts in (*pool.texts, whole)]
    distinct = list(dict.fromkeys(text for texts in of_pools for text in texts))
    print(f"{embedder.identity}: {len(distinct)} texts", file=sys.stderr, flush=True)  # noqa: T201
    vector = dict(zip(distinct, embedder.embed_documents(distinct), strict=True))
    found = []
    for pool, whole in zip(pools, joined, strict=True):
        query = embedder.embed_query(pool.case.query)
        of_chunks = np.full((len(pool.texts), CHUNKS), np.nan)
        for file, texts in enumerate(pool.texts):
            of_chunks[file, : len(texts)] = [float(vector[text] @ query) for text in texts]
        found.append((of_chunks, np.array([float(vector[text] @ query) for text in whole])))
    return found


def to_unit(values: Floats) -> Floats:
    low, high = float(np.min(values)), float(np.max(values))
    scaled: Floats = (values - low) / (high - low) if high > low else np.zeros(len(values))
    return scaled


def by_rank(values: Floats) -> Floats:
    """The rank of each, 0 for the highest."""
    return np.argsort(np.argsort(-values, kind="stable"), kind="stable").astype(np.float64)


def ranks_of_chunks(scores: Floats, chunks: Floats, joined: Floats, weight: float) -> Floats:
    ranks = by_rank(np.nan_to_num(chunks, nan=-1.0).ravel()).reshape(chunks.shape)
    best: Floats = (1.0 / (1.0 + ranks / 10)).max(axis=1)
    return scores + weight * best


def best_chunk(scores: Floats, chunks: Floats, joined: Floats, weight: float) -> Floats:
    return scores + weight * to_unit(np.nanmax(chunks, axis=1))


def mean_of_chunks(scores: Floats, chunks: Floats, joined: Floats, weight: float) -> Floats:
    return scores + weight * to_unit(np.nanmean(chunks, axis=1))


def joined_chunks(scores: Floats, chunks: Floats, joined: Floats, weight: float) -> Floats:
    return scores + weight * to_unit(joined)


def reciprocal_ranks(scores: Floats, chunks: Floats, joined: Floats, weight: float) -> Floats:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009) of the two rankings of files."""
    return 1.0 / (60 + by_rank(scores)) + weight / (60 + by_rank(np.nanmax(chunks, axis=1)))


WAYS: dict[str, Callable[[Floats, Floats, Floats, float], Floats]] = {
    "ranks of chunks": ranks_of_chunks,
    "cosine, best chunk": best_chunk,
    "cosine, mean of chunks": mean_of_chunks,
    "cosine, chunks joined": joined_chunks,
    "reciprocal rank fusion": reciprocal_ranks,
}


def left_out(cases: Sequence[LocalisationCase], by_weight: Sequence[dict[str, Retrieval]]) -> dict[str, Retrieval]:
    """Each case's score with the weight that is best for the other packages; of equal ones, the lowest weight."""
    chosen = {}
    for package in {case.package for case in cases}:
        others = [case.id for case in cases if case.package != package]
        best = max(by_weight, key=lambda scores: round(mean([scores[id] for id in others])["MRR"], 9))
        chosen.update({case.id: best[case.id] for case in cases if case.package == package})
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.vectors", description=__doc__)
    parser.add_argument("models", nargs="*", default=["wordllama"], metavar="MODEL")
    parser.add_argument("--every", type=int, default=EVERY, help="take every n-th release (default: %(default)s)")
    parser.add_argument(
        "--lines", type=int, default=chunks.LONGEST_LINES, help="lines of a chunk (default: %(default)s)"
    )
    chosen = parser.parse_args()
    chunks.LONGEST_LINES = chosen.lines
    pools, shipped = pools_of(chosen.every, "wordllama")
    cases = [pool.case for pool in pools]
    without = {pool.case.id: score_ranking(pool.paths, pool.case.files) for pool in pools}

    def row(name: str, scores: dict[str, Retrieval]) -> None:
        means = mean(list(scores.values()))
        cells = [f"{means[metric]:.3f}" for metric in METRICS if metric in SHOWN]
        for metric in ("recall@1", "MRR"):
            value, low, high = difference(cases, without, scores, metric)
            cells.append(f"{value:+.3f} ({low:+.3f} to {high:+.3f})")
        print("| " + " | ".join([name, *cells]) + " |", flush=True)  # noqa: T201

    print(f"{len(cases)} cases; recall@1, recall@5, MRR; differences from no vectors, with 95% intervals")  # noqa: T201
    row("no vectors", without)
    row("wordllama, every chunk, as shipped", shipped)
    for model in chosen.models:
        found = similarities(pools, open_embedder(model))
        for name, way in WAYS.items():
            by_weight = []
            for weight in TRIED:
                scores = {}
                for pool, given in zip(pools, found, strict=True):
                    order = np.argsort(-way(pool.scores, *given, weight), kind="stable")
                    scores[pool.case.id] = score_ranking([pool.paths[place] for place in order], pool.case.files)
                by_weight.append(scores)
            row(f"{model}, {name}", left_out(cases, by_weight))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
