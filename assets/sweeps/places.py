"""The places that are swept: the repository of each source at its forge, linked projects, and branches.

A place's row in the table `sweeps` says when it is due and how far it was read. Taking a place makes it due again
after `BUSY`, so that a process that is killed holds nothing up.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from assets.context.tickets.apis import APIS, Position
from core.database import Database
from core.forge.addresses import api_address
from core.git import is_url
from core.tickets import Service

GIT = "git"
"""The service of a place that is a branch."""
BUSY = timedelta(minutes=10)
FIRST = timedelta(days=1)
"""A source that was added earlier than this before its first sweep is swept from then on: a first sweep finds what was
missed around the time of an upgrade, but starts no tasks for old issues."""
LONGEST_PAUSE = 3600.0


@dataclass(frozen=True)
class Place:
    """`own` is whether it is the source's own repository at its forge, whose token is the source's."""

    team_id: uuid.UUID
    source: str
    service: str
    project: str
    address: str
    own: bool
    created_at: datetime

    @property
    def local(self) -> bool:
        """Whether it is the branch of a repository on this machine, which costs next to nothing to look at."""
        return self.service == GIT and not is_url(self.address)

    def __str__(self) -> str:
        return f"branch of {self.source}" if self.service == GIT else f"{self.service}:{self.project}"


@dataclass(frozen=True)
class Progress:
    """A taken place's row."""

    since: datetime
    progress: dict[str, Any] | None
    failures: int
    now: datetime

    def position(self) -> Position:
        """Where the pass that was interrupted goes on, or the beginning of a new one."""
        if self.progress:
            return Position.from_json(self.progress)
        return Position(0, None, self.since, self.now)


def list_places(database: Database, source: str | None = None) -> list[Place]:
    """Every place, of all teams; of the sources of one name if that is given."""
    with database.system() as connection:
        rows = connection.execute(
            "SELECT team_id, name, location, repository, forge, forge_address, created_at FROM sources "
            "WHERE %(source)s::text IS NULL OR name = %(source)s ORDER BY team_id, name",
            {"source": source},
        ).fetchall()
        links = connection.execute(
            "SELECT p.team_id, p.source, p.service, p.project, p.address, s.created_at FROM ticket_projects p "
            "JOIN sources s ON (s.team_id, s.name) = (p.team_id, p.source) "
            "WHERE (%(source)s::text IS NULL OR p.source = %(source)s) AND p.service <> 'slack' "
            "ORDER BY p.team_id, p.service, p.project",
            {"source": source},
        ).fetchall()
    found: dict[tuple[uuid.UUID, str, str], Place] = {}
    for team, name, location, repository, forge, address, created in rows:
        if forge is not None and repository is not None and forge in set(Service):
            at = api_address(forge, address)
            found[team, forge, repository] = Place(team, name, forge, repository, at, True, created)
        found[team, GIT, name] = Place(team, name, GIT, name, location, True, created)
    for team, name, service, project, address, created in links:
        if service not in APIS:
            continue  # it is known by its webhooks alone
        place = address or APIS[Service(service)].address
        if place is not None:
            found.setdefault((team, service, project), Place(team, name, service, project, place, False, created))
    return list(found.values())


_ADD = """
INSERT INTO sweeps AS held (team_id, service, project, source, since)
VALUES (%(team)s, %(service)s, %(project)s, %(source)s,
    CASE WHEN %(own)s THEN greatest(date_trunc('second', %(created)s::timestamptz), now() - %(first)s) ELSE now() END)
ON CONFLICT (team_id, service, project) DO UPDATE SET (source, since, progress)
    = (excluded.source, excluded.since, NULL) WHERE held.source <> excluded.source
"""


def note_places(database: Database, places: list[Place], source: str | None = None) -> None:
    """Adds rows for new places, and deletes those of places that are no more; `places` are all, or those of a source.
    A project that was linked later is swept from the first sweep on. Services give times in whole seconds."""
    with database.system() as connection, connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM sweeps w WHERE (%(source)s::text IS NULL OR w.source = %(source)s) AND NOT EXISTS (SELECT "
            "FROM unnest(%(teams)s::uuid[], %(services)s::text[], %(projects)s::text[]) AS p(team, service, project) "
            "WHERE (p.team, p.service, p.project) = (w.team_id, w.service, w.project))",
            {
                "source": source,
                "teams": [place.team_id for place in places],
                "services": [place.service for place in places],
                "projects": [place.project for place in places],
            },
        )
        cursor.executemany(
            _ADD,
            [
                {
                    "team": place.team_id,
                    "service": place.service,
                    "project": place.project,
                    "source": place.source,
                    "own": place.own,
                    "created": place.created_at,
                    "first": FIRST,
                }
                for place in places
            ],
        )


