"""Postings as read from Postgres, kept in this process: segments never change, so neither do these.

After a commit only what its own segment has is read; the common terms of large segments stay.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.postings import Pairs, unpack

KEPT_BYTES = 64 << 20

_READ = "SELECT term, segment, hits FROM postings WHERE segment = ANY(%b) AND term = ANY(%b)"
_OVERHEAD = 200
"""Bytes that an entry takes beside its pairs, about."""


class PostingsCache:
    """Bounded by the size of what it keeps; the terms that were not asked for longest go first."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._found: OrderedDict[tuple[str, str], dict[int, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, url: str, connection: Connection[TupleRow], segments: Sequence[int], terms: Sequence[str]
    ) -> Mapping[str, list[tuple[int, Pairs]]]:
        """The pairs of each term in those of the segments that have it."""
        wanted = set(segments)
        with self._lock:
            known = {term: dict(self._found.get((url, term), ())) for term in terms}
        lacking = {term: wanted - held.keys() for term, held in known.items() if not wanted <= held.keys()}
        if lacking:
            asked = sorted(set().union(*lacking.values()))
            for term in lacking:
                known[term].update(dict.fromkeys(asked, b""))
            for term, segment, hits in connection.execute(_READ, (asked, list(lacking)), binary=True).fetchall():
                known[term][segment] = hits
        self._keep(url, known)
        return {
            term: [(segment, unpack(held[segment])) for segment in segments if held[segment]]
            for term, held in known.items()
        }

    def _keep(self, url: str, known: Mapping[str, dict[int, bytes]]) -> None:
        with self._lock:
            for term, held in known.items():
                key = (url, term)
                self._bytes += _size(held) - _size(self._found.get(key, {}))
                self._found[key] = held
                self._found.move_to_end(key)
            while self._bytes > self._kept_bytes and self._found:
                self._bytes -= _size(self._found.popitem(last=False)[1])


def _size(held: Mapping[int, bytes]) -> int:
    return sum(map(len, held.values())) + _OVERHEAD * (1 + len(held))
