"""The visible texts of a source's tickets as arrays, and how well each ticket's match a query's words.

Which texts are visible is read in one statement, so that a query sees one moment; what they point at
never changes. A passage is a chunk of a text; the same text in two tickets is one content with two rows.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.index import Floats, Ints
from assets.context.postings import Pairs
from assets.context.postings_cache import PostingsCache
from assets.context.signals.bm25 import B_CHUNK, B_FILE, K1, idf
from core.tickets import Kind, State

_LOAD = """
SELECT p.service, p.project, p.key, p.part, p.content_id,
       (%(state)s::text IS NULL OR t.state = %(state)s) AND (%(kind)s::text IS NULL OR t.kind = %(kind)s)
       AND (%(before)s::timestamptz IS NULL OR t.created_at IS NULL OR t.created_at < %(before)s)
       AND (t.url IS NULL OR t.url <> ALL(%(without)s::text[]))
FROM ticket_parts p JOIN tickets t USING (team_id, source, service, project, key)
WHERE p.team_id = %(team)s AND p.source = %(source)s AND t.deleted_at IS NULL AND NOT t.hidden
  AND p.content_id IS NOT NULL
"""
_CONTENTS = "SELECT id, segment, first_slot, lengths FROM contents WHERE id = ANY(%b) ORDER BY id"
_cache = PostingsCache()

Counted = Mapping[str, tuple[Ints, Ints]]
"""For each term that occurs: the passages that hold it, and how often each does."""


@dataclass(frozen=True)
class Scored:
    """A value for each ticket, 0 where nothing matched; `rows` and `chunks` tell where it matched best (-1: as a
    whole). `unit` is what the value is."""

    unit: str
    values: Floats
    rows: Ints
    chunks: Ints

    def best(self, count: int, wanted: NDArray[np.bool_]) -> list[tuple[int, float, int, int]]:
        """(ticket, value, row, chunk) of the highest, highest first."""
        order = np.argsort(-np.where(wanted, self.values, 0.0), kind="stable")[:count]
        return [
            (int(n), float(self.values[n]), int(self.rows[n]), int(self.chunks[n]))
            for n in order
            if wanted[n] and self.values[n] > 0
        ]


class Corpus:
    """Made by `load_corpus`. `wanted` masks the tickets that may be returned; all count for how rare a word is."""

    def __init__(self, url: str, rows: Sequence[TupleRow], contents: Sequence[TupleRow]) -> None:
        self._url = url
        numbers: dict[tuple[str, str, str], int] = {}
        self.row_ticket: Ints = np.array(
            [numbers.setdefault((row[0], row[1], row[2]), len(numbers)) for row in rows], dtype=np.int64
        )
        self.keys = list(numbers)
        self.parts = [str(row[3]) for row in rows]
        self.row_content: Ints = np.array([row[4] for row in rows], dtype=np.int64)
        self.wanted = np.zeros(len(numbers), dtype=np.bool_)
        self.wanted[self.row_ticket[np.array([bool(row[5]) for row in rows], dtype=np.bool_)]] = True
        self.contents, self._first_row = np.unique(self.row_content, return_index=True)
        self._row_count: Ints = np.diff(np.append(self._first_row, len(rows)))
        self._segments: Ints = np.array([row[1] for row in contents], dtype=np.int64)
        self._slots: Ints = np.array([row[2] for row in contents], dtype=np.int64)
        self.sizes: Ints = np.array([len(row[3]) for row in contents], dtype=np.int64)
        self._lengths: Ints = np.array([length for row in contents for length in row[3]], dtype=np.int64)
        self._offsets: Ints = np.cumsum(self.sizes) - self.sizes
        self._content_of: Ints = np.repeat(np.arange(len(self.contents)), self.sizes)
        self._by_slot = np.lexsort((self._slots, self._segments))

    @property
    def size(self) -> int:
        return len(self.keys)

    @cached_property
    def _ticket_lengths(self) -> Ints:
        of_content = np.bincount(self._content_of, self._lengths, len(self.contents))
        of_row = np.repeat(of_content, self._row_count)
        return np.bincount(self.row_ticket, of_row, self.size).astype(np.int64)

    def first_row(self, ticket: int) -> int:
        """A row of the ticket: its body's, where that is visible."""
        rows = np.flatnonzero(self.row_ticket == ticket)
        return int(next((row for row in rows if self.parts[row] == "body"), rows[0]))

    def with_keys(self, named: Iterable[str]) -> list[int]:
        """The tickets that may be returned and have one of these keys."""
        wanted = set(named)
        return [n for n, (_, _, key) in enumerate(self.keys) if key in wanted and self.wanted[n]] if wanted else []

    def postings(self, connection: Connection[TupleRow], terms: Sequence[str]) -> Counted:
        segments = np.unique(self._segments).tolist()
        found = _cache.get(self._url, connection, segments, terms) if terms else {}
        return {term: self._passages(hits) for term, hits in found.items() if hits}

    def _passages(self, hits: Sequence[tuple[int, Pairs]]) -> tuple[Ints, Ints]:
        """The numbers of the passages at (segment, slot); slots of other sources' contents are left out."""
        ordered = self._segments[self._by_slot]
        documents, counts = [], []
        for segment, pairs in hits:
            low, high = np.searchsorted(ordered, (segment, segment + 1))
            here = self._by_slot[low:high]
            slots = pairs[:, 0].astype(np.int64)
            place = np.searchsorted(self._slots[here], slots, side="right") - 1
            content = here[np.maximum(place, 0)]
            within = slots - self._slots[content]
            live = (place >= 0) & (within < self.sizes[content])
            documents.append((self._offsets[content] + within)[live])
            counts.append(pairs[live, 1].astype(np.int64))
        return np.concatenate(documents), np.concatenate(counts)

    def score_passages(self, found: Counted, weights: Mapping[str, float]) -> Scored:
        """By the best passage of each ticket."""
        values = np.zeros(len(self._lengths))
        norm = _norm(self._lengths, B_CHUNK)
        for term, (documents, counts) in found.items():
            weight = weights[term] * idf(len(values), len(documents))
            values[documents] += weight * counts * (K1 + 1) / (counts + norm[documents])
        return self._best_of("BM25", values)

    def score_tickets(self, found: Counted, weights: Mapping[str, float]) -> Scored:
        """By all that is written in each ticket."""
        values = np.zeros(self.size)
        norm = _norm(self._ticket_lengths, B_FILE)
        for term, (documents, counts) in found.items():
            of_content = np.bincount(self._content_of[documents], counts, len(self.contents))
            of_ticket = np.bincount(self.row_ticket, np.repeat(of_content, self._row_count), self.size)
            holding = np.flatnonzero(of_ticket)
            weight = weights[term] * idf(self.size, len(holding))
            values[holding] += weight * of_ticket[holding] * (K1 + 1) / (of_ticket[holding] + norm[holding])
        none = np.full(self.size, -1, dtype=np.int64)
        return Scored("BM25", values, none, none)

    def nearest(self, hits: Sequence[tuple[int, int, float]]) -> Scored:
        """By the passages nearest in meaning: (content id, chunk, cosine), best first."""
        values = np.zeros(len(self._lengths))
        for content, chunk, cosine in hits:
            place = int(np.searchsorted(self.contents, content))
            values[int(self._offsets[place]) + chunk] = max(cosine, 0.0)
        return self._best_of("cosine", values)

    def _best_of(self, unit: str, values: Floats) -> Scored:
        """Of a value for each passage, the best of each ticket."""
        best = np.zeros(self.size)
        rows = np.full(self.size, -1, dtype=np.int64)
        chunks = np.full(self.size, -1, dtype=np.int64)
        matched = np.flatnonzero(values)
        for document in matched[np.argsort(values[matched], kind="stable")].tolist():
            content = int(self._content_of[document])
            first = int(self._first_row[content])
            for row in range(first, first + int(self._row_count[content])):
                ticket = int(self.row_ticket[row])
                best[ticket], rows[ticket] = values[document], row
                chunks[ticket] = document - int(self._offsets[content])
        return Scored(unit, best, rows, chunks)


