"""Which source a forge's repository belongs to, by its name and, once it is renamed, by its id at the forge.

A source gets the id from the first verified delivery about its repository, and keeps it. For settings and locations of
sources see `assets.context.source`.
"""

import re
import uuid
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.errors import UniqueViolation

REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}(?:/[A-Za-z0-9_.-]{1,100}){1,4}")
"""The names that a source's repository may have."""


@dataclass(frozen=True)
class RepositoryId:
    """A repository's permanent id: `host` is the host (and port) of the forge's web pages, since the numbers of two
    forges overlap."""

    service: str
    host: str
    number: int


@dataclass(frozen=True)
class Followed:
    """The outcome of a rename. `source` is None if no source has the repository; `problem` says why the source that has
    it keeps the former name."""

    source: str | None = None
    former: str | None = None
    problem: str | None = None


_LEARN = """
UPDATE sources
SET (forge_repository_service, forge_repository_host, forge_repository_id) = (%(service)s, %(host)s, %(number)s)
WHERE team_id = %(team)s AND name = %(name)s AND repository = %(repository)s AND forge_repository_id IS NULL
  AND NOT EXISTS (
    SELECT FROM sources o WHERE o.team_id = %(team)s AND o.forge_repository_id = %(number)s
      AND (o.forge_repository_service, o.forge_repository_host) = (%(service)s, %(host)s))
"""

_KNOWN = """
SELECT name, repository FROM sources
WHERE team_id = %s AND (forge_repository_service, forge_repository_host, forge_repository_id) = (%s, %s, %s)
ORDER BY name LIMIT 2 FOR NO KEY UPDATE
"""

_BY_FORMER_NAME = """
SELECT name, repository FROM sources WHERE team_id = %s AND repository = %s AND (forge_repository_id IS NULL OR %s)
FOR NO KEY UPDATE
"""


def learn(connection: Connection[Any], team_id: uuid.UUID, source: str, repository: str, found: RepositoryId) -> None:
    """Stores the id with the source whose `repository` it is, unless the source has an id or another source has this
    one."""
    connection.execute(
        _LEARN.encode(),
        {
            "team": team_id,
            "name": source,
            "repository": repository,
            "service": found.service,
            "host": found.host,
            "number": found.number,
        },
    )


def follow(
    connection: Connection[Any],
    team_id: uuid.UUID,
    repository: str,
    found: RepositoryId | None,
    former: str | None = None,
) -> Followed:
    """Gives the source of a renamed repository the new name `repository`, with the tickets of its project.

    The source is the one that stored the id or, for a repository of which none has, the one whose repository is
    `former`. A name that the repository had before is taken back only by an event that says that it was renamed from
    the present one, since other deliveries may be old.
    """
    rows: list[Any] = []
    if found is not None:
        rows = connection.execute(_KNOWN.encode(), (team_id, found.service, found.host, found.number)).fetchall()
        if len(rows) > 1:
            return Followed(problem=f"sources {rows[0][0]} and {rows[1][0]} have its id")
    if not rows and former is not None:
        rows = connection.execute(_BY_FORMER_NAME.encode(), (team_id, former, found is None)).fetchall()
    if not rows:
        return _follow_link(connection, team_id, repository, former)
    name, held = rows[0]
    old = connection.execute(
        "SELECT FROM renamed_projects WHERE team_id = %s AND source = %s AND former = %s", (team_id, name, repository)
    ).fetchone()
    if held == repository or (old is not None and former != held):
        return Followed(name)
    problem = rename(connection, team_id, name, repository, held)
    return Followed(name, held, problem)


def _follow_link(connection: Connection[Any], team_id: uuid.UUID, repository: str, former: str | None) -> Followed:
    """Follows a renamed repository of which a source has only the tickets."""
    rows = connection.execute(
        "SELECT source, project FROM ticket_projects WHERE team_id = %s AND project IN (%s, %s) "
        "AND service NOT IN ('jira', 'linear', 'slack')",
        (team_id, former, repository),
    ).fetchall()
    names = {project: source for source, project in rows}
    if former not in names:
        return Followed(names.get(repository))
    if repository in names:
        return Followed(names[former], former, f"{repository} already belongs to source {names[repository]}")
    _rename_project(connection, team_id, names[former], repository, former or "")
    return Followed(names[former], former)


def rename(
    connection: Connection[Any], team_id: uuid.UUID, source: str, repository: str, former: str | None
) -> str | None:
    """Changes a source's repository from `former`, with the project that its tickets come from. Returns why it cannot,
    and then changes nothing: the name belongs to another source."""
    if not REPOSITORY.fullmatch(repository):
        return f"{repository[:80]!r} is not a repository's name"
    taken = connection.execute(
        "SELECT source FROM ticket_projects WHERE team_id = %s AND project = %s AND source <> %s "
        "AND service NOT IN ('jira', 'linear', 'slack') "
        "UNION ALL SELECT name FROM sources WHERE team_id = %s AND repository = %s AND name <> %s LIMIT 1",
        (team_id, repository, source, team_id, repository, source),
    ).fetchone()
    try:
        with connection.transaction():
            if taken is None:
                connection.execute(
                    "UPDATE sources SET repository = %s WHERE team_id = %s AND name = %s", (repository, team_id, source)
                )
    except UniqueViolation:  # a source with that name was added at the same moment
        taken = ("another one",)
    if taken is not None:
        return f"{repository} already belongs to source {taken[0]}"
    if former is not None:
        _rename_project(connection, team_id, source, repository, former)
    return None


def _rename_project(connection: Connection[Any], team_id: uuid.UUID, source: str, repository: str, former: str) -> None:
    """Renames a project's link, and records the former name. The tickets themselves are moved by the run that applies
    their changes, since there may be many of them, and changes with the former name may still be waiting."""
    key = {"team": team_id, "source": source, "former": former, "project": repository}
    connection.execute(
        "UPDATE tasks SET ticket_project = %s WHERE team_id = %s AND source = %s AND ticket_project = %s",
        (repository, team_id, source, former),
    )
    connection.execute(
        "UPDATE ticket_projects p SET project = %(project)s WHERE team_id = %(team)s AND source = %(source)s "
        "AND project = %(former)s AND service NOT IN ('jira', 'linear', 'slack') AND NOT EXISTS ("
        "SELECT FROM ticket_projects n "
        "WHERE n.team_id = %(team)s AND n.service = p.service AND n.project = %(project)s)",
        key,
    )
    connection.execute(
        "DELETE FROM ticket_projects "
        "WHERE team_id = %(team)s AND source = %(source)s AND project = %(former)s "
        "AND service NOT IN ('jira', 'linear', 'slack')",
        key,
    )
    connection.execute(
        "DELETE FROM renamed_projects WHERE team_id = %(team)s AND source = %(source)s AND former = %(project)s", key
    )
    connection.execute(
        "UPDATE renamed_projects SET project = %(project)s "
        "WHERE team_id = %(team)s AND source = %(source)s AND project = %(former)s",
        key,
    )
    connection.execute(
        "INSERT INTO renamed_projects (team_id, source, former, project) "
        "VALUES (%(team)s, %(source)s, %(former)s, %(project)s) "
        "ON CONFLICT (team_id, source, former) DO UPDATE SET project = excluded.project, moved_at = NULL",
        key,
    )
