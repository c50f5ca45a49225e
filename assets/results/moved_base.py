"""What happens to a patch when the branch that it is for has moved since its base: it was verified against other code.

If the new commits change none of its files, the pull request says so. If they do, the task begins again at the new
head, where it may be fixed already; only a branch that keeps moving gets the pull request with that remark.
"""

import uuid
from dataclasses import replace

from assets.shared.markdown import code
from core import tasks
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.forge.hosted import HostedForge, Moved
from core.forge.protocol import Forge, Publication, PublicationRefused
from core.states import TaskState

MOST_AGAIN = 2
"""Attempts that begin for a moved branch, after which the patch is published with a remark."""
_MOVED = "its branch has moved"
_SHOWN = 5


def on_current_base(
    database: Database, log: PostgresLog, team_id: uuid.UUID, forge: Forge, publication: Publication
) -> Publication:
    """The publication, with what to say about commits since its base. Raises `PublicationRefused` after it has queued
    the next attempt instead, and `ForgeUnavailable`."""
    if publication.patch is None or publication.follow_up is not None or not isinstance(forge, HostedForge):
        return publication
    moved = forge.moved(publication)
    if moved is None:
        return publication
    if moved.paths:
        _begin_again(database, log, team_id, publication, moved)
    return replace(publication, description=f"{_remark(publication, moved)}\n\n{publication.description}")


def _begin_again(
    database: Database, log: PostgresLog, team_id: uuid.UUID, publication: Publication, moved: Moved
) -> None:
    """Queues the next attempt and raises `PublicationRefused`, unless there were enough of them."""
    with database.team(team_id) as connection:
        task = tasks.get_task(connection, publication.task_id, lock=True)
        if task.attempt == publication.attempt and task.state == TaskState.RESOLVED:
            before = connection.execute(
                "SELECT count(*) FROM publications WHERE task_id = %s AND state = 'refused' "
                "AND starts_with(last_error, %s)",
                (task.id, _MOVED),
            ).fetchone()
            if before is not None and before[0] >= MOST_AGAIN:
                return
            task = tasks.begin_again(connection, log, task.id)
    paths = ", ".join(moved.paths[:_SHOWN])
    raise PublicationRefused(
        f"{_MOVED} to {moved.head[:12]}, with changes of {paths}: attempt {task.attempt} begins there"
    )


def _remark(publication: Publication, moved: Moved) -> str:
    base = publication.patch.base_commit[:12] if publication.patch else ""
    what = f"the commits since change {', '.join(code(path) for path in moved.paths[:_SHOWN])} too"
    if not moved.paths:
        what = "the commits since change none of its files"
    return f"The patch was verified on `{base}`. The branch is at `{moved.head[:12]}` by now; {what}."
