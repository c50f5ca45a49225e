"""The context index: the speed and memory of indexing, refreshing and searching a repository.

A synthetic repository (see `context_repository`) of 10,000 files is indexed in its own process with the default model,
then changed by commits of 1 to 1,000 files. Queries run on real code, the Python files installed on this machine
(about 200,000 chunks), and are sentences of its docstrings. A model that only waits, and an ONNX model if one has been
fetched, show how much of a slow model's speed the indexing reaches.
"""

import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from assets.context.chunking.content import embedded_text
from assets.context.indexing.refresh import RefreshReport, refresh
from assets.context.ranking.rank import rank
from assets.context.source.sources import add_source
from assets.context.store.postgres import open_index
from assets.context.store.vector_index import build_vector_indexes
from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.embedding import Embedder, EmbedderUnavailable, Vectors, open_embedder
from core.events import DEFAULT_TEAM
from tests.bench.context_repository import Author, commit, create, installed_sources

SMALL, FILES = 1_000, 10_000
REAL_FILES = 8_500
SLOW_FILES = 300
SLOW_RATE = 400
"""Texts a second of the model that only waits: about what a small transformer does on two cores."""

CHANGES = (1, 10, 100, 1_000)
QUERIES = 60
WARMING = 20
ONNX = "all-minilm-l6-v2-q"
NEAREST = 10


def measure() -> list[dict[str, Any]]:
    with _workplace() as place:
        small = place.index_in_a_process("small", SMALL)
        large = place.index_in_a_process("large", FILES)
        rows = [
            _row(
                f"first index of {FILES:,} files, wordllama",
                large["chunks"] / large["seconds"],
                "chunks/s",
                "the model alone on the same texts",
                large["alone"],
            ),
            _row(
                "processor time of that, all processes but Postgres",
                large["cpu"],
                "s",
                "its duration",
                large["seconds"],
            ),
            _row(f"peak memory of that, {FILES:,} files", large["memory"], "MB", f"{SMALL:,} files", small["memory"]),
            *place.slow_models(),
        ]
        rows += place.commits("large", large["seconds"])
        rows += place.queries()
    return rows


class _Waiting:
    """A model that takes the time of a slow one and none of the processor."""

    identity = "waiting-64@sha256:0000000000000000"
    dimensions = 64
    max_tokens = 512

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        time.sleep(len(texts) / SLOW_RATE)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        vectors[:, 0] = 1
        return vectors

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self.embed_documents([text])[0]
        return vector


