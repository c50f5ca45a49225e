"""`make bench-retrieval`: file and function localisation on the development set, against `bm25s` over whole files.

Our ranking searches the whole release (tests, documents, examples); the baseline only the package's Python files, which
is easier. `learned` takes its weights and request words from the other packages, so it is the one to compare with the
baseline. `shipped` are the weights in use, learned on all six. Differences come with intervals from a
paired bootstrap over releases. `--fit` and `--words` print what would be shipped.
"""

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.context.chunking import terms
from assets.context.chunking.chunks import language_of
from assets.context.chunking.content import Content, make_content
from assets.context.ranking.index import Index
from assets.context.ranking.query import Query, read_query
from assets.context.ranking.rank import Ranking, score
from assets.context.ranking.request_words import REQUEST_WORDS
from assets.context.ranking.signals.roles import role_of
from assets.context.ranking.weights import WEIGHTS
from assets.context.source.skips import skip_content
from assets.context.store.memory import MemoryIndex
from assets.evals.harvest.releases import fetch_releases
from assets.evals.sets.localisation import LocalisationCase, Retrieval, load_localisation, score_ranking
from core.embedding import Embedder, open_embedder
from tests.bench.retrieval_scores import DEEPEST, METRICS, Measured, difference, mean

Matrix = NDArray[np.float64]
FIXED = ("frames", "recent", "messages", "role", "commits", "together", "references", "file")
"""Not learned: what commit messages of releases without history cannot teach."""
MOST_FUNCTIONS = 5
NOTHING = "(nothing)"
PENALTY = 0.001
MAX_FILE = 1 << 20


@dataclass
class Case:
    """A case with its evidence: `values[i, j]` is the value of signal j for file i."""

    case: LocalisationCase
    paths: Sequence[str]
    values: Matrix
    wanted: NDArray[np.bool_]
    functions: frozenset[str]


@dataclass
class Release:
    index: MemoryIndex
    texts: dict[str, str]
    package: list[str]
    cases: list[LocalisationCase] = field(default_factory=list)
    definitions: dict[str, dict[str, str]] = field(default_factory=dict)


def open_release(package: str, folder: Path, embedder: Embedder) -> Release:
    """Indexes a release as a source without history."""
    files: list[tuple[str, Content]] = []
    texts = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        made_by_build = name == "PKG-INFO" or ".egg-info/" in name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE or made_by_build:
            continue
        raw = path.read_bytes()
        if skip_content(raw) is None:
            files.append((name, make_content(raw, language_of(name))))
            texts[name] = raw.decode("utf-8", "replace")
    files.sort(key=lambda file: file[0].encode())
    index = MemoryIndex(package, folder.name, files, [embedder])
    index.most_embedded = 1_000_000
    inside = [
        name
        for name in texts
        if name.removeprefix("src/").startswith(f"{package}/") and name.endswith(".py") and role_of(name) != "test"
    ]
    definitions: dict[str, dict[str, str]] = {}
    for name, content in files:
        if name in inside:
            held: dict[str, str] = defaultdict(str)
            for chunk in content.chunks:
                if chunk.symbol and chunk.kind != "class":
                    held[chunk.symbol] += chunk.text
            definitions[name] = dict(held)
    return Release(index, texts, inside, definitions=definitions)


def changed_functions(releases: Mapping[tuple[str, str], Release], case: LocalisationCase) -> frozenset[str]:
    """`path:symbol` of each function that the commit changed; empty if that cannot be determined."""
    from packaging.version import Version

    later = [v for p, v in releases if p == case.package and Version(v) > Version(case.version)]
    if not later:
        return frozenset()
    here, there = releases[case.release], releases[case.package, min(later, key=Version)]
    changed = set()
    for path in case.files:
        if sum(path in other.files for other in here.cases) > 1 or path not in there.definitions:
            return frozenset()
        after = there.definitions[path]
        changed |= {f"{path}:{s}" for s, text in here.definitions.get(path, {}).items() if after.get(s) != text}
    return frozenset(changed) if len(changed) <= MOST_FUNCTIONS else frozenset()


def request_words(cases: Sequence[LocalisationCase]) -> dict[str, float]:
    """Weights of the words that requests of all topics share (`request_words` of the ranking)."""
    held: Counter[str] = Counter()
    packages: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        for term in terms.query_terms(case.query):
            held[term] += 1
            packages[term].add(case.package)
    return {
        term: round(max(0.0, min(1.0, math.log(len(cases) / count) / math.log(len(cases) / 3))), 2)
        for term, count in held.items()
        if count >= 0.015 * len(cases) and len(packages[term]) >= 4
    }