def load_corpus(
    connection: Connection[TupleRow],
    url: str,
    team_id: uuid.UUID,
    source: str,
    *,
    state: State | None = None,
    kind: Kind | None = None,
    before: datetime | None = None,
    without: Sequence[str] = (),
) -> Corpus:
    """What is visible at this moment."""
    parameters = {
        "team": team_id,
        "source": source,
        "state": state,
        "kind": kind,
        "before": before,
        "without": list(without),
    }
    hash_joins(connection)
    found = connection.execute(_LOAD.encode(), parameters, binary=True).fetchall()
    hash_joins(connection, only=False)
    found.sort(key=lambda row: (row[4], *row[:4]))
    ids = sorted({row[4] for row in found})
    contents = connection.execute(_CONTENTS, (ids,), binary=True).fetchall() if ids else []
    there = {row[0] for row in contents}  # all, but for what an edit and then a prune took away at this moment
    return Corpus(url, [row for row in found if row[4] in there], contents)


def hash_joins(connection: Connection[TupleRow], *, only: bool = True) -> None:
    """Rules out nested loops for what follows in the transaction: tables that were just filled have no statistics
    yet, and Postgres then compares every row with every other."""
    connection.execute("SELECT set_config('enable_nestloop', %s, true)", ("off" if only else "on",))


def _norm(lengths: Ints, b: float) -> Floats:
    mean = float(lengths.mean()) if len(lengths) else 1.0
    return np.asarray(K1 * (1 - b + b * lengths / max(mean, 1.0)))
