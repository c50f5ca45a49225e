"""What every stage's assets get as their one Dagster resource: settings, database, log, model and sandbox.

Each part is made when it is first used, and after the fork: a warm process that only imports this
has no connection and no thread.
"""

import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.settings import Settings

if TYPE_CHECKING:
    from core.embedding.serving import Models
    from core.eventlog.protocol import EventLog
    from core.git import Repository
    from core.work import Location
    from sandbox.protocol import Sandbox


class Platform:
    """The opened platform of one process."""

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        model_evals: Callable[[str, str], list[dict[str, Any]]] | None = None,
    ) -> None:
        self.settings = settings
        self.database = Database(database_url)
        self.model_evals = model_evals
        """What evals found of two embedding models, by identity, the old one first: records of
        `assets.migrations.gate.evidence`. Given by who puts the platform together: stages do not know each other."""

    @cached_property
    def log(self) -> PostgresLog:
        return PostgresLog(self.database)

    @cached_property
    def reader(self) -> "EventLog":
        """The log that sensors read: Postgres itself, or Kafka behind the relay."""
        from core.eventlog import open_log

        return open_log(self.settings, self.database)

    @cached_property
    def models(self) -> "Models":
        """The embedding models in use, as the catalogue says at each look."""
        from core.embedding.serving import Models

        return Models(self.database, self.settings)

    @cached_property
    def sandbox(self) -> "Sandbox":
        from sandbox import open_sandbox

        return open_sandbox(self.settings.sandbox)

    @property
    def mirrors(self) -> Path:
        """The folder of the bare mirrors of configured sources."""
        return self.settings.home / "mirrors"

    def mirror(self, team_id: uuid.UUID, source: str) -> "Repository":
        """The mirror of a source, as its last refresh left it. Raises `GitError` or `SourceError` without one."""
        from assets.context.indexing.refresh import mirror_path
        from assets.context.source.sources import find_source
        from core.git import Repository

        return Repository(mirror_path(self.mirrors, find_source(self.database, team_id, source)))

    def search(self, team_id: uuid.UUID, source: str, query: str, count: int) -> "list[Location]":
        """The likeliest places of a source for a text, from its visible index. Raises `NotIndexed`."""
        from assets.context.search import search

        used = self.models.in_use()
        return search(self.database, team_id, source, query, count, embedders=used.asked, fallback=used.draining)

    def close(self) -> None:
        self.database.close()