def by_file(index: Index, ranking: Ranking) -> Matrix:
    """The best value of each signal in each file: shape (files, signals)."""
    offsets = index.manifest.offsets
    files = np.flatnonzero(np.diff(offsets))
    values = np.zeros((len(index.manifest.paths), len(WEIGHTS)))
    for column, name in enumerate(WEIGHTS):
        found = ranking.scores[name]
        if found.of_files:
            values[:, column] = found.values
        elif found.documents is not None:
            np.maximum.at(values[:, column], index.manifest.file_of[found.documents], found.values)
        else:
            values[files, column] = np.maximum.reduceat(found.values, offsets[files])
    return values


def learn(cases: Sequence[Case]) -> dict[str, float]:
    """The non-negative weights with the greatest likelihood of the changed files, where all packages count equally.

    Softmax regression over the files of each case, with an L2 penalty on the weights in units of each signal's
    standard deviation.
    """
    from scipy.optimize import minimize

    names = list(WEIGHTS)
    free = [column for column, name in enumerate(names) if name not in FIXED]
    held = [column for column, name in enumerate(names) if name in FIXED]
    given = np.array([WEIGHTS[names[column]] for column in held])
    spread = np.concatenate([case.values[:, free] for case in cases]).std(axis=0) + 1e-9
    counts = Counter(case.case.package for case in cases)
    share = [1.0 / counts[case.case.package] / len(counts) for case in cases]

    def loss(weights: Matrix) -> tuple[float, Matrix]:
        total, slope = PENALTY / 2 * float(weights @ weights), PENALTY * weights
        for case, part in zip(cases, share, strict=True):
            scaled = case.values[:, free] / spread
            logits = scaled @ weights + case.values[:, held] @ given
            chance = np.exp(logits - logits.max())
            chance /= chance.sum()
            right = float(chance[case.wanted].sum())
            total -= part * math.log(max(right, 1e-12))
            aim = np.where(case.wanted, chance, 0.0) / max(right, 1e-12)
            slope = slope - part * (scaled.T @ (aim - chance))
        return total, slope

    found = minimize(loss, np.zeros(len(free)), jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(free))
    learned = dict(zip((names[column] for column in free), (found.x / spread).tolist(), strict=True))
    return {name: learned.get(name, WEIGHTS[name]) for name in names}


class Baseline:
    """BM25 over whole files by `bm25s`, with its own tokenizer and English stop words."""

    def __init__(self, release: Release) -> None:
        import bm25s  # type: ignore[import-untyped]

        self._bm25s = bm25s
        self._paths = release.package
        texts = [release.texts[path] for path in self._paths]
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def rank(self, query: str) -> list[str]:
        tokens = self._bm25s.tokenize([query], stopwords="en", show_progress=False)
        found, _ = self._index.retrieve(tokens, k=min(DEEPEST, len(self._paths)), show_progress=False)
        return [self._paths[number] for number in found[0]]


class Experiment:
    """Everything measured once: the baseline, the shipped ranking, and the ranking learned without each package."""

    def __init__(self, embedder: str = "wordllama", *, log: bool = True) -> None:
        self.cases = load_localisation()
        self._log = log
        folders = fetch_releases({case.release for case in self.cases})
        model = open_embedder(embedder)
        self.releases: dict[tuple[str, str], Release] = {}
        for number, (key, folder) in enumerate(sorted(folders.items()), 1):
            self._say(f"indexing {number} of {len(folders)}: {folder.name}")
            self.releases[key] = open_release(key[0], folder, model)
        for case in self.cases:
            self.releases[case.release].cases.append(case)
        self.baseline: dict[str, Retrieval] = {}
        self.shipped = Measured()
        self.learned = Measured()
        self.without: dict[str, dict[str, Retrieval]] = defaultdict(dict)
        self.known: list[Case] = []

    def _say(self, line: str) -> None:
        if self._log:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def read(self) -> None:
        """Ranks every case with the shipped weights and stores the evidence."""
        for key, release in self.releases.items():
            self._say(f"ranking {len(release.cases)} cases of {'-'.join(key)}")
            baseline = Baseline(release)
            for case in release.cases:
                self.baseline[case.id] = score_ranking(baseline.rank(case.query), case.files)
                known = self._known(case, read_query(case.query), self.shipped)
                self.known.append(known)

    def _known(self, case: LocalisationCase, query: Query, into: Measured | None) -> Case:
        index = self.releases[case.release].index
        ranking = score(index, query)
        paths = index.manifest.paths
        wanted = np.array([path in case.files for path in paths])
        known = Case(case, paths, by_file(index, ranking), wanted, changed_functions(self.releases, case))
        if into:
            into.add(case, known.functions, index, ranking)
        return known

    def leave_packages_out(self) -> None:
        """For each package, learns words and weights on the others and ranks its cases with them."""
        for package in sorted({case.package for case in self.cases}):
            self._say(f"learning without {package}")
            words = request_words([case for case in self.cases if case.package != package])
            elsewhere = [case for case in self.known if case.case.package != package]
            weights = learn(elsewhere)
            for known in (case for case in self.known if case.case.package == package):
                index = self.releases[known.case.release].index
                ranking = score(index, read_query(known.case.query, words), weights=weights)
                self.learned.add(known.case, known.functions, index, ranking)
                values = by_file(index, ranking)
                for name in (NOTHING, *WEIGHTS):
                    kept = np.array([0.0 if other == name else weights[other] for other in WEIGHTS])
                    order = np.argsort(-(values @ kept), kind="stable")[:DEEPEST].tolist()
                    ranked = [known.paths[file] for file in order]
                    self.without[name][known.case.id] = score_ranking(ranked, known.case.files)


