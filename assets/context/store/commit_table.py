"""The commits of a source in Postgres, each with the index versions that added and removed it."""

import uuid

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.ranking.history import MOST_COMMITS, PastCommit, PastCommits, read_history
from assets.context.store import versions
from core.git import Repository

_KEY = "team_id = %(team)s AND source = %(source)s"
_LIVE = f"""
SELECT commit, message, paths FROM source_commits WHERE {versions.LIVE} ORDER BY number DESC LIMIT %(most)s
"""  # noqa: S608
_NEWEST = f"SELECT coalesce(max(number), 0) FROM source_commits WHERE {_KEY}"  # noqa: S608
_CLOSE = f"UPDATE source_commits SET until = %(version)s WHERE {_KEY} AND until IS NULL AND number <= %(last)s"  # noqa: S608
_INSERT = """
INSERT INTO source_commits (team_id, source, number, since, commit, message, paths)
SELECT %(team)s, %(source)s, %(first)s + made.place, %(version)s, made.commit, made.message,
    string_to_array(made.paths, E'\\n')
FROM unnest(%(commits)s::text[], %(messages)s::text[], %(paths)s::text[])
    WITH ORDINALITY AS made (commit, message, paths, place)
"""


def load(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int) -> PastCommits:
    """The history of one version, newest first."""
    rows = connection.execute(_LIVE, {**versions.scope(team_id, source, version), "most": MOST_COMMITS}).fetchall()
    return PastCommits([PastCommit(commit, message, tuple(paths)) for commit, message, paths in rows])


def new_commits(repository: Repository, before: str | None, commit: str) -> tuple[list[PastCommit], bool]:
    """The commits to add to a history that ends at `before`, newest first, and whether to keep that history.

    It is kept if `before` is an ancestor of `commit`; if history was rewritten, all of it is read again.
    """
    if before and repository.is_ancestor(before, commit):
        return read_history(repository, commit, exclude=before), True
    return read_history(repository, commit), False


def stage(
    connection: Connection[TupleRow],
    team_id: uuid.UUID,
    source: str,
    version: int,
    commits: list[PastCommit],
    *,
    keep: bool,
) -> None:
    """Adds `commits` (newest first) as of `version`. Without `keep`, all earlier commits end at `version`."""
    parameters: dict[str, object] = versions.scope(team_id, source, version)
    newest = int((connection.execute(_NEWEST, parameters).fetchone() or (0,))[0])
    last = newest + len(commits) - MOST_COMMITS if keep else newest
    if last > 0:
        connection.execute(_CLOSE, {**parameters, "last": min(last, newest)})
    if commits:
        oldest_first = commits[::-1]
        rows = {
            "first": newest,
            "commits": [made.commit for made in oldest_first],
            "messages": [made.message for made in oldest_first],
            "paths": ["\n".join(made.paths) for made in oldest_first],
        }
        connection.execute(_INSERT, {**parameters, **rows})


def discard_staged(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, after: int) -> None:
    """Undoes what was staged for versions after `after`."""
    parameters = {"team": team_id, "source": source, "version": after}
    connection.execute(f"DELETE FROM source_commits WHERE {_KEY} AND since > %(version)s", parameters)  # noqa: S608
    connection.execute(
        f"UPDATE source_commits SET until = NULL WHERE {_KEY} AND until > %(version)s",  # noqa: S608
        parameters,
    )


def forget(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int) -> None:
    """Deletes the commits that were removed as of `version` or earlier."""
    parameters = {"team": team_id, "source": source, "version": version}
    connection.execute(f"DELETE FROM source_commits WHERE {_KEY} AND until <= %(version)s", parameters)  # noqa: S608
