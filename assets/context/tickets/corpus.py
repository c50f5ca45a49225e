"""The visible texts of a source's tickets as arrays, and how well each ticket matches a query.

A corpus is immutable: later changes create a new one from it, at a cost that depends only on the changes, apart
from copying arrays. A passage is a chunk of a text; the same text in two tickets is one content with two rows.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.ranking.index import Floats, Ints
from assets.context.ranking.signals.bm25 import B_CHUNK, B_FILE, idf, length_norm, term_scores
from assets.context.store.postings import Pairs
from assets.context.store.postings_cache import PostingsCache
from assets.context.tickets.columns import Contents, TicketKey, Tickets, within
from core.tickets import Kind, State

KEPT_WEIGHED_BYTES = 32 << 20
"""Cache size per corpus, for the weights of queried terms."""

_NOWHERE = (-1, -1)
_TICKET_BYTES, _ROW_BYTES = 500, 80
"""Approximate bytes for the strings of keys and URLs."""

_postings = PostingsCache()


@dataclass(frozen=True)
class Weighed:
    """What one term adds to the BM25 score of the passages that contain it, and to that of their whole tickets."""

    passages: NDArray[np.int32]
    of_passages: NDArray[np.float32]
    tickets: NDArray[np.int32]
    of_tickets: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        return 8 * (len(self.passages) + len(self.tickets))


@dataclass(frozen=True)
class Scored:
    """A value for each ticket, 0 if nothing matched. `unit` names the measure; `place` returns the row and chunk where
    a ticket matched best (-1 if it matched as a whole)."""

    unit: str
    values: Floats
    keys: Sequence[TicketKey]
    place: Callable[[int], tuple[int, int]]

    def best(self, count: int, wanted: NDArray[np.bool_]) -> list[int]:
        """The `count` tickets with the highest values, highest first, ties by key."""
        matched = np.flatnonzero(wanted & (self.values > 0))
        if len(matched) > count:
            least = np.partition(self.values[matched], len(matched) - count)[len(matched) - count]
            matched = matched[self.values[matched] >= least]
        ordered = sorted(
            (-value, self.keys[n], n) for value, n in zip(self.values[matched], matched.tolist(), strict=True)
        )
        return [ticket for _, _, ticket in ordered[:count]]


class Corpus:
    """The tickets of a source at one moment. Rows whose content is not in `contents` are left out."""

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
        # A pair is a row with one of its passages; pairs are in the order of rows.
        sizes = self.contents.sizes[self._row_content]
        self._pair_passage: Ints = np.repeat(self._offsets[self._row_content], sizes) + within(sizes)
        self._pair_row: Ints = np.repeat(np.arange(len(sizes)), sizes)
        self._pair_starts: Ints = np.append(0, np.cumsum(sizes))[self._row_starts]
        self._weighed: dict[str, Weighed] = {}
        self._holders = np.flatnonzero(np.diff(self._pair_starts))

    @property
    def size(self) -> int:
        return len(self.keys)

    @property
    def passages(self) -> int:
        return len(self.contents.lengths)

    @property
    def nbytes(self) -> int:
        """Approximate size in memory, including what is derived during use."""
        arrays = 8 * (4 * self.size + 4 * len(self.parts) + 8 * self.passages + 5 * len(self.contents.ids))
        return arrays + _TICKET_BYTES * self.size + _ROW_BYTES * len(self.parts)

    def with_attributes(self, touched: Iterable[TicketKey], new: Tickets) -> "Corpus | None":
        """This corpus after a change that only altered attributes of tickets; None if texts were added, removed or
        moved. `new` are those of the touched tickets that are visible."""
        places = [self._numbers.get(key) for key in new.keys]
        known = [place for place in places if place is not None]
        if len(known) < len(places) or any(key in self._numbers for key in set(touched) - set(new.keys)):
            return None
        starts = np.searchsorted(new.row_ticket, np.arange(len(places) + 1))
        for number, place in enumerate(known):
            ours = slice(int(self._row_starts[place]), int(self._row_starts[place + 1]))
            theirs = slice(int(starts[number]), int(starts[number + 1]))
            same = np.array_equal(self.tickets.row_content[ours], new.row_content[theirs])
            if not same or self.parts[ours] != new.parts[theirs]:
                return None
        made = copy.copy(self)  # including the derived arrays
        made.tickets = self.tickets.with_attributes(new, known)
        return made

    @cached_property
    def _numbers(self) -> Mapping[TicketKey, int]:
        return {key: ticket for ticket, key in enumerate(self.keys)}

    def wanted(
        self,
        state: State | None = None,
        kind: Kind | None = None,
        before: datetime | None = None,
        without: Sequence[str] = (),
    ) -> NDArray[np.bool_]:
        """A mask of the tickets that may be returned. Word statistics always cover all tickets."""
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
        """The row of the ticket's body if that is visible, else its first row."""
        rows = range(int(self._row_starts[ticket]), int(self._row_starts[ticket + 1]))
        return next((row for row in rows if self.parts[row] == "body"), rows[0])

    def with_keys(self, named: Iterable[str]) -> list[int]:
        """The tickets with one of these keys, of any project."""
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
        """For each segment, the passage at each of its slots; -1 for passages of other sources."""
        sizes = self.contents.sizes
        slots = np.repeat(self.contents.slots, sizes) + within(sizes)
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
        """(tickets, starts): the tickets of passage p, once per row, are `tickets[starts[p]:starts[p + 1]]`."""
        order = np.argsort(self._pair_passage, kind="stable")
        starts = np.searchsorted(self._pair_passage[order], np.arange(self.passages + 1))
        return self.tickets.row_ticket[self._pair_row[order]], starts

    @cached_property
    def _passage_norm(self) -> Floats:
        return length_norm(self.contents.lengths, B_CHUNK)

    @cached_property
    def _ticket_norm(self) -> Floats:
        of_pair = self.contents.lengths[self._pair_passage]
        lengths = np.bincount(self.tickets.row_ticket[self._pair_row], of_pair, self.size)
        return length_norm(lengths.astype(np.int64), B_FILE)

    def weigh(self, connection: Connection[TupleRow], terms: Sequence[str]) -> Mapping[str, Weighed]:
        """What each of these terms adds to scores. Results are cached up to `KEPT_WEIGHED_BYTES`."""
        kept = self._weighed
        lacking = [term for term in terms if term not in kept]
        if lacking:
            for term, hits in _postings.get(self._url, connection, self.segments, lacking).items():
                kept[term] = self._weigh(hits)
        found = {term: kept[term] for term in terms}
        if sum(held.nbytes for held in list(kept.values())) > KEPT_WEIGHED_BYTES:
            self._weighed = {}  # other threads continue to use the old dict
        return found

    def _weigh(self, hits: Sequence[tuple[int, Pairs]]) -> Weighed:
        passages, counts = self._passages(hits)
        tickets, starts = self._tickets_of_passages
        if len(tickets) == self.passages:  # no text occurs twice
            of_ticket = np.bincount(tickets[passages], counts, self.size)
        else:
            rows = starts[passages + 1] - starts[passages]
            places = np.repeat(starts[passages], rows) + within(rows)
            of_ticket = np.bincount(tickets[places], np.repeat(counts, rows), self.size)
        holding = np.flatnonzero(of_ticket)
        return Weighed(
            passages.astype(np.int32),
            _scores(counts, self._passage_norm[passages], self.passages),
            holding.astype(np.int32),
            term_scores(idf(self.size, len(holding)), of_ticket[holding], self._ticket_norm[holding]).astype(
                np.float32
            ),
        )

    def _passages(self, hits: Sequence[tuple[int, Pairs]]) -> tuple[Ints, Ints]:
        """The passages at the slots in `hits` and their counts, without those of other sources."""
        passages, counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for segment, pairs in hits:
            table = self._slot_passages[segment]
            found = table[np.minimum(pairs[:, 0].astype(np.int64), len(table) - 1)]
            live = found >= 0
            passages.append(found[live].astype(np.int64))
            counts.append(pairs[live, 1].astype(np.int64))
        return np.concatenate(passages), np.concatenate(counts)

    def score_passages(self, found: Mapping[str, Weighed], weights: Mapping[str, float]) -> Scored:
        """Scores each ticket by its best passage."""
        values = np.zeros(self.passages)
        for term, held in found.items():
            values[held.passages] += weights[term] * held.of_passages
        return self._best_of("BM25", values)

    def score_tickets(self, found: Mapping[str, Weighed], weights: Mapping[str, float]) -> Scored:
        """Scores each ticket by all of its texts together."""
        values = np.zeros(self.size)
        for term, held in found.items():
            values[held.tickets] += weights[term] * held.of_tickets
        return Scored("BM25", values, self.keys, lambda _: _NOWHERE)

    def nearest(self, hits: Sequence[tuple[int, int, float]]) -> Scored:
        """Scores each ticket by its nearest passage, given hits (content id, chunk, cosine)."""
        values = np.zeros(self.passages)
        for content, chunk, cosine in hits:
            place = int(np.searchsorted(self.contents.ids, content))
            values[int(self._offsets[place]) + chunk] = max(cosine, 0.0)
        return self._best_of("cosine", values)

    def _best_of(self, unit: str, values: Floats) -> Scored:
        """Scores each ticket by its best passage, given the value of each passage."""
        best = np.zeros(self.size)
        if len(self._holders):
            # The pairs of a ticket end where those of the next ticket with passages begin.
            best[self._holders] = np.maximum.reduceat(values[self._pair_passage], self._pair_starts[self._holders])
        return Scored(unit, best, self.keys, partial(self._place, values))

    def _place(self, values: Floats, ticket: int) -> tuple[int, int]:
        """The row and chunk of a ticket's best passage; among equals, the last one."""
        low, high = int(self._pair_starts[ticket]), int(self._pair_starts[ticket + 1])
        passages = self._pair_passage[low:high]
        of_ticket = values[passages]
        place = int(np.lexsort((self._pair_row[low:high], passages, of_ticket))[-1])
        row = int(self._pair_row[low + place])
        return row, int(passages[place] - self._offsets[self._row_content[row]])


def _scores(counts: Ints | Floats, norm: Floats, of: int) -> NDArray[np.float32]:
    """What a term adds to each of the documents that contain it, out of `of` documents."""
    return term_scores(idf(of, len(counts)), counts, norm).astype(np.float32)