def run(embedder: str = "wordllama", *, log: bool = True) -> Experiment:
    done = Experiment(embedder, log=log)
    done.read()
    done.leave_packages_out()
    return done


def table(done: Experiment) -> str:
    """All results, as text."""
    lines = [f"{'':24}{'cases':>6}" + "".join(f"{metric:>11}" for metric in METRICS)]

    def row(name: str, scores: Sequence[Retrieval]) -> None:
        lines.append(f"{name:24}{len(scores):6}" + "".join(f"{value:11.3f}" for value in mean(scores).values()))

    def block(title: str, ids: Sequence[str]) -> None:
        lines.append(title)
        row("  bm25s, whole files", [done.baseline[i] for i in ids])
        row("  shipped", [done.shipped.files[i] for i in ids])
        row("  learned elsewhere", [done.learned.files[i] for i in ids])

    block("files", [case.id for case in done.cases])
    for package in sorted({case.package for case in done.cases}):
        block(package, [case.id for case in done.cases if case.package == package])
    lines.append("functions, where they can be told")
    row("  shipped", list(done.shipped.functions.values()))
    row("  learned elsewhere", list(done.learned.functions.values()))
    lines.append("changed files, and functions, among the first k places, spread over files and by score alone")
    for (what, spreads, k), shares in sorted(done.learned.met.items()):
        lines.append(f"  {what:10}{'spread' if spreads else 'not spread':12}{k:4}{float(np.mean(shares)):8.3f}")
    lines.append("difference from bm25s, 95% interval")
    for name, measured in (("shipped", done.shipped.files), ("learned elsewhere", done.learned.files)):
        for metric in METRICS:
            value, low, high = difference(done.cases, done.baseline, measured, metric)
            lines.append(f"  {name}, {metric}: {value:+.3f} ({low:+.3f} to {high:+.3f})")
    lines.append("learned elsewhere, by the best of each file, without one signal (not learned again): recall@1, MRR")
    whole = mean(list(done.without[NOTHING].values()))
    for name, scores in done.without.items():
        left = mean(list(scores.values()))
        shown = [f"{left[metric]:8.3f} ({left[metric] - whole[metric]:+.3f})" for metric in ("recall@1", "MRR")]
        lines.append(f"  {name:12}{''.join(shown)}")
    return "\n".join(lines)


def measure() -> list[dict[str, object]]:
    """Rows for `make bench`: the scores on packages that were left out of learning, against whole-file BM25."""
    done = run()
    base, ours = mean(list(done.baseline.values())), mean(list(done.learned.files.values()))
    rows: list[dict[str, object]] = []
    for metric in METRICS:
        _, low, high = difference(done.cases, done.baseline, done.learned.files, metric)
        rows.append(
            {
                "name": f"file {metric}, packages left out",
                "value": round(ours[metric], 3),
                "unit": "",
                "against": f"bm25s over whole files (difference {low:+.3f} to {high:+.3f})",
                "against_value": round(base[metric], 3),
                "ratio": round(ours[metric] / base[metric], 2),
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retrieval", description=__doc__)
    parser.add_argument("--fit", action="store_true", help="print weights learned on all packages")
    parser.add_argument("--words", action="store_true", help="print request words of all packages")
    parser.add_argument("--model", default="wordllama", help="the embedding model (default: %(default)s)")
    chosen = parser.parse_args()
    if chosen.words:
        found = request_words(load_localisation())
        for term, weight in sorted(found.items(), key=lambda item: (item[1], item[0])):
            print(f"{term:16}{weight:6.2f}  shipped {REQUEST_WORDS.get(term, 1.0):.2f}")  # noqa: T201
        return 0
    if chosen.fit:
        done = Experiment(chosen.model)
        done.read()
        for name, weight in learn(done.known).items():
            mark = "set by reason" if name in FIXED else f"shipped {WEIGHTS[name]:.2f}"
            print(f"{name:12}{weight:7.2f}  {mark}")  # noqa: T201
        return 0
    print(table(run(chosen.model)))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
