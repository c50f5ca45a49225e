"""Errors about sources and their index that a person can mend, as one line of a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster_project.cli.output import CommandFailed


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
