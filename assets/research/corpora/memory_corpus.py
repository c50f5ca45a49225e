"""What earlier questions of a team have read, as a corpus: a follow-up finds it without searching elsewhere again."""

import uuid
from collections.abc import Iterable, Mapping, Sequence

from assets.research import memory
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.records import Block, Document, Found
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable


class MemoryCorpus:
    """The passages of a team. They are found by vectors alone."""

    name = "memory"

    def __init__(self, database: Database, team_id: uuid.UUID, embedder: Embedder, corpora: Sequence[str]) -> None:
        self._database, self._team, self._embedder = database, team_id, embedder
        self._corpora = frozenset(corpora)

    @property
    def documents(self) -> int:
        return 0

    def search(self, query: str, limit: int) -> Sequence[Found]:
        try:
            with self._database.team(self._team) as connection:
                found = memory.nearest(connection, self._embedder, query, limit)
        except EmbedderUnavailable as error:
            raise CorpusUnavailable(str(error)) from error
        return [Found(p, 1 / (rank + 1)) for rank, p in enumerate(found) if p.corpus in self._corpora]

    def fetch(self, address: str) -> Document:
        with self._database.team(self._team) as connection:
            rows = connection.execute(
                "SELECT body FROM research_passages WHERE address = %s ORDER BY stored_at LIMIT 1000", (address,)
            ).fetchall()
        if not rows:
            raise SourceGone(f"nothing of {address} is stored")
        first = rows[0][0]
        blocks = tuple(Block(row[0]["text"], row[0]["heading"]) for row in rows)
        return Document(address, first["title"], blocks, first["date"], first["licence"], first["trust"])

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        return {}
