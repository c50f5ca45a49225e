"""What earlier questions of a team have read: a follow-up finds it without searching elsewhere again."""

import uuid
from collections.abc import Collection, Sequence

from assets.research import memory
from assets.research.records import Found
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable


class TeamMemory:
    """The passages of a team. They are found by vectors alone."""

    def __init__(self, database: Database, team_id: uuid.UUID, embedder: Embedder) -> None:
        self._database, self._team, self._embedder = database, team_id, embedder

    def recall(self, query: str, corpora: Collection[str], limit: int) -> Sequence[Found]:
        """The nearest passages of these corpora, best first; none without the model that gave them their vectors."""
        try:
            with self._database.team(self._team) as connection:
                found = memory.nearest(connection, self._embedder, query, limit, corpora)
        except EmbedderUnavailable:
            return []
        return [Found(p, 1 / (rank + 1)) for rank, p in enumerate(found)]
