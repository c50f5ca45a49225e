"""Caches postings read from Postgres in this process. Segments never change, so no entry becomes stale.

After a commit, only its new segment is read; common terms of large segments stay cached.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.store.postings import Pairs, unpack

KEPT_BYTES = 64 << 20

_READ = "SELECT term, segment, hits FROM postings WHERE segment = ANY(%b) AND term = ANY(%b)"
_OVERHEAD = 200
"""Approximate size of an entry in bytes, apart from its pairs."""


class PostingsCache:
    """An LRU cache by term, bounded by its size in bytes."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._found: OrderedDict[tuple[str, str], _Held] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, url: str, connection: Connection[TupleRow], segments: Sequence[int], terms: Sequence[str]
    ) -> Mapping[str, list[tuple[int, Pairs]]]:
        """For each term, (segment, pairs) of those of the segments that contain it."""
        packed = self.get_packed(url, connection, segments, terms)
        return {term: [(segment, unpack(hits)) for segment, hits in parts] for term, parts in packed.items()}

    def get_packed(
        self, url: str, connection: Connection[TupleRow], segments: Sequence[int], terms: Sequence[str]
    ) -> Mapping[str, list[tuple[int, bytes]]]:
        """As `get`, with the pairs in the stored form, for `unpack`."""
        wanted = set(segments)
        known: dict[str, dict[int, bytes]] = {}
        lacking: dict[str, set[int]] = {}
        with self._lock:
            for term in terms:
                held = self._found.get((url, term))
                if held is not None and wanted <= held.hits.keys():
                    known[term] = held.hits  # never modified: later reads create a new dict
                    self._found.move_to_end((url, term))
                else:
                    known[term] = dict(held.hits) if held else {}
                    lacking[term] = wanted - known[term].keys()
        if lacking:
            unread = sorted(set().union(*lacking.values()))
            for term in lacking:
                known[term].update(dict.fromkeys(unread, b""))
            for term, segment, hits in connection.execute(_READ, (unread, list(lacking)), binary=True).fetchall():
                known[term][segment] = hits
            self._keep(url, {term: known[term] for term in lacking})
        return {
            term: [(segment, hits) for segment in segments if (hits := held[segment])] for term, held in known.items()
        }

    def _keep(self, url: str, read: Mapping[str, dict[int, bytes]]) -> None:
        made = {(url, term): _Held(hits, _size(hits)) for term, hits in read.items()}
        with self._lock:
            for key, held in made.items():
                before = self._found.get(key)
                self._bytes += held.size - (before.size if before else 0)
                self._found[key] = held
                self._found.move_to_end(key)
            while self._bytes > self._kept_bytes and self._found:
                self._bytes -= self._found.popitem(last=False)[1].size


class _Held(NamedTuple):
    hits: dict[int, bytes]
    size: int


def _size(held: Mapping[int, bytes]) -> int:
    return sum(map(len, held.values())) + _OVERHEAD * (1 + len(held))
