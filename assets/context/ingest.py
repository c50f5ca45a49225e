"""Brings contents into the store: blobs to chunks, term counts and vectors, each written once.

Knows nothing of sources, versions or paths beyond the language that a name stands for. A content is
complete or absent: its chunks and postings, and the vectors of one model if there is any, are written
in one transaction. The vectors of further models follow by `Ingest.fill`.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assets.context import skips, store
from assets.context.chunks import language_of
from assets.context.content import Content, chunker_of, embedded_text, make_content
from assets.context.store import Key
from assets.context.vector_table import VectorTable
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors

BATCH_BYTES = 4 << 20
BATCH_CHUNKS = 2000
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
        model that can be reached. Raises `EmbedderUnavailable` when there are models and none can."""
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
        places = [(key, number) for key in sorted(batch) for number in range(len(batch[key].chunks))]
        model, vectors = self._embed([embedded_text(batch[key].chunks[number]) for key, number in places])
        self._clock("embed")
        with self._database.team(self._team_id) as connection:
            ids, new = store.add_contents(connection, self._team_id, batch)
            if model and vectors is not None:
                model.table.insert(
                    connection, self._team_id, [ids[key] for key, _ in places], [n for _, n in places], vectors
                )
                self.embedded += len(vectors)
        done.ids |= ids
        done.chunks_new += sum(len(batch[key].chunks) for key in new)
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
                found = store.chunks_of(connection, lacking[first : first + FILL_CONTENTS])
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
