"""Texts that a model gives no vector for: set aside with the reason, counted, and tried again.

Their vectors are zeros in the model's table, so that a content has all vectors of a model or none.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.chunking.content import embedded_text
from assets.context.store.contents import read_chunks
from assets.context.store.vector_table import VectorTable
from assets.context.store.versions import LIVE, scope
from core.database import Database
from core.embedding import Embedder, embed_most
from core.payload import clean

LONGEST_REASON = 500
MOST_TRIED = 500
"""Texts that one call of `try_again` embeds."""
_AT_ONCE = 32
_ADD = """
INSERT INTO set_aside_texts (team_id, model_id, content_id, chunk, reason) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (model_id, content_id, chunk) DO UPDATE
SET reason = excluded.reason, tries = set_aside_texts.tries + 1, tried_at = now()
"""
_COUNT = """
SELECT count(*), (array_agg(reason ORDER BY tried_at DESC))[1], max(tried_at) FROM set_aside_texts WHERE model_id = %s
"""

_OF_SOURCE = f"""
SELECT f.path, k.start_line, m.name, s.reason
FROM source_files f JOIN set_aside_texts s USING (content_id) JOIN chunks k USING (content_id, chunk)
JOIN embedding_models m ON m.id = s.model_id
WHERE {LIVE.replace("team_id", "f.team_id")} ORDER BY f.path, k.start_line, m.name LIMIT %(limit)s
"""  # noqa: S608

Refused = tuple[int, int, str]
"""Content, number of the chunk, and why there is no vector."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """How many texts a model has no vector of; `reason` is that of the last one."""

    count: int = 0
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.count} text{'' if self.count == 1 else 's'} set aside: {self.reason}" if self.count else ""


@dataclass(frozen=True, slots=True)
class AsideText:
    """A place of a source of which a model has no vector, and what the model's server said."""

    path: str
    line: int
    model: str
    reason: str


def of_source(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int, limit: int = 1000
) -> list[AsideText]:
    """Those of one version of a source, at most `limit`, by path and line."""
    rows = connection.execute(_OF_SOURCE.encode(), {**scope(team_id, source, version), "limit": limit}).fetchall()
    return [AsideText(*row) for row in rows]


def note(connection: Connection[TupleRow], team_id: uuid.UUID, model_id: int, refused: Iterable[Refused]) -> None:
    """Sets texts aside, in the transaction that writes their zeros."""
    with connection.cursor() as cursor:
        cursor.executemany(
            _ADD,
            [(team_id, model_id, content, chunk, clean(why)[:LONGEST_REASON]) for content, chunk, why in refused],
        )


def read(connection: Connection[TupleRow], model_id: int) -> SetAside:
    """Those of the teams that the connection may see."""
    row = connection.execute(_COUNT, (model_id,)).fetchone()
    return SetAside(int(row[0]), str(row[1] or "")) if row else SetAside()


def try_again(database: Database, embedder: Embedder, most: int = MOST_TRIED) -> tuple[int, SetAside]:
    """Embeds what was set aside once more, those that were tried longest ago first, and writes the vectors that there
    are now. Returns their number, and what is left. Raises `EmbedderUnavailable`."""
    with database.system() as connection:
        table = VectorTable.find(connection, embedder.identity)
        if table is None:
            return 0, SetAside()
        rows = connection.execute(
            "SELECT team_id, content_id, chunk FROM set_aside_texts WHERE model_id = %s ORDER BY tried_at LIMIT %s",
            (table.model_id, most),
        ).fetchall()
    done = 0
    teams: dict[uuid.UUID, list[tuple[int, int]]] = {}
    for team_id, content, chunk in rows:
        teams.setdefault(team_id, []).append((content, chunk))
    for team_id, places in teams.items():
        for first in range(0, len(places), _AT_ONCE):
            done += _again(database, team_id, table, embedder, places[first : first + _AT_ONCE])
    with database.system() as connection:
        return done, read(connection, table.model_id)


def _again(
    database: Database, team_id: uuid.UUID, table: VectorTable, embedder: Embedder, places: Sequence[tuple[int, int]]
) -> int:
    with database.team(team_id) as connection:
        try:
            chunks = read_chunks(connection, places)
        except KeyError:  # pruned meanwhile, with its row here
            return 0
    found = embed_most(embedder, [embedded_text(chunk) for chunk in chunks])
    refused = [(*places[number], reason) for number, reason in found.refused.items()]
    taken = [number for number in range(len(places)) if number not in found.refused]
    contents, numbers = [places[number][0] for number in taken], [places[number][1] for number in taken]
    with database.team(team_id) as connection:
        if taken:
            table.replace(connection, contents, numbers, found.vectors[taken])
        connection.execute(
            "DELETE FROM set_aside_texts s USING unnest(%s::bigint[], %s::integer[]) AS u(content, chunk) "
            "WHERE s.model_id = %s AND (s.content_id, s.chunk) = (u.content, u.chunk)",
            (contents, numbers, table.model_id),
        )
        note(connection, team_id, table.model_id, refused)
    return len(taken)
