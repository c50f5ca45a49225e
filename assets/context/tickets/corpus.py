"""The visible texts of a source's tickets as arrays, and how well each ticket's match a query's words.

What is here never changes: the changes of a while later make another corpus of it, in time that does not
depend on what was stored, but for copies of arrays. A passage is a chunk of a text; the same text in two
tickets is one content with two rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from itertools import compress

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.index import Floats, Ints
from assets.context.postings import Pairs
from assets.context.postings_cache import PostingsCache
from assets.context.signals.bm25 import B_CHUNK, B_FILE, K1, idf
from core.tickets import Kind, State

TicketKey = tuple[str, str, str]
"""Service, project and key."""

Counted = Mapping[str, tuple[Ints, Ints]]
"""For each term that occurs: the passages that hold it, and how often each does."""

_NOWHERE = (-1, -1)
_TICKET_BYTES, _ROW_BYTES = 500, 80
"""What the words of keys and addresses take, about."""

_postings = PostingsCache()


@dataclass(frozen=True)
class Tickets:
    """Tickets with their rows, one for each text. Rows lie in the order of their tickets, and of a ticket by part.

    `created` is in seconds since 1970, NaN where it is not known; `row_content` are ids.
    """

    keys: list[TicketKey]
    states: NDArray[np.str_]
    kinds: NDArray[np.str_]
    created: Floats
    urls: list[str | None]
    row_ticket: Ints
    parts: list[str]
    row_content: Ints

    def of(self, rows: NDArray[np.bool_]) -> "Tickets":
        """Some of the rows, and the tickets that have any."""
        tickets = np.bincount(self.row_ticket[rows], minlength=len(self.keys)) > 0
        number: Ints = np.cumsum(tickets, dtype=np.int64) - 1
        return Tickets(
            list(compress(self.keys, tickets)),
            self.states[tickets],
            self.kinds[tickets],
            self.created[tickets],
            list(compress(self.urls, tickets)),
            number[self.row_ticket[rows]],
            list(compress(self.parts, rows)),
            self.row_content[rows],
        )

    def replace(self, gone: Iterable[TicketKey], new: "Tickets") -> "Tickets":
        """Without the tickets that have these keys, and with others after those that are left."""
        leaving = set(gone)
        stay = np.array([key not in leaving for key in self.keys], dtype=np.bool_)
        kept = self.of(stay[self.row_ticket])
        return Tickets(
            kept.keys + new.keys,
            np.concatenate([kept.states, new.states]),
            np.concatenate([kept.kinds, new.kinds]),
            np.concatenate([kept.created, new.created]),
            kept.urls + new.urls,
            np.concatenate([kept.row_ticket, new.row_ticket + len(kept.keys)]),
            kept.parts + new.parts,
            np.concatenate([kept.row_content, new.row_content]),
        )


@dataclass(frozen=True)
class Contents:
    """Texts by id, ascending: in which slots their passages are, how many (`sizes`), and how many terms each of those
    has (`lengths`)."""

    ids: Ints
    segments: Ints
    slots: Ints
    sizes: Ints
    lengths: Ints

    def of(self, wanted: Ints) -> "Contents":
        """Those at some places, in that order."""
        sizes = self.sizes[wanted]
        starts = (np.cumsum(self.sizes) - self.sizes)[wanted]
        lengths = self.lengths[np.repeat(starts, sizes) + _within(sizes)]
        return Contents(self.ids[wanted], self.segments[wanted], self.slots[wanted], sizes, lengths)

    def plus(self, new: "Contents") -> "Contents":
        """With others, none of which is here."""
        together = Contents(
            np.concatenate([self.ids, new.ids]),
            np.concatenate([self.segments, new.segments]),
            np.concatenate([self.slots, new.slots]),
            np.concatenate([self.sizes, new.sizes]),
            np.concatenate([self.lengths, new.lengths]),
        )
        return together.of(np.argsort(together.ids, kind="stable")) if len(new.ids) else self


@dataclass(frozen=True)
class Scored:
    """A value for each ticket, 0 where nothing matched. `unit` is what the value is; `place` tells the row and chunk
    where a ticket matched best (-1: as a whole)."""

    unit: str
    values: Floats
    keys: Sequence[TicketKey]
    place: Callable[[int], tuple[int, int]]

    def best(self, count: int, wanted: NDArray[np.bool_]) -> list[int]:
        """The tickets of the highest values, highest first, and of equals by key."""
        matched = np.flatnonzero(wanted & (self.values > 0))
        if len(matched) > count:
            least = np.partition(self.values[matched], len(matched) - count)[len(matched) - count]
            matched = matched[self.values[matched] >= least]
        ordered = sorted(
            (-value, self.keys[n], n) for value, n in zip(self.values[matched], matched.tolist(), strict=True)
        )
        return [ticket for _, _, ticket in ordered[:count]]


class Corpus:
    """The tickets of one moment. `contents` are those of its rows; rows without one are left out."""

    def __init__(self, url: str, tickets: Tickets, contents: Contents) -> None:
        there = np.isin(tickets.row_content, contents.ids)  # a prune may have taken a content away at this moment
        tickets = tickets if there.all() else tickets.of(there)
        used = np.isin(contents.ids, tickets.row_content)
        self._url = url
        self.tickets = tickets
        self.contents = contents if used.all() else contents.of(np.flatnonzero(used))
        self.keys = tickets.keys
        self.parts = tickets.parts
        self._row_content: Ints = np.searchsorted(self.contents.ids, tickets.row_content)
        self._offsets: Ints = np.cumsum(self.contents.sizes) - self.contents.sizes
        self._row_starts: Ints = np.searchsorted(tickets.row_ticket, np.arange(len(self.keys) + 1))
        # A pair is a row with one of its passages; pairs lie in the order of rows.
        sizes = self.contents.sizes[self._row_content]
        self._pair_passage: Ints = np.repeat(self._offsets[self._row_content], sizes) + _within(sizes)
        self._pair_row: Ints = np.repeat(np.arange(len(sizes)), sizes)
        self._pair_starts: Ints = np.append(0, np.cumsum(sizes))[self._row_starts]
        self._holders = np.flatnonzero(np.diff(self._pair_starts))

    @property
    def size(self) -> int:
        return len(self.keys)

    @property
    def passages(self) -> int:
        return len(self.contents.lengths)

    @property
    def nbytes(self) -> int:
        """What it takes in memory, about, with what is derived while it is used."""
        arrays = 8 * (4 * self.size + 4 * len(self.parts) + 8 * self.passages + 5 * len(self.contents.ids))
        return arrays + _TICKET_BYTES * self.size + _ROW_BYTES * len(self.parts)

    def wanted(
        self,
        state: State | None = None,
        kind: Kind | None = None,
        before: datetime | None = None,
        without: Sequence[str] = (),
    ) -> NDArray[np.bool_]:
        """Which tickets may be returned; all count for how rare a word is."""
        mask = np.ones(self.size, dtype=np.bool_)
        if state is not None:
            mask &= self.tickets.states == str(state)
        if kind is not None:
            mask &= self.tickets.kinds == str(kind)
        if before is not None:
            mask &= ~(self.tickets.created >= before.timestamp())
        if without:
            mask &= np.array([url is None or url not in without for url in self.tickets.urls], dtype=np.bool_)
        return mask

    def content_id(self, row: int) -> int:
        return int(self.tickets.row_content[row])

    def first_row(self, ticket: int) -> int:
        """A row of the ticket: its body's, where that is visible."""
        rows = range(int(self._row_starts[ticket]), int(self._row_starts[ticket + 1]))
        return next((row for row in rows if self.parts[row] == "body"), rows[0])

    def with_keys(self, named: Iterable[str]) -> list[int]:
        """The tickets that have one of these keys."""
        return [ticket for key in sorted(set(named)) for ticket in self._by_key.get(key, ())]

    @cached_property
    def _by_key(self) -> Mapping[str, list[int]]:
        found: dict[str, list[int]] = {}
        for ticket, (_, _, key) in enumerate(self.keys):
            found.setdefault(key, []).append(ticket)
        return found

    @cached_property
    def segments(self) -> list[int]:
        found: list[int] = np.unique(self.contents.segments).tolist()
        return found

    @cached_property
    def _slot_passages(self) -> Mapping[int, NDArray[np.int32]]:
        """For each segment: the passage at each of its slots, -1 where another source's is."""
        sizes = self.contents.sizes
        slots = np.repeat(self.contents.slots, sizes) + _within(sizes)
        of_passage = np.repeat(self.contents.segments, sizes)
        order = np.argsort(of_passage, kind="stable")
        ends = np.searchsorted(of_passage[order], self.segments, side="right").tolist()
        tables, start = {}, 0
        for segment, end in zip(self.segments, ends, strict=True):
            here = order[start:end]
            table = np.full(int(slots[here].max()) + 2 if len(here) else 1, -1, dtype=np.int32)
            table[slots[here]] = here
            tables[segment], start = table, end
        return tables

    @cached_property
    def _tickets_of_passages(self) -> tuple[Ints, Ints]:
        """Each passage's tickets, once for each row: `tickets[starts[p]:starts[p + 1]]`."""
        order = np.argsort(self._pair_passage, kind="stable")
        starts = np.searchsorted(self._pair_passage[order], np.arange(self.passages + 1))
        return self.tickets.row_ticket[self._pair_row[order]], starts

    @cached_property
    def _passage_norm(self) -> Floats:
        return _norm(self.contents.lengths, B_CHUNK)

    @cached_property
    def _ticket_norm(self) -> Floats:
        of_pair = self.contents.lengths[self._pair_passage]
        lengths = np.bincount(self.tickets.row_ticket[self._pair_row], of_pair, self.size)
        return _norm(lengths.astype(np.int64), B_FILE)

    def postings(self, connection: Connection[TupleRow], terms: Sequence[str]) -> Counted:
        found = _postings.get(self._url, connection, self.segments, terms) if terms else {}
        counted = ((term, self._passages(hits)) for term, hits in found.items() if hits)
        return {term: held for term, held in counted if len(held[0])}

    def _passages(self, hits: Sequence[tuple[int, Pairs]]) -> tuple[Ints, Ints]:
        """The numbers of the passages at (segment, slot); slots of other sources' contents are left out."""
        passages, counts = [], []
        for segment, pairs in hits:
            table = self._slot_passages[segment]
            found = table[np.minimum(pairs[:, 0].astype(np.int64), len(table) - 1)]
            live = found >= 0
            passages.append(found[live])
            counts.append(pairs[live, 1])
        return np.concatenate(passages).astype(np.int64), np.concatenate(counts).astype(np.int64)

    def score_passages(self, found: Counted, weights: Mapping[str, float]) -> Scored:
        """By the best passage of each ticket."""
        values = np.zeros(self.passages)
        for term, (passages, counts) in found.items():
            weight = weights[term] * idf(self.passages, len(passages))
            values[passages] += weight * counts * (K1 + 1) / (counts + self._passage_norm[passages])
        return self._best_of("BM25", values)

    def score_tickets(self, found: Counted, weights: Mapping[str, float]) -> Scored:
        """By all that is written in each ticket."""
        values = np.zeros(self.size)
        tickets, starts = self._tickets_of_passages
        for term, (passages, counts) in found.items():
            if len(tickets) == self.passages:  # no text is in two places
                of_ticket = np.bincount(tickets[passages], counts, self.size)
            else:
                rows = starts[passages + 1] - starts[passages]
                places = np.repeat(starts[passages], rows) + _within(rows)
                of_ticket = np.bincount(tickets[places], np.repeat(counts, rows), self.size)
            holding = np.flatnonzero(of_ticket)
            weight = weights[term] * idf(self.size, len(holding))
            values[holding] += (
                weight * of_ticket[holding] * (K1 + 1) / (of_ticket[holding] + self._ticket_norm[holding])
            )
        return Scored("BM25", values, self.keys, lambda _: _NOWHERE)

    def nearest(self, hits: Sequence[tuple[int, int, float]]) -> Scored:
        """By the passages nearest in meaning: (content id, chunk, cosine), best first."""
        values = np.zeros(self.passages)
        for content, chunk, cosine in hits:
            place = int(np.searchsorted(self.contents.ids, content))
            values[int(self._offsets[place]) + chunk] = max(cosine, 0.0)
        return self._best_of("cosine", values)

    def _best_of(self, unit: str, values: Floats) -> Scored:
        """Of a value for each passage, the best of each ticket."""
        best = np.zeros(self.size)
        if len(self._holders):
            # A ticket ends where the next that has a passage begins.
            best[self._holders] = np.maximum.reduceat(values[self._pair_passage], self._pair_starts[self._holders])
        return Scored(unit, best, self.keys, partial(self._place, values))

    def _place(self, values: Floats, ticket: int) -> tuple[int, int]:
        """The row and chunk of a ticket's best passage; of equals the last one's."""
        low, high = int(self._pair_starts[ticket]), int(self._pair_starts[ticket + 1])
        passages = self._pair_passage[low:high]
        of_ticket = values[passages]
        place = int(np.lexsort((self._pair_row[low:high], passages, of_ticket))[-1])
        row = int(self._pair_row[low + place])
        return row, int(passages[place] - self._offsets[self._row_content[row]])


def _within(sizes: Ints) -> Ints:
    """0, 1, ... for each of these sizes, one after another."""
    ends = np.cumsum(sizes)
    return np.asarray(np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes))


def _norm(lengths: Ints, b: float) -> Floats:
    mean = float(lengths.mean()) if len(lengths) else 1.0
    return np.asarray(K1 * (1 - b + b * lengths / max(mean, 1.0)))
