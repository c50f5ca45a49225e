"""Contents in Postgres: found by blob and chunker, written once with their chunks and postings.

Not for which files a source has: that is `assets.context.versions`.
"""

import itertools
import uuid
from collections.abc import Iterable, Mapping, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.chunks import Chunk
from assets.context.content import Content
from assets.context.postings import MOST_SLOTS, PostingsBuilder, pack

Key = tuple[str, str]
"""Blob id (hexadecimal) and chunker."""

_FIND = """
SELECT encode(c.blob, 'hex'), c.chunker, c.id FROM contents c
JOIN unnest(%b::bytea[], %b::text[]) AS wanted(blob, chunker) USING (blob, chunker) WHERE c.team_id = %s
"""
_ADD_CONTENTS = """
INSERT INTO contents (team_id, segment, blob, chunker, lengths, first_slot)
SELECT %s, %s, blob, chunker, string_to_array(lengths, ' ')::integer[], first_slot
FROM unnest(%b::bytea[], %b::text[], %b::text[], %b::integer[]) AS new(blob, chunker, lengths, first_slot)
ON CONFLICT DO NOTHING RETURNING encode(blob, 'hex'), chunker, id
"""
_ADD_CHUNKS = """
INSERT INTO chunks (team_id, content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, text)
SELECT %s, * FROM unnest(%b::bigint[], %b::integer[], %b::text[], %b::text[], %b::text[], %b::text[],
                         %b::integer[], %b::integer[], %b::text[])
"""
_ADD_POSTINGS = """
INSERT INTO postings (team_id, segment, term, hits) SELECT %s, %s, * FROM unnest(%b::text[], %b::bytea[])
"""
_CHUNKS = """
SELECT content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, text FROM chunks
JOIN unnest(%b::bigint[], %b::integer[]) AS wanted(content_id, chunk) USING (content_id, chunk)
"""


def find_contents(connection: Connection[TupleRow], team_id: uuid.UUID, keys: Iterable[Key]) -> dict[Key, int]:
    """The content id of each key that is stored."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    blobs = [bytes.fromhex(blob) for blob, _ in wanted]
    rows = connection.execute(_FIND, (blobs, [chunker for _, chunker in wanted], team_id)).fetchall()
    return {(blob, chunker): identity for blob, chunker, identity in rows}


def add_contents(
    connection: Connection[TupleRow], team_id: uuid.UUID, contents: Mapping[Key, Content]
) -> tuple[dict[Key, int], frozenset[Key]]:
    """Stores contents with their postings as one segment; returns the id of each, and which were new.

    Another refresh may have stored some first; their slots then stay empty. Keys are written in order, so
    that two refreshes of one team never wait for each other in a circle. Raises `ValueError` for more
    chunks than a segment has slots.
    """
    keys = sorted(contents)
    if not keys:
        return {}, frozenset()
    first_slots = list(itertools.accumulate((len(contents[key].chunks) for key in keys), initial=0))
    if first_slots.pop() > MOST_SLOTS:
        raise ValueError(f"a segment has at most {MOST_SLOTS} chunks: store fewer contents at once")
    segment = next_segment(connection)
    rows = connection.execute(
        _ADD_CONTENTS,
        (
            team_id,
            segment,
            [bytes.fromhex(blob) for blob, _ in keys],
            [chunker for _, chunker in keys],
            [" ".join(map(str, contents[key].lengths)) for key in keys],
            first_slots,
        ),
    ).fetchall()
    ids: dict[Key, int] = {(blob, chunker): identity for blob, chunker, identity in rows}
    new = frozenset(ids)
    added = [(ids[key], contents[key]) for key in keys if key in new]
    chunks = [(identity, number, chunk) for identity, made in added for number, chunk in enumerate(made.chunks)]
    if chunks:
        connection.execute(
            _ADD_CHUNKS,
            (
                team_id,
                [identity for identity, _, _ in chunks],
                [number for _, number, _ in chunks],
                [chunk.kind for _, _, chunk in chunks],
                [chunk.symbol for _, _, chunk in chunks],
                [chunk.signature for _, _, chunk in chunks],
                [chunk.docstring for _, _, chunk in chunks],
                [chunk.start_line for _, _, chunk in chunks],
                [chunk.end_line for _, _, chunk in chunks],
                [chunk.text for _, _, chunk in chunks],
            ),
        )
        postings = PostingsBuilder()
        for key in keys:
            made = contents[key]
            postings.add(made.counts if key in new else [{}] * len(made.chunks))
        add_postings(connection, team_id, segment, postings)
    return ids | find_contents(connection, team_id, [key for key in keys if key not in new]), new


def next_segment(connection: Connection[TupleRow]) -> int:
    """A number for a segment that was never used before."""
    row = connection.execute("SELECT nextval('segments')").fetchone()
    if row is None:
        raise LookupError("the sequence of segments gave no number")
    return int(row[0])


def add_postings(connection: Connection[TupleRow], team_id: uuid.UUID, segment: int, postings: PostingsBuilder) -> None:
    """Writes all postings of a segment, in the order of its key."""
    terms, hits = [], []
    for term, slots, counts in postings.arrays():
        terms.append(term)
        hits.append(pack(slots, counts))
    connection.execute(_ADD_POSTINGS, (team_id, segment, terms, hits))


def read_chunks(connection: Connection[TupleRow], places: Sequence[tuple[int, int]]) -> list[Chunk]:
    """The chunks at (content id, number), in the order asked for."""
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
