"""Caches the vectors of a source's tickets in memory, for processes that search them repeatedly.

The first search lets Postgres compare the vectors; the second reads all vectors, later ones only those of new
texts. If a source's vectors take more than half of the cache, Postgres always compares them, by its index.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.ranking.index import Ints
from assets.context.store import binary
from assets.context.store.vector_search import Hit, nearest
from assets.context.store.vector_table import VectorTable
from assets.context.tickets.columns import Contents
from core.embedding import Vectors

KEPT_BYTES = 128 << 20
MOST_LACKING = 1000
"""Every search looks up the missing vectors of at most this many texts; with more, Postgres compares."""

MOST_BLOCKS = 32
_MOST_KEYS = 256
_DIGITS = 6
"""Vectors have single precision: similarities are rounded to this many digits, so that smaller differences are ties."""

_READ = "SELECT content_id, chunk, vector_send(embedding) FROM {} WHERE content_id = ANY(%b) ORDER BY content_id, chunk"
_Key = tuple[str, uuid.UUID, str, str]


@dataclass(frozen=True)
class _Block:
    contents: Ints
    chunks: Ints
    matrix: Vectors


@dataclass(frozen=True)
class _Held:
    """The vectors of the contents `of`, and of some that were removed; `live` is the mask of rows not removed."""

    of: Contents
    blocks: tuple[_Block, ...]
    contents: Ints
    chunks: Ints
    live: NDArray[np.bool_]
    lacking: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return sum(block.matrix.nbytes for block in self.blocks) + 17 * len(self.contents)


class VectorCache:
    """An LRU cache by source and model, bounded by its size in bytes."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._held: OrderedDict[_Key, _Held | None] = OrderedDict()  # None: searched once
        self._lock = threading.Lock()

    def nearest(
        self,
        url: str,
        connection: Connection[TupleRow],
        table: VectorTable,
        team_id: uuid.UUID,
        source: str,
        contents: Contents,
        query: Vectors,
        count: int,
    ) -> list[Hit]:
        """The closest passages of `contents`, best first."""
        key = (url, team_id, source, table.identity)
        with self._lock:
            searched_before = key in self._held
            held = self._held.get(key)
            self._held.setdefault(key, None)
            self._held.move_to_end(key)
            while len(self._held) > _MOST_KEYS:
                self._held.popitem(last=False)
        fits = len(contents.lengths) * query.nbytes <= self._kept_bytes // 2
        now = self._update(connection, table, contents, held) if searched_before and fits else None
        if now is None:
            found = nearest(connection, table, query, contents.ids, contents.sizes, count)
            return _ordered([(content, chunk, round(near, _DIGITS)) for content, chunk, near in found])
        self._keep(key, now)
        return _nearest(now, query, count)

    def _update(
        self, connection: Connection[TupleRow], table: VectorTable, contents: Contents, held: _Held | None
    ) -> _Held | None:
        """The updated vectors, or None if too many texts have no vector."""
        if held is not None and held.of is contents and not len(held.lacking):
            return held
        blocks = held.blocks if held else ()
        wanted = contents.ids[contents.sizes > 0]
        lacking = np.setdiff1d(wanted, held.contents) if held else wanted
        if held is not None and len(lacking) > MOST_LACKING:
            return None
        if len(lacking):
            new = _read(connection, table, lacking)
            blocks = (*blocks, new) if len(new.contents) else blocks
            lacking = np.setdiff1d(lacking, new.contents)
        if len(lacking) > MOST_LACKING:
            return None
        if len(blocks) > MOST_BLOCKS:
            blocks = (_joined(blocks, contents.ids),)
        of_rows = _concatenated([block.contents for block in blocks])
        chunks = _concatenated([block.chunks for block in blocks])
        return _Held(contents, blocks, of_rows, chunks, np.isin(of_rows, contents.ids), lacking)

    def _keep(self, key: _Key, held: _Held) -> None:
        with self._lock:
            self._held[key] = held
            self._held.move_to_end(key)
            size = sum(one.nbytes for one in self._held.values() if one)
            while size > self._kept_bytes and self._held:
                _, gone = self._held.popitem(last=False)
                size -= gone.nbytes if gone else 0


def _read(connection: Connection[TupleRow], table: VectorTable, contents: Ints) -> _Block:
    binary.register(connection)
    statement = sql.SQL(_READ).format(table.name)
    rows = connection.execute(statement, (binary.bigints(contents),), binary=True).fetchall()
    places = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2)
    return _Block(places[:, 0], places[:, 1], binary.received_vectors([row[2] for row in rows]))


def _joined(blocks: Sequence[_Block], wanted: Ints) -> _Block:
    """One block of the vectors of the contents `wanted`."""
    contents = _concatenated([block.contents for block in blocks])
    live = np.isin(contents, wanted)
    chunks = _concatenated([block.chunks for block in blocks])
    return _Block(contents[live], chunks[live], np.concatenate([block.matrix for block in blocks])[live])


def _concatenated(arrays: Sequence[Ints]) -> Ints:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)


def _nearest(held: _Held, query: Vectors, count: int) -> list[Hit]:
    if not held.live.any():
        return []
    near = np.round(np.concatenate([block.matrix @ query for block in held.blocks]).astype(np.float64), _DIGITS)
    near[~held.live] = -np.inf
    if len(near) > count:
        rows = np.flatnonzero(near >= np.partition(near, len(near) - count)[len(near) - count])
    else:
        rows = np.arange(len(near))
    rows = rows[np.isfinite(near[rows])]
    hits = zip(held.contents[rows].tolist(), held.chunks[rows].tolist(), near[rows].tolist(), strict=True)
    return _ordered(list(hits))[:count]


def _ordered(hits: list[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit[2], hit[0], hit[1]))
