"""Merges segments of postings, so that a query reads few of them, however many commits a source has had.

Each refresh that stores something creates a segment. Every 16th version merges those of the last 16 versions,
every 256th those of the last 256, every 4096th those of the last 4096, so the work is proportional to what changed.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.store import binary
from assets.context.store.contents import next_segment, write_postings
from assets.context.store.postings import MOST_SLOTS, pack, unpack
from core.database import Database

FANOUT = 16
LARGEST_MERGED = MOST_SLOTS // 4
"""Segments of more chunks are not merged."""

_LEVELS = 3
_RECENT = """
SELECT c.segment, sum(cardinality(c.lengths)) FROM contents c
WHERE c.segment IN (SELECT o.segment FROM source_files f JOIN contents o ON o.id = f.content_id
                    WHERE f.team_id = %s AND f.source = %s AND f.since > %s AND f.since <= %s)
GROUP BY c.segment ORDER BY c.segment
"""
_CONTENTS = """
SELECT id, segment, first_slot, cardinality(lengths) FROM contents WHERE segment = ANY(%b)
ORDER BY segment, first_slot FOR NO KEY UPDATE
"""
_POSTINGS = "SELECT segment, term, hits FROM postings WHERE segment = ANY(%b)"
_MOVE = """
UPDATE contents c SET segment = %s, first_slot = new.first_slot
FROM unnest(%b::bigint[], %b::integer[]) AS new(id, first_slot) WHERE c.id = new.id
"""


def merge_recent(database: Database, team_id: uuid.UUID, source: str, version: int) -> int:
    """Merges the segments that are due after `version` of a source; returns how many were replaced by one."""
    spans = [FANOUT**level for level in range(_LEVELS, 0, -1) if version % FANOUT**level == 0]
    if not spans:
        return 0
    with database.team(team_id) as connection:
        rows = connection.execute(_RECENT, (team_id, source, version - spans[0], version)).fetchall()
        chosen: list[int] = []
        room = MOST_SLOTS
        for segment, chunks in rows:
            if chunks <= min(LARGEST_MERGED, room):
                chosen.append(segment)
                room -= int(chunks)
        return merge(connection, team_id, chosen) if len(chosen) > 1 else 0


def merge(connection: Connection[TupleRow], team_id: uuid.UUID, segments: Sequence[int]) -> int:
    """Writes one segment with the contents of `segments`, which stay readable until they are pruned.

    Waits for any other merge of the team to end. Slots of deleted contents are dropped. Returns how many
    segments were replaced. Raises `ValueError` if the merged segment would have more than `MOST_SLOTS` chunks.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock segments {team_id}",))
    contents = np.array(connection.execute(_CONTENTS, (list(segments),)).fetchall(), dtype=np.int64).reshape(-1, 4)
    if not len(contents):
        return 0
    ids, held_in, first_slots, sizes = contents.T
    new_slots = np.cumsum(sizes) - sizes
    if int(sizes.sum()) > MOST_SLOTS:
        raise ValueError(f"a segment has at most {MOST_SLOTS} chunks, not {int(sizes.sum())}: merge fewer")
    moved: dict[int, NDArray[np.int32]] = {}
    for segment in np.unique(held_in).tolist():
        table = moved[segment] = np.full(MOST_SLOTS, -1, dtype=np.int32)
        here = held_in == segment
        for first, size, new in zip(*(a[here].tolist() for a in (first_slots, sizes, new_slots)), strict=True):
            table[first : first + size] = np.arange(new, new + size)
    found: defaultdict[str, list[tuple[NDArray[np.int32], NDArray[np.int32]]]] = defaultdict(list)
    for segment, term, hits in connection.execute(_POSTINGS, (list(moved),), binary=True).fetchall():
        pairs = unpack(hits)
        slots = moved[segment][pairs[:, 0]]
        live = slots >= 0
        if live.any():
            found[term].append((slots[live], pairs[live, 1].astype(np.int32)))
    made = next_segment(connection)
    terms = sorted(found)
    write_postings(connection, team_id, made, terms, [_joined(found[term]) for term in terms])
    binary.register(connection)
    connection.execute(_MOVE, (made, binary.bigints(ids), binary.integers(new_slots)))
    connection.execute(
        "INSERT INTO replaced_segments (team_id, segment) SELECT %s, unnest(%b::bigint[])", (team_id, list(moved))
    )
    return len(moved)


def _joined(parts: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]]) -> bytes:
    slots = np.concatenate([part[0] for part in parts])
    counts = np.concatenate([part[1] for part in parts])
    order = np.argsort(slots, kind="stable")
    return pack(slots[order], counts[order])