_DUE = """
SELECT EXISTS (SELECT FROM sweeps WHERE next_at <= now())
    OR EXISTS (SELECT FROM organisations WHERE next_at <= now())
    OR EXISTS (SELECT FROM sources s WHERE NOT EXISTS (
        SELECT FROM sweeps w WHERE (w.team_id, w.service, w.project) = (s.team_id, 'git', s.name)))
    OR EXISTS (SELECT FROM ticket_projects p
        WHERE (p.address IS NOT NULL OR p.service IN ('github', 'gitlab', 'bitbucket'))
        AND p.service NOT IN ('slack', 'linear') AND NOT EXISTS (SELECT FROM sweeps w
            WHERE (w.team_id, w.service, w.project) = (p.team_id, p.service, p.project)))
"""


def anything_due(connection: Connection[TupleRow]) -> bool:
    """Whether a place or an organisation is due, or a place has no row yet."""
    row = connection.execute(_DUE.encode()).fetchone()
    return bool(row and row[0])


_TAKE = """
UPDATE sweeps SET next_at = now() + %(busy)s
WHERE (team_id, service, project) = (%(team)s, %(service)s, %(project)s) AND (next_at <= now() OR %(forced)s)
RETURNING since, progress, failures, now() AS now
"""


def take(database: Database, place: Place, *, forced: bool = False) -> Progress | None:
    """Takes a place, if it is due or that is `forced`."""
    with database.system() as connection, connection.cursor(row_factory=class_row(Progress)) as cursor:
        return cursor.execute(_TAKE, {**_key(place), "busy": BUSY, "forced": forced}).fetchone()


def by_urgency(database: Database, places: list[Place]) -> Iterator[Place]:
    """The places, those that have been due for longest first."""
    with database.system() as connection:
        rows = connection.execute("SELECT team_id, service, project FROM sweeps ORDER BY next_at").fetchall()
    order = {tuple(row): number for number, row in enumerate(rows)}
    yield from sorted(places, key=lambda one: order.get((one.team_id, one.service, one.project), len(order)))


def moved(connection: Connection[TupleRow], place: Place, position: Position, found: int, overlap: timedelta) -> None:
    """Stores how far a pass has come, in the caller's transaction. Once it is complete, the next one reads what changes
    from its beginning on, less the overlap."""
    connection.execute(
        "UPDATE sweeps SET progress = %(progress)s, since = coalesce(%(since)s, since), found = found + %(found)s "
        "WHERE (team_id, service, project) = (%(team)s, %(service)s, %(project)s)",
        {
            **_key(place),
            "progress": position.to_json(),
            "since": position.began - overlap if position.step is None else None,
            "found": found,
        },
    )


def add_found(connection: Connection[TupleRow], place: Place, found: int) -> None:
    """Counts events that were missed at a place, in the caller's transaction."""
    connection.execute(
        "UPDATE sweeps SET found = found + %(found)s "
        "WHERE (team_id, service, project) = (%(team)s, %(service)s, %(project)s)",
        {**_key(place), "found": found},
    )


def ended(database: Database, place: Place, *, whole: bool, seconds: float, found: int) -> None:
    """Records that a place was swept, or a part of it, and is due again in so many seconds."""
    with database.system() as connection:
        connection.execute(
            "UPDATE sweeps SET failures = 0, error = NULL, next_at = now() + %(seconds)s * interval '1 second', "
            "swept_at = CASE WHEN %(whole)s THEN now() ELSE swept_at END, found = found + %(found)s "
            "WHERE (team_id, service, project) = (%(team)s, %(service)s, %(project)s)",
            {**_key(place), "whole": whole, "seconds": seconds, "found": found},
        )


def failed(database: Database, place: Place, error: str, seconds: float, *, anew: bool = False) -> None:
    """Records why a place could not be swept, and that it is due again in so many seconds; `anew`: from the first page
    of the pass."""
    with database.system() as connection:
        connection.execute(
            "UPDATE sweeps SET failures = failures + 1, error = %(error)s, "
            "next_at = now() + %(seconds)s * interval '1 second', "
            "progress = CASE WHEN %(anew)s THEN NULL ELSE progress END "
            "WHERE (team_id, service, project) = (%(team)s, %(service)s, %(project)s)",
            {**_key(place), "error": error[:1000], "seconds": seconds, "anew": anew},
        )


@dataclass(frozen=True)
class SweepStatus:
    """How the sweeps of a place stand: `found` counts the missed events that they have found since it is swept."""

    service: str
    project: str
    swept_at: datetime | None
    found: int
    failures: int
    error: str | None


def read_status(connection: Connection[TupleRow], source: str) -> list[SweepStatus]:
    with connection.cursor(row_factory=class_row(SweepStatus)) as cursor:
        return cursor.execute(
            "SELECT service, project, swept_at, found, failures, error FROM sweeps WHERE source = %s "
            "ORDER BY service, project",
            (source,),
        ).fetchall()


def pause_after(failures: int, asked: float | None) -> float:
    """Seconds until a place that failed is tried again: twice as long each time, or what the service asks for."""
    return max(asked or 0.0, min(60.0 * 2.0 ** min(failures, 10), LONGEST_PAUSE))


def _key(place: Place) -> dict[str, Any]:
    return {"team": place.team_id, "service": place.service, "project": place.project}
