"""Brings contents into the store: blobs to chunks, term counts and vectors, each written once.

Knows nothing of sources, versions or paths beyond the language that a name stands for. A content is
complete or absent: its chunks and postings, and the vectors of one model if there is any, are written
in one transaction. The vectors of further models follow by `Ingest.fill`.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from assets.context.chunking.chunks import language_of
from assets.context.chunking.content import chunker_of, embedded_text
from assets.context.indexing.cutting import cut_all
from assets.context.store.batch import ContentBatch, Key
from assets.context.store.contents import add_contents, chunks_of, find_contents
from assets.context.store.vector_table import VectorTable
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors

BATCH_CHUNKS = 8192
"""The most chunks that are written in one transaction, as one segment of postings."""

BATCH_LEAST = 256
BATCH_SECONDS = 4.0
"""About how long a slow model may take for one batch; what is not written yet is lost when the process dies."""

FILL_CONTENTS = 200

Read = Callable[[Iterable[str]], Iterator[tuple[str, bytes]]]
"""Yields (blob id, bytes) for the blob ids it is given, in any order."""

Step = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """An embedding model with the table of its vectors."""

    embedder: Embedder
    table: VectorTable

    @property
    def identity(self) -> str:
        return self.table.identity


@dataclass
class Ingested:
    """What became of the wanted contents: each key is in `ids` or, with the reason, in `skipped`."""

    ids: dict[Key, int] = field(default_factory=dict)
    skipped: dict[Key, str] = field(default_factory=dict)
    chunks_new: int = 0


@dataclass(frozen=True)
class _Written:
    ids: dict[Key, int]
    chunks: int
    vectors: int


def key_of(blob: str, path: str) -> Key:
    """What the content of a file is stored under; files of one blob and language share it."""
    return blob, chunker_of(language_of(path))


class Ingest:
    """Stores contents of one team with the vectors of `embedders`, the preferred one first.

    `on_step` is called after each transaction, `clock` after each phase. `embedded` counts the vectors
    written, `unavailable` tells why a model of `embedders` could not be used (by name or place).
    """

    def __init__(
        self,
        database: Database,
        team_id: uuid.UUID,
        embedders: Sequence[Embedder],
        *,
        on_step: Step = lambda step: None,
        clock: Step = lambda phase: None,
    ) -> None:
        self._database = database
        self._team_id = team_id
        self._on_step = on_step
        self._clock = clock
        self._batch = BATCH_LEAST
        self.embedded = 0
        self.unavailable: dict[str, str] = {}
        self.models: list[Model] = []
        with database.team(team_id) as connection:
            for place, embedder in enumerate(embedders, start=1):
                try:
                    self.models.append(Model(embedder, VectorTable.of(connection, embedder)))
                except EmbedderUnavailable as error:
                    self.unavailable[f"model {place}"] = str(error)

    def store(self, wanted: Mapping[Key, str], read: Read) -> Ingested:
        """Stores what is not there yet of `wanted` (key -> a path that has it), with the vectors of the first
        model that can be reached. Raises `EmbedderUnavailable` when there are models and none can.

        While one batch is embedded, the next is cut and the one before is written, each at most one.
        """
        done = Ingested()
        with self._database.team(self._team_id) as connection:
            done.ids |= find_contents(connection, self._team_id, wanted)
        missing: dict[str, dict[str, str]] = {}  # blob -> chunker -> a path with it
        for (blob, chunker), path in wanted.items():
            if (blob, chunker) not in done.ids:
                missing.setdefault(blob, {})[chunker] = path
        files = ((blob, raw, missing[blob]) for blob, raw in read(missing))
        batch = ContentBatch()
        with ThreadPoolExecutor(1, "penstock-store") as writer, contextlib.closing(cut_all(files, len(missing))) as cut:
            written: Future[_Written] | None = None
            for part in cut:
                batch.merge(part)
                if batch.chunks >= min(BATCH_CHUNKS, self._batch):
                    written = self._pass_on(batch, written, writer, done)
                    batch = ContentBatch()
            self._note(self._pass_on(batch, written, writer, done), done)
        return done

    def _pass_on(
        self, batch: ContentBatch, before: "Future[_Written] | None", writer: ThreadPoolExecutor, done: Ingested
    ) -> "Future[_Written] | None":
        """Embeds a batch, waits until the one before is written, and has this one written."""
        self._clock("cut")
        done.skipped.update(batch.skipped)
        if not batch.keys:
            return before
        began = time.perf_counter()
        model, vectors = self._embed(batch.texts)
        rate = batch.chunks / (time.perf_counter() - began)
        self._batch = max(BATCH_LEAST, int(rate * BATCH_SECONDS))
        self._clock("embed")
        self._note(before, done)
        return writer.submit(self._write, batch, model, vectors)

    def _write(self, batch: ContentBatch, model: Model | None, vectors: Vectors | None) -> "_Written":
        """One transaction: contents, chunks, postings and vectors."""
        with self._database.team(self._team_id) as connection:
            ids, new = add_contents(connection, self._team_id, batch)
            if model and vectors is not None:
                sizes = [len(lengths) for lengths in batch.lengths]
                contents = np.repeat(np.array(ids, dtype=np.int64), sizes)
                chunks = np.concatenate([np.arange(size, dtype=np.int64) for size in sizes])
                model.table.insert(connection, self._team_id, contents, chunks, vectors)
        written = sum(len(lengths) for lengths, is_new in zip(batch.lengths, new, strict=True) if is_new)
        return _Written(dict(zip(batch.keys, ids, strict=True)), written, 0 if vectors is None else len(vectors))

    def _note(self, written: "Future[_Written] | None", done: Ingested) -> None:
        if written is None:
            return
        result = written.result()
        done.ids |= result.ids
        done.chunks_new += result.chunks
        self.embedded += result.vectors
        self._clock("store")
        self._on_step("stored")

    def _embed(self, texts: Sequence[str]) -> tuple[Model | None, Vectors | None]:
        """The vectors of the texts by the first model that answers, and which one it was."""
        if not texts:
            return None, None
        for model in self.models:
            if model.identity not in self.unavailable:
                try:
                    return model, model.embedder.embed_documents(texts)
                except EmbedderUnavailable as error:
                    self.unavailable[model.identity] = str(error)
        if self.unavailable:
            raise EmbedderUnavailable("; ".join(f"{name}: {reason}" for name, reason in self.unavailable.items()))
        return None, None

    def fill(self, model: Model, contents: Collection[int]) -> bool:
        """Makes the vectors of `model` that stored contents lack. False when the model could not be reached,
        which `unavailable` then explains."""
        if model.identity in self.unavailable:
            return False
        with self._database.team(self._team_id) as connection:
            lacking = model.table.lacking(connection, sorted(contents)) if contents else []
        for first in range(0, len(lacking), FILL_CONTENTS):
            with self._database.team(self._team_id) as connection:
                found = chunks_of(connection, lacking[first : first + FILL_CONTENTS])
            try:  # outside of a transaction, since a model may take its time
                vectors = model.embedder.embed_documents([embedded_text(chunk) for _, _, chunk in found])
            except EmbedderUnavailable as error:
                self.unavailable[model.identity] = str(error)
                return False
            with self._database.team(self._team_id) as connection:
                model.table.insert(connection, self._team_id, [f[0] for f in found], [f[1] for f in found], vectors)
            self.embedded += len(found)
            self._on_step("embedded")
        return True
