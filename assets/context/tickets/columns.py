"""Tickets and their texts as columns, so that rows are selected, replaced and joined without Python loops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from assets.context.ranking.index import Floats, Ints

TicketKey = tuple[str, str, str]
"""Service, project and key."""


NAMES = "U32"
"""Type of the columns of states and kinds, wide enough for all values."""


@dataclass(frozen=True)
class Tickets:
    """Tickets with their rows, one for each text, ordered by ticket, then by part.

    `created` is in seconds since 1970, NaN if unknown. By row, `row_ticket` is the ticket's index and `row_content`
    the content id.
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
        """The rows selected by a mask, and the tickets that have any of them."""
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
        """Without the tickets with the keys `gone`, and with `new` appended."""
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

    def with_attributes(self, new: "Tickets", places: Sequence[int]) -> "Tickets":
        """With the states, kinds, dates and URLs of `new`, which have the same keys and rows as those at `places`."""
        states, kinds, created, urls = self.states.copy(), self.kinds.copy(), self.created.copy(), list(self.urls)
        states[places], kinds[places], created[places] = new.states, new.kinds, new.created
        for place, url in zip(places, new.urls, strict=True):
            urls[place] = url
        return replace(self, states=states, kinds=kinds, created=created, urls=urls)


@dataclass(frozen=True)
class Contents:
    """Contents by id, ascending: the segment and first slot of their passages, the number of passages (`sizes`), and
    the number of terms of each passage (`lengths`, over all passages)."""

    ids: Ints
    segments: Ints
    slots: Ints
    sizes: Ints
    lengths: Ints

    def of(self, wanted: Ints) -> "Contents":
        """The contents at the indices `wanted`, in that order."""
        sizes = self.sizes[wanted]
        starts = (np.cumsum(self.sizes) - self.sizes)[wanted]
        lengths = self.lengths[np.repeat(starts, sizes) + within(sizes)]
        return Contents(self.ids[wanted], self.segments[wanted], self.slots[wanted], sizes, lengths)

    def plus(self, new: "Contents") -> "Contents":
        """With the contents `new`, none of which is among these."""
        together = Contents(
            np.concatenate([self.ids, new.ids]),
            np.concatenate([self.segments, new.segments]),
            np.concatenate([self.slots, new.slots]),
            np.concatenate([self.sizes, new.sizes]),
            np.concatenate([self.lengths, new.lengths]),
        )
        return together.of(np.argsort(together.ids, kind="stable")) if len(new.ids) else self


def within(sizes: Ints) -> Ints:
    """0, 1, …, size - 1 for each of these sizes, concatenated."""
    ends = np.cumsum(sizes)
    return np.asarray(np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes))
