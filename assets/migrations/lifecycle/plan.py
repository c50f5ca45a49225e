"""Estimates a migration before it starts: counts from the index, time and tokens from a measured sample."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import sql

from assets.context.models import model_vectors
from assets.context.store.vector_index import NEIGHBOURS
from assets.context.store.vector_search import EXACT_MOST
from assets.migrations.retirement import archive
from core.database import Database
from core.embedding import Embedder, embed_most
from core.embedding.account import Cost
from core.embedding.catalogue import Entry

SAMPLE_CHUNKS = 128
_CHARACTERS_PER_TOKEN = 3.5
_PAGE = 8192


@dataclass(frozen=True, slots=True)
class Plan:
    """`contents` and `chunks` still lack vectors of the new model. `seconds` is the time of a build here without
    rests; `disk_bytes` for the new vectors with their key and the search index that large tables get. `tokens` and
    `money` are estimates from the sample."""

    old: str
    new: str
    contents: int
    chunks: int
    tokens: int
    seconds: float
    money: float
    disk_bytes: int
    sampled_chunks: int
    chunks_per_second: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(database: Database, old: Entry, new: Entry, embedder: Embedder) -> Plan:
    """Embeds a sample of what is to be built and discards its vectors. Raises `EmbedderUnavailable`."""
    with database.system() as connection:
        left = model_vectors.lacking(connection, new.identity)
        row = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(archive.table_of(connection, new.id))
        ).fetchone()
        built = int(row[0]) if row else 0
    texts: list[str] = []
    # Spread over all content, since new and old content differ in length.
    step = max(1, len(left) // 24)
    for content in (one for first in range(step) for one in left[first::step]):
        if len(texts) >= SAMPLE_CHUNKS:
            break
        texts += model_vectors.read_texts(database, content.team_id, [content.content_id]).texts[:16]
    texts = texts[:SAMPLE_CHUNKS]
    embed_most(embedder, texts[:2] or ["warm up"])
    counted = _tokens_so_far(embedder)
    began = time.perf_counter()
    if texts:
        embed_most(embedder, texts)
    seconds = time.perf_counter() - began
    chunks = sum(content.chunks for content in left)
    tokens = round(chunks * _tokens(embedder, texts, counted) / max(1, len(texts)))
    price = float((new.spec or {}).get("price") or 0.0)
    rate = len(texts) / seconds if texts and seconds > 0 else 0.0
    return Plan(
        old=old.name,
        new=new.name,
        contents=len(left),
        chunks=chunks,
        tokens=tokens,
        seconds=round(chunks / rate, 3) if rate else 0.0,
        money=round(tokens * price / 1e6, 4),
        disk_bytes=disk_bytes(chunks, new.dimensions)
        + (index_bytes(built + chunks, new.dimensions) if built + chunks > EXACT_MOST else 0),
        sampled_chunks=len(texts),
        chunks_per_second=round(rate, 1),
    )


def _tokens_so_far(embedder: Embedder) -> int:
    """The tokens that a server has counted in this process; 0 for a model without a server."""
    cost = getattr(getattr(embedder, "inner", embedder), "cost", None)
    return cost.tokens if isinstance(cost, Cost) else 0


def _tokens(embedder: Embedder, texts: Sequence[str], before: int) -> int:
    """Tokens of the sample, counted by the server or the model's own tokenizer, else estimated."""
    if (counted := _tokens_so_far(embedder) - before) > 0:
        return counted
    count = getattr(getattr(embedder, "inner", embedder), "count_tokens", None)
    if callable(count):
        return int(count(texts))
    return round(sum(min(len(text) / _CHARACTERS_PER_TOKEN, embedder.max_tokens) for text in texts))


def disk_bytes(rows: int, dimensions: int) -> int:
    """Size of a table of plain vectors and its primary key, from PostgreSQL's page layout (manual, section 66.6)."""
    if not rows:
        return 0
    header, team, content, chunk, vector = 24, 16, 8, 4, 4 + 4 + 4 * dimensions
    row = 8 * math.ceil((header + team + content + chunk + vector) / 8) + 4
    pages = math.ceil(rows / max(1, (_PAGE - 24) // row))
    key = math.ceil(rows * (8 + 16 + 4) / (0.9 * _PAGE))
    return (pages + key) * _PAGE


def index_bytes(rows: int, dimensions: int) -> int:
    """Size of pgvector's HNSW index in half precision: an element and its neighbours for each row.

    From pgvector's page layout (`HnswElementTupleData`, `HnswNeighborTupleData`) and a measured fill factor: within 5%
    of the size for 3,000 rows of 64, 384 and 1,024 dimensions.
    """
    element, neighbours, filled = 84 + 4 + 2 * dimensions, 16 + 4 + 6 * 2 * NEIGHBOURS, 0.93
    return round(rows * (element + neighbours) / filled)
