"""Contents in Postgres: found by blob and chunker, written once with their chunks and postings.

Not for which files a source has: that is `assets.context.versions`.
"""

import sys
import uuid
from array import array
from collections.abc import Iterable, Mapping, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.chunks import Chunk
from assets.context.content import Content

Key = tuple[str, str]
"""Blob id (hexadecimal) and chunker."""

_FIND = """
SELECT encode(c.blob, 'hex'), c.chunker, c.id FROM contents c
JOIN unnest(%b::bytea[], %b::text[]) AS wanted(blob, chunker) USING (blob, chunker) WHERE c.team_id = %s
"""
_ADD_CONTENTS = """
INSERT INTO contents (team_id, blob, chunker, lengths)
SELECT %s, blob, chunker, string_to_array(lengths, ' ')::integer[]
FROM unnest(%b::bytea[], %b::text[], %b::text[]) AS new(blob, chunker, lengths)
ON CONFLICT DO NOTHING RETURNING encode(blob, 'hex'), chunker, id
"""
_ADD_CHUNKS = """
INSERT INTO chunks (team_id, content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, text)
SELECT %s, * FROM unnest(%b::bigint[], %b::integer[], %b::text[], %b::text[], %b::text[], %b::text[],
                         %b::integer[], %b::integer[], %b::text[])
"""
_ADD_POSTINGS = """
INSERT INTO postings (team_id, term, content_id, hits) SELECT %s, * FROM unnest(%b::text[], %b::bigint[], %b::bytea[])
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
    """Stores contents and returns the id of each, and which were new. Another refresh may have stored some first.

    Keys are written in order, so that two refreshes of one team never wait for each other in a circle.
    """
    keys = sorted(contents)
    rows = connection.execute(
        _ADD_CONTENTS,
        (
            team_id,
            [bytes.fromhex(blob) for blob, _ in keys],
            [chunker for _, chunker in keys],
            [" ".join(map(str, contents[key].lengths)) for key in keys],
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
        postings = [
            (term, ids[key], _packed(hits))
            for key in keys
            if key in new
            for term, hits in contents[key].postings.items()
        ]
        connection.execute(
            _ADD_POSTINGS,
            (team_id, [row[0] for row in postings], [row[1] for row in postings], [row[2] for row in postings]),
        )
    return ids | find_contents(connection, team_id, [key for key in keys if key not in new]), new


def _packed(hits: "array[int]") -> bytes:
    if sys.byteorder == "big":
        hits = array("H", hits)
        hits.byteswap()
    return hits.tobytes()


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
