"""The one Dagster resource of every stage's assets: settings, database, event log, models and sandbox.

Each part is created when it is first used, hence after the fork: a warm process that only imports this
module has no connection and no thread.
"""

import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import tracing
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.settings import Settings

if TYPE_CHECKING:
    from core.embedding.serving import Models
    from core.eventlog.protocol import EventLog
    from core.follow_ups import FollowUp
    from core.git import Repository
    from core.tasks import Task
    from core.watched_checks import Head
    from core.work import Location
    from sandbox.protocol import Sandbox


class Platform:
    """The platform's services, as one process uses them."""

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        model_evals: Callable[[str, str], list[dict[str, Any]]] | None = None,
    ) -> None:
        self.settings = settings
        self.database = Database(database_url)
        tracing.use(settings, "penstock-dagster")
        self.model_evals = model_evals
        """Returns the eval results for two embedding models (identities, the old one first) as records of
        `assets.migrations.gate.evidence`. Injected by the caller, since stages do not import each other."""

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
        """The embedding models in use; each call of `in_use` reads the catalogue again."""
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
        """The mirror of a source, as of its last refresh. Raises `GitError` or `SourceError` if there is none."""
        from assets.context.indexing.refresh import mirror_path
        from assets.context.source.sources import find_source
        from core.git import Repository

        return Repository(mirror_path(self.mirrors, find_source(self.database, team_id, source)))

    def distrust(self, task: "Task") -> str | None:
        """Why a task may not be started: see `assets.results.forges.distrust`. Waiting does not bring a token, so a
        missing one is a reason too."""
        from assets.results.forges import NoToken, distrust

        try:
            return distrust(self, task)
        except NoToken as error:
            return str(error)

    def bring(self, task: "Task", follow_up: "FollowUp") -> bool:
        """Brings the head of a pull request's branch into the mirror of its source; returns whether it is there now.
        Raises `ForgeUnavailable`, `PublicationRefused`."""
        from assets.results.forges import open_forge_for
        from core.forge.hosted import HostedForge

        forge = open_forge_for(self, task.team_id, task.source)
        return isinstance(forge, HostedForge) and forge.bring(follow_up.branch, follow_up.head)

    def forge_token(self, team_id: uuid.UUID, source: str) -> str | None:
        """The token for the API of a source's forge: see `assets.results.forges.api_token`."""
        from assets.results.forges import api_token

        return api_token(self, team_id, source)

    def failing_head(self, team_id: uuid.UUID, source: str) -> "Head | None":
        """See `assets.results.failing_heads`. Raises `ForgeUnavailable`, `PublicationRefused`."""
        from assets.results.failing_heads import failing_head

        return failing_head(self, team_id, source)

    def report_target(self, task: "Task") -> str:
        """Where a task's report is published: at its ticket if that is at a tracker, else at its source's forge."""
        from assets.results.forges import find_destination, target_of
        from assets.results.trackers import shows_reports
        from core.forge.protocol import PublicationRefused

        place = f"{task.ticket_service}:{task.ticket_project}"
        if task.ticket_key and shows_reports(self, task, place):
            return place
        try:
            return target_of(find_destination(self, task.team_id, task.source))
        except PublicationRefused:
            return f"git:{task.source}"  # its publication will say so

    def days_to_wait(self, task: "Task", target: str) -> float:
        """How many days a task may wait for an answer; 0 if nobody can be asked."""
        from assets.results.questions import days_to_wait

        return days_to_wait(self, task, target)

    def deliver(self, task_id: uuid.UUID) -> list[str]:
        """Publishes what is due of a task; what became of it, in words."""
        from assets.results.deliver import deliver

        return list(deliver(self, task_id).lines())

    def visible_commit(self, team_id: uuid.UUID, source: str) -> str:
        """The commit that searches of a source show. Raises `LookupError` if none is indexed yet."""
        with self.database.team(team_id) as connection:
            row = connection.execute(
                "SELECT v.commit FROM source_indexes i JOIN index_versions v USING (team_id, source, version) "
                "WHERE i.source = %s",
                (source,),
            ).fetchone()
        if row is None:
            raise LookupError(f"source {source!r} is not indexed yet")
        return str(row[0])

    def search(self, team_id: uuid.UUID, source: str, query: str, count: int) -> "list[Location]":
        """The `count` best-matching places in a source's visible index, best first. Raises `NotIndexed`."""
        from assets.context.search import search

        used = self.models.in_use()
        return search(self.database, team_id, source, query, count, embedders=used.asked, fallback=used.draining)

    def close(self) -> None:
        self.database.close()
