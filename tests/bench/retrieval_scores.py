"""How the rankings of `eval_sets/localisation` are scored and compared by the benchmarks. Not for ranking."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assets.context.ranking.index import Index, Ints
from assets.context.ranking.rank import Ranking
from assets.evals.sets.localisation import DEPTHS, LocalisationCase, Retrieval, score_ranking
from core.statistics import PairedData, bootstrap

DEEPEST = 50
"""Files ranked per case."""
LISTS = (10, 20, 100)
"""Lengths of lists of places."""
METRICS = (*(f"recall@{depth}" for depth in DEPTHS), "MRR")


def files_of(index: Index, documents: Ints) -> list[str]:
    """The files of the documents, each once, in order of first occurrence."""
    manifest = index.manifest
    return [manifest.paths[file] for file in dict.fromkeys(manifest.file_of[documents].tolist())]


def functions_of(index: Index, documents: Ints) -> list[str]:
    """The definitions of the documents as `path:symbol`, each once, in order of first occurrence."""
    manifest, found = index.manifest, documents.tolist()
    named = zip(found, index.chunks(found), strict=True)
    return list(dict.fromkeys(f"{manifest.paths[manifest.file_of[n]]}:{c.symbol}" for n, c in named if c.symbol))


@dataclass
class Measured:
    """Scores of one ranking method by case id; those of functions only for cases whose functions are known.

    `met` has the share of the changed files, or functions, among the first k places, by (which, spread or not, k).
    """

    files: dict[str, Retrieval] = field(default_factory=dict)
    functions: dict[str, Retrieval] = field(default_factory=dict)
    met: dict[tuple[str, bool, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, case: LocalisationCase, functions: frozenset[str], index: Index, ranking: Ranking) -> None:
        self.files[case.id] = score_ranking(files_of(index, ranking.best_of_files(DEEPEST).documents), case.files)
        spread = ranking.spread(max(LISTS)).documents
        if functions:
            self.functions[case.id] = score_ranking(functions_of(index, spread), functions)
        for is_spread, places in ((True, spread), (False, np.argsort(-ranking.total(), kind="stable"))):
            for k in LISTS:
                found = case.files.intersection(files_of(index, places[:k]))
                self.met["files", is_spread, k].append(len(found) / len(case.files))
                if functions:
                    found = functions.intersection(functions_of(index, places[:k]))
                    self.met["functions", is_spread, k].append(len(found) / len(functions))


def mean(scores: Sequence[Retrieval]) -> dict[str, float]:
    """The mean of each of `METRICS`."""
    held = np.array([[*one.recall, one.reciprocal_rank] for one in scores]).mean(axis=0).tolist()
    return dict(zip(METRICS, held, strict=True))


def difference(
    cases: Sequence[LocalisationCase], base: Mapping[str, Retrieval], ours: Mapping[str, Retrieval], metric: str
) -> tuple[float, float, float]:
    """Mean difference in one of `METRICS` and its 95% interval, with releases as clusters."""
    place = METRICS.index(metric)

    def values(measured: Mapping[str, Retrieval]) -> list[float]:
        return [(*measured[case.id].recall, measured[case.id].reciprocal_rank)[place] for case in cases]

    data = PairedData.of(values(base), values(ours), ["-".join(case.release) for case in cases])
    interval = bootstrap(data, "difference")
    return float((data.candidate - data.baseline).mean()), interval.low, interval.high
