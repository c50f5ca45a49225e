"""Caches the tickets of sources in this process and updates them with what was changed since.

The first query reads the keys, attributes and text locations of all tickets of the source. Each later query reads
only the changes, at a cost that does not depend on the number of tickets.
"""

import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.store.prune import READERS
from assets.context.tickets.columns import Contents, Tickets
from assets.context.tickets.corpus import Corpus
from assets.context.tickets.corpus_read import Delta, Moment, read_all, read_contents, read_since

KEPT_BYTES = 192 << 20
"""Enough for some 150,000 tickets with their comments."""

STALE_SECONDS = READERS.total_seconds() / 2
"""A corpus that was not updated for longer may refer to segments that were dropped in the meantime."""

_Key = tuple[str, uuid.UUID, str]


@dataclass(frozen=True)
class _Held:
    moment: Moment
    corpus: Corpus


class CorpusCache:
    """An LRU cache by source, bounded by its size in bytes. Concurrent queries may both read the changes; each sees a
    consistent state."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._held: OrderedDict[_Key, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, url: str, connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> Corpus:
        """The corpus of what is visible to the connection's transaction."""
        key = (url, team_id, source)
        with self._lock:
            held = self._held.get(key)
        now = self._update(url, connection, team_id, source, held) if held else None
        if now is None:
            moment, tickets = read_all(connection, team_id, source)
            contents = read_contents(connection, np.unique(tickets.row_content))
            now = _Held(moment, Corpus(url, tickets, contents))
        self._keep(key, now)
        return now.corpus

    def _update(
        self, url: str, connection: Connection[TupleRow], team_id: uuid.UUID, source: str, held: _Held
    ) -> _Held | None:
        """The updated corpus, or None if everything has to be read again."""
        corpus, last = held.corpus, held.moment
        delta = read_since(connection, team_id, source, last, corpus.segments)
        there = delta.moment
        # A smaller xmin: the database was restored. Another time of creation: the source was removed and added again.
        if there.xmin < last.xmin or there.added != last.added or there.at - last.at > STALE_SECONDS:
            return None
        if delta.touched is None:
            return None
        if not delta.touched and not delta.replaced:
            return _Held(there, corpus)
        return _Held(there, _altered(url, connection, corpus, delta))

    def _keep(self, key: _Key, held: _Held) -> None:
        with self._lock:
            self._held[key] = held
            self._held.move_to_end(key)
            size = sum(one.corpus.nbytes for one in self._held.values())
            while size > self._kept_bytes and self._held:
                size -= self._held.popitem(last=False)[1].corpus.nbytes


def _altered(url: str, connection: Connection[TupleRow], corpus: Corpus, delta: Delta) -> Corpus:
    same = None if delta.replaced else corpus.with_attributes(delta.touched or (), delta.tickets)
    if same is not None:
        return same
    contents = corpus.contents
    moved = np.isin(contents.segments, delta.replaced)
    if moved.any():
        contents = contents.of(np.flatnonzero(~moved))
        moved_ids = corpus.contents.ids[moved]
    else:
        moved_ids = np.zeros(0, dtype=np.int64)
    tickets: Tickets = corpus.tickets.replace(delta.touched or (), delta.tickets)
    lacking = np.setdiff1d(np.union1d(delta.tickets.row_content, moved_ids), contents.ids)
    new: Contents = read_contents(connection, lacking)
    return Corpus(url, tickets, contents.plus(new))
