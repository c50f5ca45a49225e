"""Retrieval as a subject: the files that the context stage finds for a request, with one embedding model.

Runs sets whose cases name a release and the expected files (`eval_sets/localisation`). The index holds only the
release, without history.
"""

import threading
import time
from pathlib import Path

from assets.context.chunking.chunks import language_of
from assets.context.chunking.content import make_content
from assets.context.ranking.rank import build_task_context, rank_files
from assets.context.source.skips import skip_content
from assets.context.store.memory import MemoryIndex
from assets.evals.harvest import releases
from assets.evals.runs.subject import Attempt, CaseOutcome, CaseResult, InfrastructureFailure, SubjectCannotStart
from assets.evals.sets.localisation import DEPTHS, Input, score_ranking
from core.embedding import Embedder, open_embedder
from core.embedding.protocol import EmbedderUnavailable
from core.settings import load_settings
from dagster_project.subjects.embedding_identity import embedding_identity

MAX_FILE = 1 << 20
EVERY_CHUNK = 1_000_000
FILES = 50
"""Ranked files; the deepest metric uses the first 20."""
KEPT = 2
"""Indexes in memory. A run processes cases cluster by cluster, and a cluster is a release."""


class RetrievalSubject:
    """Succeeds if an expected file is among the first ten. The metric `seconds` is the time to build the context."""

    kinds: tuple[str, ...] = ("plain",)

    def __init__(self, model: str) -> None:
        self.model = model
        self.name = f"retrieval-{model}"
        self._embedder: Embedder | None = None
        self._indexes: dict[tuple[str, str], MemoryIndex] = {}
        self._lock = threading.Lock()

    def identity(self) -> dict[str, str]:
        return {"engine": "retrieval", **embedding_identity(self.model)}

    def _open(self) -> Embedder:
        if self._embedder is None:
            try:
                self._embedder = open_embedder(self.model, load_settings().models_folder)
            except (EmbedderUnavailable, ValueError, OSError) as error:
                raise SubjectCannotStart(f"embedding model {self.model!r}: {error}") from error
        return self._embedder

    def start(self) -> None:
        self._open()

    def solve(self, attempt: Attempt) -> CaseResult:
        given = Input.model_validate(attempt.case.payload.input)
        try:
            with self._lock:
                index = self._index(given.package, given.version)
            began = time.monotonic()
            build_task_context(index, given.query)
            seconds = time.monotonic() - began
            ranked = [place.path for place in rank_files(index, given.query, FILES)]
        except (releases.ReleaseUnavailable, EmbedderUnavailable) as error:
            raise InfrastructureFailure(str(error)) from error
        scored = score_ranking(ranked, frozenset(given.files))
        recall = {f"recall_at_{depth}": share for depth, share in zip(DEPTHS, scored.recall, strict=True)}
        metrics = {"reciprocal_rank": scored.reciprocal_rank, **recall, "seconds": seconds}
        found = recall["recall_at_10"] > 0
        return CaseResult(CaseOutcome.CORRECT if found else CaseOutcome.WRONG, found, metrics, ", ".join(ranked[:3]))

    def _index(self, package: str, version: str) -> MemoryIndex:
        key = (package, version)
        if key not in self._indexes:
            while len(self._indexes) >= KEPT:
                self._indexes.pop(next(iter(self._indexes)))
            self._indexes[key] = _index_of(package, releases.fetch_release(package, version), self._open())
        return self._indexes[key]


def _index_of(package: str, folder: Path, embedder: Embedder) -> MemoryIndex:
    files = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        made_by_build = name == "PKG-INFO" or ".egg-info/" in name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE or made_by_build:
            continue
        raw = path.read_bytes()
        if skip_content(raw) is None:
            files.append((name, make_content(raw, language_of(name))))
    files.sort(key=lambda file: file[0].encode())
    index = MemoryIndex(package, folder.name, files, [embedder])
    # As in the stored index, every chunk can be a nearest neighbour, not only those that share words with the request.
    index.most_embedded = EVERY_CHUNK
    return index
