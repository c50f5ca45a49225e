"""Verifies a built model before it is compared: embeds a random sample again and compares it with what is stored.

Known answers are checked when a model is opened; this detects a server that changes or mixes up its answers in the
middle of a build.
"""

import numpy as np
from psycopg import sql

from assets.context.models import model_vectors
from assets.context.store import binary
from assets.migrations.retirement import archive
from core.database import Database
from core.embedding import Embedder, WrongAnswer, embed_most
from core.embedding.catalogue import Entry
from core.embedding.known_answers import LEAST_SIMILARITY

SAMPLE_CHUNKS = 64
"""If one in twenty vectors is wrong, the sample contains a wrong one in 96% of cases (1 - 0.95^64)."""

_PICKED = """
SELECT team_id, content_id FROM (SELECT DISTINCT team_id, content_id FROM {table}) known ORDER BY random() LIMIT %s
"""
_STORED = "SELECT content_id, chunk, vector_send(embedding) FROM {table} WHERE content_id = ANY(%s)"


def check_stored(database: Database, embedder: Embedder, entry: Entry) -> int:
    """The number of vectors compared. Raises `WrongAnswer` when any differs from what the model answers now, and
    `EmbedderUnavailable`."""
    with database.system() as connection:
        table = archive.table_of(connection, entry.id)
        picked = connection.execute(sql.SQL(_PICKED).format(table=table), (SAMPLE_CHUNKS,)).fetchall()
        rows = connection.execute(
            sql.SQL(_STORED).format(table=table), ([content for _, content in picked],), binary=True
        ).fetchall()
    if not rows:
        return 0
    vectors = binary.received_vectors([row[2] for row in rows])
    stored = {(row[0], row[1]): vector for row, vector in zip(rows, vectors, strict=True)}
    pairs: list[tuple[str, tuple[int, int]]] = []
    for team in sorted({team for team, _ in picked}):
        found = model_vectors.read_texts(database, team, [content for owner, content in picked if owner == team])
        keys = zip(found.contents, found.chunks, strict=True)
        pairs += [(text, key) for text, key in zip(found.texts, keys, strict=True) if key in stored]
    pairs = pairs[:: max(1, len(pairs) // SAMPLE_CHUNKS)][:SAMPLE_CHUNKS]
    now = embed_most(embedder, [text for text, _ in pairs]).vectors
    before = np.array([stored[key] for _, key in pairs])
    alike = np.einsum("ij,ij->i", now, before)
    wrong = int(((alike < LEAST_SIMILARITY) & (now.any(axis=1) | before.any(axis=1))).sum())
    if wrong:
        raise WrongAnswer(
            f"{wrong} of {len(pairs)} stored vectors are not what {entry.name} answers now (cosine "
            f"{alike.min():.3f}, at least {LEAST_SIMILARITY} expected): its server changed its answers during the "
            f"build; penstock migrate cancel, models retire {entry.name}, then start again"
        )
    return len(pairs)