class _Workplace:
    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder = folder
        self.owner_url = server.url("bench", owner=True)
        self.url = server.url("bench")
        self.database = Database(self.url)
        self.author = Author()
        self.embedder = open_embedder("wordllama")
        self.made: dict[str, int] = {}

    def write(self, name: str, files: Iterator[tuple[str, str]]) -> None:
        if name not in self.made:
            create(self.folder / f"{name}.git")
            add_source(self.database, DEFAULT_TEAM, name, str(self.folder / f"{name}.git"), roots=[self.folder])
        commit(self.folder / f"{name}.git", files, self.made.get(name, 0))
        self.made[name] = self.made.get(name, 0) + 1

    def refresh(
        self, name: str, embedder: Embedder, on_step: Callable[[str], None] = lambda step: None
    ) -> RefreshReport:
        return refresh(
            self.database,
            DEFAULT_TEAM,
            name,
            mirrors=self.folder / "mirrors",
            roots=[self.folder],
            embedders=[embedder],
            on_step=on_step,
        )

    def index_in_a_process(self, name: str, files: int) -> dict[str, float]:
        author = Author(files)  # the seed; the store must not have these contents already
        self.write(name, author.files(files))
        command = [sys.executable, "-m", "tests.bench.context", self.url, str(self.folder), name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        measured: dict[str, float] = json.loads(done.stdout)
        return measured

    def slow_models(self) -> list[dict[str, Any]]:
        rows = []
        for number, (label, embedder) in enumerate(_slow_embedders()):
            name = f"slow-{number}"
            self.write(name, Author(SLOW_FILES + number).files(SLOW_FILES))
            embedder.embed_documents(["a word"])
            began = time.perf_counter()
            report = self.refresh(name, embedder)
            rate = report.chunks / (time.perf_counter() - began)
            with open_index(self.database, DEFAULT_TEAM, name) as index:
                texts = [embedded_text(chunk) for chunk in index.chunks(list(range(index.manifest.documents)))]
            began = time.perf_counter()
            embedder.embed_documents(texts)
            alone = len(texts) / (time.perf_counter() - began)
            rows.append(_row(f"first index with {label}", rate, "chunks/s", "the model alone", alone))
        return rows

    def commits(self, name: str, rebuilt: float) -> list[dict[str, Any]]:
        rows = []
        for count in CHANGES:
            seconds: list[float] = []
            for _ in range(3):
                self.write(name, ((self.author.path(n), self.author.file(n)) for n in range(count)))
                began = time.perf_counter()

                def seen(step: str, began: float = began, seconds: list[float] = seconds) -> None:
                    if step == "visible":
                        seconds.append(time.perf_counter() - began)

                self.refresh(name, self.embedder, seen)
            label = f"commit of {count:,} file{'s' if count > 1 else ''} until searchable, median of 3"
            rows.append(_row(label, statistics.median(seconds), "s", f"index of all {FILES:,} files", rebuilt))
        return rows

    def queries(self) -> list[dict[str, Any]]:
        self.write("installed", itertools.islice(installed_sources(), REAL_FILES))
        chunks = self.refresh("installed", self.embedder).chunks
        with self.database.team(DEFAULT_TEAM) as connection:
            rows = connection.execute(
                "SELECT split_part(docstring, E'\\n\\n', 1) FROM chunks WHERE length(docstring) BETWEEN 60 AND 400 "
                "AND content_id IN (SELECT content_id FROM source_files WHERE source = 'installed' AND until IS NULL) "
                "ORDER BY md5(content_id || ' ' || chunk) LIMIT %s",
                (QUERIES + WARMING,),
            ).fetchall()
        texts = [row[0] for row in rows]
        exact = self.search_times("installed", texts)
        built = build_vector_indexes(self.database, self.owner_url)
        near = self.search_times("installed", texts)
        kept = [
            sum(one >= wanted[-1] - 1e-5 for one in found) / len(wanted)
            for found, wanted in zip(near["similarities"], exact["similarities"], strict=True)
            if wanted
        ]
        label = f"of {chunks:,} chunks of real code, median of {QUERIES}"
        return [
            _row(f"query {label}", near["rank"], "ms", "with an exact scan of the vectors", exact["rank"]),
            _row(f"nearest vectors {label}", near["vectors"], "ms", "an exact scan", exact["vectors"]),
            _row("recall@10 of the vector index", statistics.fmean(kept), "of 1", "an exact scan", 1.0),
            *(
                _row(
                    "build of the vector index, apart",
                    one.vectors / one.seconds,
                    "vectors/s",
                    "the model alone",
                    self.alone(),
                )
                for one in built
            ),
        ]

    def alone(self) -> float:
        texts = [" ".join(self.author.draw(100)) for _ in range(4000)]
        began = time.perf_counter()
        self.embedder.embed_documents(texts)
        return len(texts) / (time.perf_counter() - began)

    def search_times(self, name: str, texts: Sequence[str]) -> dict[str, Any]:
        whole, vectors, similarities = [], [], []
        for text in texts:
            began = time.perf_counter()
            with open_index(self.database, DEFAULT_TEAM, name, [self.embedder]) as index:
                rank(index, text, 20)
                whole.append(1e3 * (time.perf_counter() - began))
                began = time.perf_counter()
                _, similarity = index.nearest(self.embedder.identity, text, NEAREST)
                vectors.append(1e3 * (time.perf_counter() - began))
                similarities.append(similarity.tolist())
        return {  # the first queries build what is cached
            "rank": statistics.median(whole[WARMING:]),
            "vectors": statistics.median(vectors[WARMING:]),
            "similarities": similarities,
        }


def _slow_embedders() -> Iterator[tuple[str, Embedder]]:
    yield f"a model that waits, {SLOW_RATE} texts/s", _Waiting()
    try:
        yield ONNX, open_embedder(ONNX)
    except EmbedderUnavailable as error:
        print(f"context: {ONNX} is left out: {error}", file=sys.stderr)  # noqa: T201


@contextmanager
def _workplace() -> Iterator[_Workplace]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = EmbeddedServer(folder / "data")
        try:
            server.ensure_database("bench")
            upgrade(server.url("bench", owner=True), login=LOGIN)
            place = _Workplace(folder, server)
            yield place
            place.database.close()
        finally:
            server.release()


def _row(name: str, value: float, unit: str, against: str, against_value: float) -> dict[str, Any]:
    def digits(number: float) -> float:
        return round(number, 3 if number < 10 else 1)

    return {
        "name": name,
        "value": digits(value),
        "unit": unit,
        "against": against,
        "against_value": digits(against_value),
        "ratio": round(value / against_value, 3) if against_value else 0.0,
    }


def _index_here(url: str, folder: Path, name: str) -> None:
    """The process that is measured: prints chunks, seconds, processor seconds and peak memory."""
    database = Database(url)
    embedder = open_embedder("wordllama")
    embedder.embed_documents(["a word"])
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    began = time.perf_counter()
    report = refresh(database, DEFAULT_TEAM, name, mirrors=folder / "mirrors", roots=[folder], embedders=[embedder])
    seconds = time.perf_counter() - began
    now = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(used, now, strict=True))
    memory = sum(one.ru_maxrss for one in now) / 1024
    with open_index(database, DEFAULT_TEAM, name, [embedder]) as index:
        texts = [embedded_text(chunk) for chunk in index.chunks(list(range(min(8000, index.manifest.documents))))]
    began = time.perf_counter()
    embedder.embed_documents(texts)
    alone = len(texts) / (time.perf_counter() - began)
    measured = {"chunks": report.chunks, "seconds": seconds, "cpu": cpu, "memory": memory, "alone": alone}
    print(json.dumps(measured))  # noqa: T201


if __name__ == "__main__":
    _index_here(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
