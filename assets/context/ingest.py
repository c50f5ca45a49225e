"""Brings contents into the store: blobs to chunks, term counts and vectors, each written once.

Knows nothing of sources, versions or paths beyond the language that a name stands for. A content is
complete or absent: its chunks, postings and vectors are written in one transaction.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from assets.context import skips, store
from assets.context.chunks import language_of
from assets.context.content import Content, chunker_of, embedded_text, make_content
from assets.context.store import Key
from assets.context.vector_table import VectorTable
from core.database import Database
from core.embedding import Embedder

BATCH_BYTES = 4 << 20
BATCH_CHUNKS = 2000

Read = Callable[[Iterable[str]], Iterator[tuple[str, bytes]]]
"""Yields (blob id, bytes) for the blob ids it is given, in any order."""

Step = Callable[[str], None]


@dataclass
class Ingested:
    """What became of the wanted contents: each key is in `ids` or, with the reason, in `skipped`."""

    ids: dict[Key, int] = field(default_factory=dict)
    skipped: dict[Key, str] = field(default_factory=dict)
    chunks_new: int = 0
    embedded: int = 0


def key_of(blob: str, path: str) -> Key:
    """What the content of a file is stored under; files of one blob and language share it."""
    return blob, chunker_of(language_of(path))


class Ingest:
    """Stores contents of one team. `on_step` is called after each transaction, `clock` before and after each phase."""

    def __init__(
        self,
        database: Database,
        team_id: uuid.UUID,
        embedder: Embedder | None,
        table: VectorTable | None,
        *,
        on_step: Step = lambda step: None,
        clock: Step = lambda phase: None,
    ) -> None:
        self._database = database
        self._team_id = team_id
        self._embedder = embedder
        self._table = table
        self._on_step = on_step
        self._clock = clock

    def store(self, wanted: Mapping[Key, str], read: Read) -> Ingested:
        """Stores what is not there yet of `wanted` (key -> a path that has it)."""
        done = Ingested()
        with self._database.team(self._team_id) as connection:
            done.ids |= store.find_contents(connection, self._team_id, wanted)
        missing: dict[str, dict[str, str]] = {}  # blob -> chunker -> a path with it
        for (blob, chunker), path in wanted.items():
            if (blob, chunker) not in done.ids:
                missing.setdefault(blob, {})[chunker] = path
        batch: dict[Key, Content] = {}
        size = cut = 0
        for blob, raw in read(missing):
            reason = skips.skip_content(raw)
            for chunker, path in missing[blob].items():
                if reason:
                    done.skipped[blob, chunker] = reason
                else:
                    batch[blob, chunker] = content = make_content(raw, language_of(path))
                    size += len(raw)
                    cut += len(content.chunks)
            if size >= BATCH_BYTES or cut >= BATCH_CHUNKS:
                self._write(batch, done)
                batch, size, cut = {}, 0, 0
        self._write(batch, done)
        return done

    def _write(self, batch: dict[Key, Content], done: Ingested) -> None:
        """Writes a batch of contents with their vectors in one transaction."""
        if not batch:
            return
        self._clock("chunk")
        wanted = [(key, number) for key in sorted(batch) for number in range(len(batch[key].chunks))]
        vectors = None
        if self._embedder:
            texts = [embedded_text(batch[key].chunks[number]) for key, number in wanted]
            vectors = self._embedder.embed_documents(texts)
            self._clock("embed")
        with self._database.team(self._team_id) as connection:
            ids, new = store.add_contents(connection, self._team_id, batch)
            if self._table and vectors is not None and len(vectors):
                self._table.insert(
                    connection, self._team_id, [ids[key] for key, _ in wanted], [n for _, n in wanted], vectors
                )
                done.embedded += len(vectors)
        done.ids |= ids
        done.chunks_new += sum(len(batch[key].chunks) for key in new)
        self._clock("store")
        self._on_step("stored")

    def fill(self, contents: Collection[int]) -> int:
        """Makes the vectors that stored contents lack: those of another model, or of a refresh without one."""
        if self._table is None or self._embedder is None or not contents:
            return 0
        with self._database.team(self._team_id) as connection:
            lacking = self._table.lacking(connection, sorted(contents))
        embedded = 0
        for first in range(0, len(lacking), 200):
            with self._database.team(self._team_id) as connection:
                found = store.chunks_of(connection, lacking[first : first + 200])
                vectors = self._embedder.embed_documents([embedded_text(chunk) for _, _, chunk in found])
                vectors = np.ascontiguousarray(vectors)
                self._table.insert(connection, self._team_id, [f[0] for f in found], [f[1] for f in found], vectors)
            embedded += len(found)
            self._on_step("embedded")
        return embedded
