"""A source that a command is about, and errors about sources that a person can mend, as one line of the command."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.cli.access import team_of
from dagster_project.cli.output import CommandFailed
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from assets.context.source.sources import Source
    from core.database import Database


@dataclass(frozen=True)
class OpenedSource:
    """A source of a team, with the database that it is in."""

    database: "Database"
    team: uuid.UUID
    source: "Source"


@contextmanager
def opened_source(name: str, team: str | None) -> Iterator[OpenedSource]:
    """The team's source of that name, while the database is open. Errors are those of `user_errors`."""
    from assets.context.source.sources import find_source

    with opened() as database, user_errors():
        here = team_of(database, team)
        yield OpenedSource(database, here, find_source(database, here, name))


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns errors that a user can fix into `CommandFailed`."""
    from assets.context.indexing.quality import GateFailed
    from assets.context.source.sources import SourceError
    from assets.context.store.postgres import NotIndexed
    from assets.context.store.versions import IndexConflict
    from core.embedding import EmbedderUnavailable
    from core.git import GitError
    from core.worker import WorkerUnavailable

    fixable = (SourceError, GitError, NotIndexed, GateFailed, IndexConflict, EmbedderUnavailable, WorkerUnavailable)
    try:
        yield
    except fixable as error:
        raise CommandFailed(str(error)) from error
