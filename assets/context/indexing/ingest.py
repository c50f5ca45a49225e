"""Stores contents: cuts blobs into chunks, counts terms, computes vectors, and writes each once.

Independent of sources and versions; a path only selects the language. A content is complete or absent: its
chunks, its postings and the vectors of one model, if any, are written in one transaction. `Ingest.fill` adds
the vectors of other models.
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
from assets.context.models import set_aside
from assets.context.store.batch import ContentBatch, Key
from assets.context.store.contents import add_contents, chunks_of, find_contents
from assets.context.store.vector_table import VectorTable
from core.database import Database
from core.embedding import Embedded, Embedder, EmbedderUnavailable, embed_most

BATCH_CHUNKS = 8192
"""A batch with this many chunks is written, in one transaction, as one segment of postings."""

BATCH_LEAST = 256
BATCH_SECONDS = 4.0
"""Batches are sized so that embedding one takes about this long; a batch is lost if the process dies before it is
written."""

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
    """The result for the wanted contents: each key is in `ids` or, with the reason, in `skipped`."""

    ids: dict[Key, int] = field(default_factory=dict)
    skipped: dict[Key, str] = field(default_factory=dict)
    chunks_new: int = 0


@dataclass(frozen=True)
class _Written:
    ids: dict[Key, int]
    chunks: int
    vectors: int


def key_of(blob: str, path: str) -> Key:
    """The key of a file's content; files with the same blob and language share it."""
    return blob, chunker_of(language_of(path))


class Ingest:
    """Stores contents of one team with the vectors of `embedders`, the preferred one first.

    `on_step` is called after each transaction, `clock` after each phase. `embedded` counts the vectors written.
    `unavailable` maps each model that could not be used (its identity, or `model N`) to the reason.
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
        """Stores those of `wanted` (key -> a path with this content) that are missing, with the vectors of the first
        available model. Raises `EmbedderUnavailable` if there are models but none is available.

        While one batch is embedded, the next is cut and the previous one is written.
        """
        done = Ingested()
        with self._database.team(self._team_id) as connection:
            done.ids |= find_contents(connection, self._team_id, wanted)
        missing: dict[str, dict[str, str]] = {}  # blob -> chunker -> path
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
        """Embeds a batch, waits until the previous one is written, and submits this one to the writer."""
        self._clock("cut")
        done.skipped.update(batch.skipped)
        if not batch.keys:
            return before
        began = time.perf_counter()
        model, found = self._embed(batch.texts)
        rate = batch.chunks / (time.perf_counter() - began)
        self._batch = max(BATCH_LEAST, int(rate * BATCH_SECONDS))
        self._clock("embed")
        self._note(before, done)
        return writer.submit(self._write, batch, model, found)

    def _write(self, batch: ContentBatch, model: Model | None, found: Embedded | None) -> "_Written":
        """Writes contents, chunks, postings and vectors in one transaction."""
        with self._database.team(self._team_id) as connection:
            ids, new = add_contents(connection, self._team_id, batch)
            if model and found is not None:
                sizes = [len(lengths) for lengths in batch.lengths]
                contents = np.repeat(np.array(ids, dtype=np.int64), sizes)
                chunks = np.concatenate([np.arange(size, dtype=np.int64) for size in sizes])
                model.table.insert(connection, self._team_id, contents, chunks, found.vectors)
                refused = [(int(contents[at]), int(chunks[at]), why) for at, why in found.refused.items()]
                set_aside.note(connection, self._team_id, model.table.model_id, refused)
        written = sum(len(lengths) for lengths, is_new in zip(batch.lengths, new, strict=True) if is_new)
        return _Written(dict(zip(batch.keys, ids, strict=True)), written, 0 if found is None else len(found.vectors))

    def _note(self, written: "Future[_Written] | None", done: Ingested) -> None:
        if written is None:
            return
        result = written.result()
        done.ids |= result.ids
        done.chunks_new += result.chunks
        self.embedded += result.vectors
        self._clock("store")
        self._on_step("stored")

    def _embed(self, texts: Sequence[str]) -> tuple[Model | None, Embedded | None]:
        """The first available model and its vectors of the texts; (None, None) without texts or models."""
        if not texts:
            return None, None
        for model in self.models:
            if model.identity not in self.unavailable:
                try:
                    return model, embed_most(model.embedder, texts)
                except EmbedderUnavailable as error:
                    self.unavailable[model.identity] = str(error)
        if self.unavailable:
            raise EmbedderUnavailable("; ".join(f"{name}: {reason}" for name, reason in self.unavailable.items()))
        return None, None

    def fill(self, model: Model, contents: Collection[int]) -> bool:
        """Adds the missing vectors of `model` to stored contents. Returns False if the model is unavailable, with the
        reason in `unavailable`."""
        if model.identity in self.unavailable:
            return False
        with self._database.team(self._team_id) as connection:
            lacking = model.table.lacking(connection, sorted(contents)) if contents else []
        for first in range(0, len(lacking), FILL_CONTENTS):
            with self._database.team(self._team_id) as connection:
                found = chunks_of(connection, lacking[first : first + FILL_CONTENTS])
            try:  # outside of a transaction, since a model may be slow
                embedded = embed_most(model.embedder, [embedded_text(chunk) for _, _, chunk in found])
            except EmbedderUnavailable as error:
                self.unavailable[model.identity] = str(error)
                return False
            with self._database.team(self._team_id) as connection:
                contents_of, chunks = [f[0] for f in found], [f[1] for f in found]
                model.table.insert(connection, self._team_id, contents_of, chunks, embedded.vectors)
                refused = [(contents_of[at], chunks[at], why) for at, why in embedded.refused.items()]
                set_aside.note(connection, self._team_id, model.table.model_id, refused)
            self.embedded += len(found)
            self._on_step("embedded")
        return True
