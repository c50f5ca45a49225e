"""Imports a project's tickets through its service's API, page by page, while live events continue.

The progress is stored with each page's tickets, so that an interrupted import resumes, and a later one reads only
what changed since. Changes are applied like events: one that is older than the stored state has no effect.
"""

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from assets.context.source.sources import find_source
from assets.context.tickets.apis import APIS, Position, Reader, read_page
from assets.context.tickets.apply import ApplyOutcome, apply
from assets.context.tickets.index import TicketIndexReport, index_tickets
from assets.context.tickets.renames import move_renamed
from core.database import Database
from core.embedding import Embedder
from core.tickets import TRACKERS, Service

MOST_PAGES = 20_000
INDEX_EVERY = 20
OVERLAP = timedelta(minutes=10)
"""Clocks differ, so changes made shortly before the last import began are read again."""

MOST_SKIPPED = 100

_PUBLIC = {Service.LINEAR: "https://api.linear.app", Service.SLACK: "https://slack.com"}
"""Addresses of services whose tickets come by webhooks alone."""
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]{0,200})?"
)


class ImportRefused(ValueError):
    """The project cannot be linked or imported; the message says why and what to do."""


@dataclass(frozen=True)
class ImportReport:
    """`changes` is the number of changes read, `applied` of those that were new. `complete` is False if the import
    stopped at the page limit. `skipped` are items that could not be read, with the reason (at most 100)."""

    source: str
    service: Service
    project: str
    pages: int
    changes: int
    applied: int
    skipped: tuple[str, ...]
    complete: bool
    index: TicketIndexReport


@dataclass(frozen=True)
class Link:
    """A project whose tickets belong to a source; `address` is that of its service."""

    source: str
    service: Service
    project: str
    address: str


def link_project(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    service: Service,
    project: str | None = None,
    address: str | None = None,
) -> Link:
    """Makes the tickets of a service's project belong to a source; linking it again only changes the address. The
    default project is the source's repository. Raises `SourceError`, `ImportRefused`."""
    found = find_source(database, team_id, source)
    name = _project(service, project or (found.repository if service not in TRACKERS else None))
    address = _address(address)
    with database.team(team_id) as connection:
        row = connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source, address) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (team_id, service, project) DO UPDATE SET address = coalesce(excluded.address, "
            "ticket_projects.address) RETURNING source, address",
            (team_id, service, name, found.name, address),
        ).fetchone()
        if row is None or row[0] != found.name:
            raise ImportRefused(
                f"project {name} of {service} already belongs to source {row[0] if row else '?'}: "
                f"unlink it with `penstock tickets unlink`"
            )
        place = row[1] or (APIS[service].address if service in APIS else _PUBLIC.get(service))
        if place is None:
            raise ImportRefused(f"{service} has no public instance: pass the address of yours, as https://HOST")
    return Link(found.name, service, name, place)


def unlink_project(database: Database, team_id: uuid.UUID, service: Service, project: str) -> bool:
    """Unlinks a project from its source and deletes its tickets. Returns False if it was not linked."""
    key = (team_id, service, _project(service, project))
    with database.team(team_id) as connection:
        gone = connection.execute(
            "DELETE FROM ticket_projects WHERE team_id = %s AND service = %s AND project = %s", key
        ).rowcount
        for table in (b"ticket_parts", b"tickets"):
            connection.execute(b"DELETE FROM " + table + b" WHERE team_id = %s AND service = %s AND project = %s", key)
    return gone > 0


def _address(address: str | None) -> str | None:
    """Checks an address. The message does not show it, since it may contain a token."""
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ImportRefused(
            "an address must be https://HOST or https://HOST/PATH, without a user name: set the token as a setting, "
            "such as PENSTOCK_GITLAB_TOKEN"
        )
    return address.rstrip("/") if address else None


