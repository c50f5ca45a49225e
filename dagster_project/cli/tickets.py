"""`penstock tickets`: imports, lists and searches a source's tickets. Later changes arrive by webhook."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.counts import counted
from core.tickets import Kind, Service, State
from dagster_project.cli.access import TeamName, team_of
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from core.database import Database

tickets = typer.Typer(name="tickets", help="Import, list and search the tickets of a source.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(help="The source.", metavar="SOURCE")]
From = Annotated[Service, typer.Option("--from", help="The service that holds the tickets.")]
Project = Annotated[
    str | None,
    typer.Option(
        help="owner/name, the key of Jira's project or Linear's team, or the id of Slack's channel; by default the "
        "source's repository."
    ),
]
Address = Annotated[
    str | None, typer.Option(help="https://HOST of the service; not needed for github.com, gitlab.com and Linear.")
]
OnlyState = Annotated[State | None, typer.Option("--state", help="Only tickets in this state.")]
OnlyKind = Annotated[Kind | None, typer.Option("--kind", help="Only tickets of this kind.")]


@contextmanager
def _opened(team: str | None) -> Iterator[tuple["Database", uuid.UUID]]:
    """Opens the database and finds the team, and turns errors that a user can fix into `CommandFailed`."""
    from assets.context.source.sources import SourceError
    from assets.context.tickets.apis import ApiError
    from assets.context.tickets.importing import ImportRefused
    from core.embedding import EmbedderUnavailable

    try:
        with opened() as database:
            yield database, team_of(database, team)
    except (SourceError, ImportRefused, ApiError, EmbedderUnavailable) as error:
        raise CommandFailed(str(error)) from error


@tickets.command("import")
def import_(
    source: Source,
    service: From,
    project: Project = None,
    address: Address = None,
    everything: Annotated[
        bool, typer.Option(help="Read all tickets again, not only those changed since the last import.")
    ] = False,
    pages: Annotated[
        int, typer.Option(min=1, max=20_000, help="Maximum number of pages; the next import continues there.")
    ] = 20_000,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Import a project's tickets, and link the project to the source for later changes.

    The API token is read from PENSTOCK_GITHUB_TOKEN, PENSTOCK_GITLAB_TOKEN, PENSTOCK_GITEA_TOKEN,
    PENSTOCK_BITBUCKET_TOKEN or PENSTOCK_JIRA_TOKEN (user@example.org:TOKEN for Jira Cloud). An interrupted import
    continues where it stopped.
    """
    from assets.context.tickets.importing import import_tickets, link_project
    from core.embedding.serving import Models
    from core.settings import load_settings

    if service == Service.SLACK:
        raise CommandFailed("messages of Slack are not imported: `penstock tickets link` links a channel")
    settings = load_settings()
    token = getattr(settings, f"{service}_token")
    with _opened(team) as (database, here), Progress(quiet=as_json) as step:
        link = link_project(database, here, source, service, project, address)
        step(f"importing {link.project} from {service}")
        used = Models(database, settings).in_use()
        report = import_tickets(
            database,
            here,
            link,
            token=token.get_secret_value() if token else None,
            everything=everything,
            most_pages=pages,
            embedders=used.asked,
            building=used.building,
            on_page=lambda read, changes: step(f"{read} pages, {changes} tickets and comments"),
        )
    if as_json:
        data(_report(report))
        return
    line(
        f"{report.source}: {report.index.status.total} tickets, {report.index.status.parts} texts; "
        f"{report.pages} pages read, {report.applied} of {report.changes} tickets and comments applied"
        + ("" if report.complete else "; there are more: import again to continue")
    )
    for reason in report.skipped[:20]:
        note(f"skipped {reason}")
    for model, reason in report.index.unavailable:
        note(f"no vectors of {model} yet: {reason}")


def _report(report: Any) -> dict[str, Any]:
    names = ("source", "service", "project", "pages", "changes", "applied", "skipped", "complete")
    status = report.index.status
    return {name: getattr(report, name) for name in names} | {
        "tickets": status.tickets,
        "texts": status.parts,
        "models": report.index.models,
        "unavailable": dict(report.index.unavailable),
    }


