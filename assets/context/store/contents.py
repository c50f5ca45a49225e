"""Contents in Postgres: found by blob and chunker, written once with their chunks and postings.

Which files a source has is stored by `assets.context.store.versions`.
"""

import uuid
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.chunking.chunks import Chunk
from assets.context.store import binary
from assets.context.store.batch import ContentBatch, Key
from assets.context.store.postings import MOST_SLOTS, PAIR_BYTES, PostingsBuilder

_FIND = """
SELECT encode(c.blob, 'hex'), c.chunker, c.id, c.unused_since IS NOT NULL FROM contents c
JOIN unnest(%b::bytea[], %b::text[]) AS wanted(blob, chunker) USING (blob, chunker) WHERE c.team_id = %s
"""
_TAKE = "UPDATE contents SET unused_since = NULL WHERE id = ANY(%s) RETURNING id"
_ADD_CONTENTS = """
INSERT INTO contents (team_id, segment, blob, chunker, lengths, first_slot)
SELECT %s, %s, blob, chunker, string_to_array(lengths, ' ')::integer[], first_slot
FROM unnest(%b::bytea[], %b::text[], %b::text[], %b::integer[]) AS new(blob, chunker, lengths, first_slot)
ON CONFLICT DO NOTHING RETURNING encode(blob, 'hex'), chunker, id
"""
_ADD_CHUNKS = """
INSERT INTO chunks (team_id, content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, text)
SELECT %s, new.* FROM unnest(%b::bigint[], %b::integer[], %b::text[], %b::text[], %b::text[], %b::text[],
                             %b::integer[], %b::integer[], %b::text[]) AS new(content_id) WHERE new.content_id <> 0
"""
_ADD_POSTINGS = """
INSERT INTO postings (team_id, segment, term, hits) SELECT %s, %s, * FROM unnest(%b::text[], %b::bytea[])
"""
_CHUNKS = """
SELECT content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, text FROM chunks
JOIN unnest(%b::bigint[], %b::integer[]) AS wanted(content_id, chunk) USING (content_id, chunk)
"""


def find_contents(connection: Connection[TupleRow], team_id: uuid.UUID, keys: Iterable[Key]) -> dict[Key, int]:
    """The content id of each key that is stored. Contents marked for pruning are unmarked, so they stay for a day."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    blobs = [bytes.fromhex(blob) for blob, _ in wanted]
    rows = connection.execute(_FIND, (blobs, [chunker for _, chunker in wanted], team_id)).fetchall()
    found: dict[Key, int] = {(blob, chunker): identity for blob, chunker, identity, _ in rows}
    if marked := sorted(identity for _, _, identity, is_marked in rows if is_marked):
        taken = connection.execute(_TAKE, (marked,)).fetchall()
        gone = set(marked).difference(row[0] for row in taken)  # pruned in the meantime: to be stored again
        found = {key: identity for key, identity in found.items() if identity not in gone}
    return found


def add_contents(
    connection: Connection[TupleRow], team_id: uuid.UUID, batch: ContentBatch
) -> tuple[list[int], list[bool]]:
    """Stores contents with their chunks and postings, as one segment; returns each one's id, and whether it was new.

    The slots of contents that another refresh stored first remain unused. Rows are written in the order of
    their keys, so that two refreshes of one team cannot deadlock. Raises `ValueError` for more than `MOST_SLOTS`
    chunks.
    """
    if not batch.keys:
        return [], []
    if batch.chunks > MOST_SLOTS:
        raise ValueError(f"a segment has at most {MOST_SLOTS} chunks, not {batch.chunks}: store fewer contents at once")
    sizes = np.array([len(lengths) for lengths in batch.lengths], dtype=np.int64)
    first_slots = np.cumsum(sizes) - sizes
    order = sorted(range(len(batch.keys)), key=batch.keys.__getitem__)
    keys = [batch.keys[n] for n in order]
    segment = next_segment(connection)
    binary.register(connection)
    rows = connection.execute(
        _ADD_CONTENTS,
        (
            team_id,
            segment,
            [bytes.fromhex(blob) for blob, _ in keys],
            [chunker for _, chunker in keys],
            [" ".join(map(str, batch.lengths[n])) for n in order],
            binary.integers(first_slots[order]),
        ),
    ).fetchall()
    ids: dict[Key, int] = {(blob, chunker): identity for blob, chunker, identity in rows}
    new = [key in ids for key in batch.keys]
    ids |= find_contents(connection, team_id, [key for key, is_new in zip(batch.keys, new, strict=True) if not is_new])
    found = [ids[key] for key in batch.keys]
    if batch.chunks and any(new):
        _add_chunks(connection, team_id, batch, np.array(found), sizes, np.array(new))
        add_postings(connection, team_id, segment, batch.postings)
    return found, new


def _add_chunks(
    connection: Connection[TupleRow],
    team_id: uuid.UUID,
    batch: ContentBatch,
    ids: NDArray[np.int64],
    sizes: NDArray[np.int64],
    new: NDArray[np.bool_],
) -> None:
    contents = np.repeat(np.where(new, ids, 0), sizes)  # 0: another refresh has stored its chunks
    numbers = np.arange(len(contents)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kind, symbol, signature, docstring, text = (binary.sized_texts(column, len(contents)) for column in batch.columns)
    start, end = (binary.integers(np.frombuffer(lines, np.int32)) for lines in batch.lines)
    connection.execute(
        _ADD_CHUNKS,
        (
            team_id,
            binary.bigints(contents),
            binary.integers(numbers),
            kind,
            symbol,
            signature,
            docstring,
            start,
            end,
            text,
        ),
    )


def next_segment(connection: Connection[TupleRow]) -> int:
    """A segment number that was never used before."""
    row = connection.execute("SELECT nextval('segments')").fetchone()
    if row is None:
        raise LookupError("the sequence `segments` returned no number")
    return int(row[0])


def add_postings(connection: Connection[TupleRow], team_id: uuid.UUID, segment: int, postings: PostingsBuilder) -> None:
    """Writes all postings of a segment, in the order of the primary key."""
    terms, ends, pairs = postings.packed()
    binary.register(connection)
    connection.execute(_ADD_POSTINGS, (team_id, segment, binary.texts(terms), binary.rows(pairs, ends, PAIR_BYTES)))


def write_postings(
    connection: Connection[TupleRow], team_id: uuid.UUID, segment: int, terms: Sequence[str], hits: Sequence[bytes]
) -> None:
    """Writes postings that are packed already: `hits` are the pairs of each term."""
    connection.execute(_ADD_POSTINGS, (team_id, segment, list(terms), list(hits)))


def read_chunks(connection: Connection[TupleRow], places: Sequence[tuple[int, int]]) -> list[Chunk]:
    """The chunks at the given (content id, number), in the same order. Raises `KeyError` for one that is missing."""
    if not places:
        return []
    rows = connection.execute(_CHUNKS, ([p[0] for p in places], [p[1] for p in places]), binary=True).fetchall()
    found = {(row[0], row[1]): Chunk(*row[2:]) for row in rows}
    return [found[place] for place in places]


def chunks_of(connection: Connection[TupleRow], contents: Sequence[int]) -> list[tuple[int, int, Chunk]]:
    """(content id, number, chunk) of every chunk of these contents, in order."""
    rows = connection.execute(
        "SELECT content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, text FROM chunks "
        "WHERE content_id = ANY(%b) ORDER BY content_id, chunk",
        (list(contents),),
        binary=True,
    ).fetchall()
    return [(row[0], row[1], Chunk(*row[2:])) for row in rows]