def _project(service: Service, name: str | None) -> str:
    if service == Service.SLACK:
        if name is None or not re.fullmatch(r"[A-Z][A-Z0-9]{1,30}", name):
            raise ImportRefused("a channel of Slack is named by its id, which its details show: --project C0123456789")
        return name
    if service in TRACKERS:
        least = 1 if service == Service.JIRA else 0
        if name is None or not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_]{{{least},99}}", name):
            raise ImportRefused(f"a project of {service} is named by its key: --project PROJ")
        return name.upper()
    if name is None or not re.fullmatch(r"[\w.-]{1,100}(?:/[\w.-]{1,100}){1,9}", name):
        raise ImportRefused(f"a project of {service} is named owner/name: --project owner/name")
    return name.lower()


def import_tickets(
    database: Database,
    team_id: uuid.UUID,
    link: Link,
    *,
    token: str | None = None,
    everything: bool = False,
    most_pages: int = MOST_PAGES,
    embedders: Sequence[Embedder] = (),
    building: Sequence[Embedder] = (),
    on_page: Callable[[int, int], None] = lambda pages, changes: None,
    sleep: Callable[[float], None] | None = None,
) -> ImportReport:
    """Imports and indexes what changed since the last import; the first import, or `everything`, reads all tickets.

    `on_page` is called with the numbers of pages and changes so far. Raises `ApiError` and psycopg's errors; the pages
    before the error are stored, and the next import continues from there. Raises `ImportRefused` for a service whose
    tickets come by webhooks alone.
    """
    if link.service not in APIS:
        raise ImportRefused(f"tickets of {link.service} are not imported: they arrive by webhooks, from now on")
    api = APIS[link.service]
    state = _begin(database, team_id, link, everything)
    pages = changes = applied = 0
    skipped: list[str] = []
    options: dict[str, Any] = {"sleep": sleep} if sleep else {}
    setting = f"PENSTOCK_{link.service.upper()}_TOKEN"
    try:
        with Reader(link.address, api.headers(token), setting=setting, **options) as reader:
            while state.step is not None and pages < most_pages:
                page, state = read_page(api, reader, link.project, state)
                applied += _store(database, team_id, link, page.changes, state)
                pages += 1
                changes += len(page.changes)
                skipped += page.skipped[: MOST_SKIPPED - len(skipped)]
                on_page(pages, changes)
                if pages % INDEX_EVERY == 0:
                    index_tickets(database, team_id, link.source, embedders=embedders, building=building)
    finally:
        report = index_tickets(database, team_id, link.source, embedders=embedders, building=building)
    return ImportReport(
        link.source,
        link.service,
        link.project,
        pages,
        changes,
        applied,
        tuple(skipped),
        state.step is None,
        report,
    )


def _begin(database: Database, team_id: uuid.UUID, link: Link, everything: bool) -> Position:
    with database.team(team_id) as connection:
        row = connection.execute(
            "SELECT progress, since FROM ticket_projects WHERE team_id = %s AND service = %s AND project = %s",
            (team_id, link.service, link.project),
        ).fetchone()
    now = datetime.now(UTC)
    if row is None or everything:
        return Position(0, None, None, now)
    held, since = row
    if not held:
        return Position(0, None, since, now)
    return Position.from_json(held)


def _store(database: Database, team_id: uuid.UUID, link: Link, changes: Sequence[Any], state: Position) -> int:
    """Stores a page's tickets and the progress in one transaction, under the lock that indexing takes."""
    with database.team(team_id) as connection:
        connection.execute("SELECT set_config('lock_timeout', '10min', true)")
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock tickets {team_id} {link.source}",)
        )
        move_renamed(connection, team_id, link.source)
        received = datetime.now(UTC)
        done = [apply(connection, team_id, link.source, change, received) for change in changes]
        ended = state.step is None
        connection.execute(
            "UPDATE ticket_projects SET progress = %s, since = coalesce(%s, since) "
            "WHERE team_id = %s AND service = %s AND project = %s",
            (
                state.to_json(),
                state.began - OVERLAP if ended else None,
                team_id,
                link.service,
                link.project,
            ),
        )
    return sum(one.outcome == ApplyOutcome.APPLIED for one in done)
