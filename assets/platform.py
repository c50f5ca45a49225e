"""What every stage's assets get as their one Dagster resource: settings, database, log, model and sandbox.

Each part is made when it is first used, and after the fork: a warm process that only imports this
has no connection and no thread.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.settings import Settings

if TYPE_CHECKING:
    from core.embedding.protocol import Embedder
    from core.eventlog.protocol import EventLog
    from sandbox.protocol import Sandbox


class Platform:
    """The opened platform of one process."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.database = Database(database_url)

    @cached_property
    def log(self) -> PostgresLog:
        return PostgresLog(self.database)

    @cached_property
    def reader(self) -> "EventLog":
        """The log that sensors read: Postgres itself, or Kafka behind the relay."""
        from core.eventlog import open_log

        return open_log(self.settings, self.database)

    @cached_property
    def embedder(self) -> "Embedder":
        from core.embedding import open_embedder

        return open_embedder(self.settings.embedding_model)

    @cached_property
    def sandbox(self) -> "Sandbox":
        from sandbox import open_sandbox

        return open_sandbox(self.settings.sandbox)

    def close(self) -> None:
        self.database.close()