@tickets.command()
def sweep(
    source: Annotated[str | None, typer.Argument(help="One source; all by default.", metavar="[SOURCE]")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Ask forges and Jira now for what their webhooks did not deliver. The platform does so every few minutes."""
    from assets.context.source.sources import find_source
    from assets.platform import Platform
    from assets.sweeps.sweep import sweep_due
    from core.settings import load_settings

    with _opened(team) as (database, here):
        name = find_source(database, here, source).name if source is not None else None
        platform = Platform(load_settings(), database.url)
        try:
            done = []
            for swept in sweep_due(platform, team_id=here, source=name, forced=True):
                note(str(swept))
                for problem in swept.problems:
                    note(f"skipped {problem}")
                done.append(swept)
        finally:
            platform.close()
    if as_json:
        data(
            [
                {
                    "source": swept.place.source,
                    "place": str(swept.place),
                    "pages": swept.pages,
                    "missed": swept.stored.missed,
                    "tasks": swept.stored.tasks,
                    "complete": swept.whole,
                    "error": swept.error,
                    "skipped": swept.problems,
                }
                for swept in done
            ]
        )
    else:
        missed, started = (sum(getattr(one.stored, name) for one in done) for name in ("missed", "tasks"))
        line(f"{len(done)} places swept: {missed} missed events, {started} tasks started")
    if any(swept.error for swept in done):
        raise CommandFailed("not every place could be swept: see above")


@tickets.command()
def link(
    source: Source,
    service: From,
    project: Project = None,
    address: Address = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Link a project to a source, so that its webhooks update the source's tickets. Imports none."""
    from dataclasses import asdict

    from assets.context.tickets.importing import link_project

    with _opened(team) as (database, here):
        made = link_project(database, here, source, service, project, address)
        _warn_of_access(database, here, made.source)
    if as_json:
        data(asdict(made))
    else:
        line(f"tickets of {made.project} at {made.address} belong to {made.source}")


def _warn_of_access(database: "Database", team: uuid.UUID, source: str) -> None:
    """Says what would keep results from being shown at the trackers that a source is linked to."""
    from assets.platform import Platform
    from assets.results.forges import tracker_problems
    from core.settings import load_settings

    platform = Platform(load_settings(), database.url)
    try:
        for problem in tracker_problems(platform, team, source):
            note(f"warning: results cannot be shown there yet: {problem}")
    finally:
        platform.database.close()


@tickets.command()
def unlink(
    service: From,
    project: Annotated[
        str, typer.Option(help="owner/name, the key of Jira's project or Linear's team, or the id of Slack's channel.")
    ],
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Unlink a project from its source."""
    from assets.context.tickets.importing import unlink_project

    with _opened(team) as (database, here):
        gone = unlink_project(database, here, service, project)
    if not gone:
        raise CommandFailed(f"no source is linked to {project} of {service}")
    if as_json:
        data({"service": service, "project": project, "linked": False})
    else:
        line(f"{project} is no longer linked to a source")


@tickets.command()
def search(
    source: Source,
    query: Annotated[str, typer.Argument(help="Words, an error message or a key.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Number of tickets.")] = 10,
    state: OnlyState = None,
    kind: OnlyKind = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Find the tickets that are relevant to a text."""
    from dataclasses import asdict

    from assets.context.source.sources import find_source
    from assets.context.tickets.search import search_tickets
    from core.embedding.serving import Models
    from core.settings import load_settings

    with _opened(team) as (database, here):
        name = find_source(database, here, source).name
        used = Models(database, load_settings()).in_use()
        hits = search_tickets(database, here, name, query, k, embedders=used.asked, state=state, kind=kind)
    if as_json:
        data([asdict(hit) | {"why": [reason.model_dump() for reason in hit.why]} for hit in hits])
        return
    table(
        ["ticket", "state", "title", "score", "why", "author", "closed by"],
        [
            [
                hit.key,
                hit.state,
                hit.title,
                f"{hit.score:.4f}",
                "; ".join(f"{r.signal} ({r.detail})" for r in hit.why[:3]),
                f"{hit.trust}{f' {hit.author}' if hit.author else ''}",
                ", ".join(hit.closed_by) or "-",
            ]
            for hit in hits
        ],
        empty="Nothing found. Does the source have tickets? penstock tickets list SOURCE",
    )


@tickets.command("list")
def list_(
    source: Source,
    state: OnlyState = None,
    kind: OnlyKind = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of tickets.")] = 50,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """List the tickets of a source, last changed first."""
    from dataclasses import asdict

    from assets.context.source.sources import find_source
    from assets.context.tickets.listing import list_tickets

    with _opened(team) as (database, here):
        name = find_source(database, here, source).name
        with database.team(here) as connection:
            found = list_tickets(connection, here, name, state=state, kind=kind, limit=limit)
    if as_json:
        data([asdict(ticket) for ticket in found])
        return
    table(
        ["ticket", "kind", "state", "title", "labels", "comments", "updated"],
        [
            [t.key, t.kind, t.state, t.title, ", ".join(t.labels), t.comments, f"{t.updated_at:%Y-%m-%d %H:%M}"]
            for t in found
        ],
        empty="No such ticket: without --state and --kind, all are listed."
        if state or kind
        else "No tickets yet: penstock tickets import SOURCE --from github",
    )


@tickets.command()
def status(source: Source, team: TeamName = None, as_json: AsJson = False) -> None:
    """Show the number of searchable tickets, the delay until changes are searchable, sweeps and the last changes."""
    from dataclasses import asdict

    from assets.context.source.sources import find_source
    from assets.context.tickets.status import ticket_status
    from assets.sweeps.places import GIT, read_status

    with _opened(team) as (database, here):
        name = find_source(database, here, source).name
        with database.team(here) as connection:
            found = ticket_status(connection, here, name)
            sweeps = read_status(connection, name)
    if as_json:
        data(asdict(found) | {"sweeps": [asdict(one) for one in sweeps]})
        return
    counts = ", ".join(f"{count} {what}" for what, count in found.tickets.items())
    line(
        f"{counted(found.total, 'ticket')} ({counts or 'none'}), {counted(found.parts, 'searchable text')}, "
        f"{counted(found.waiting, 'waiting change')}"
    )
    if found.lag_median is not None:
        line(f"delay until a change is searchable: median {found.lag_median:.1f} s, maximum {found.lag_most:.1f} s")
    for one in sweeps:
        what = "the branch" if one.service == GIT else f"{one.project} at {one.service}"
        last = f"{one.swept_at:%Y-%m-%d %H:%M}" if one.swept_at else "never"
        problem = f"; failed {one.failures} times: {one.error}" if one.error else ""
        line(f"last sweep of {what}: {last}, {one.found} missed events so far{problem}")
    for change in found.last:
        line(
            f"{change.at:%Y-%m-%d %H:%M:%S}  {change.key}  {change.before or '-'} -> {change.after}  ({change.action})"
        )
