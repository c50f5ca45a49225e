"""`penstock index` and `penstock search`: sources and their context index."""

import time
from pathlib import Path
from typing import Annotated

import typer

from core.events import DEFAULT_TEAM
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table
from dagster_project.cli.work import opened

sources = typer.Typer(name="index", help="Configure sources and keep their index fresh.", no_args_is_help=True)


@sources.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call the source: letters, digits, '.', '_', '-'.")],
    location: Annotated[str, typer.Argument(help="A local repository, or an https or ssh URL.", metavar="DIR_OR_URL")],
    branch: Annotated[
        str | None, typer.Option(help="Branch to follow; the repository's default one if not given.")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="owner/name on its forge: webhooks about it belong to this source.")
    ] = None,
    refresh_now: Annotated[bool, typer.Option("--refresh/--no-refresh", help="Index it at once.")] = True,
    as_json: AsJson = False,
) -> None:
    """Add a source, or change where it is, and index it."""
    from assets.context.sources import SourceError, add_source
    from core.git import is_url
    from core.settings import load_settings

    settings = load_settings()
    place = location if is_url(location) else str(Path(location).expanduser().resolve())
    with opened() as database:
        try:
            source = add_source(
                database, DEFAULT_TEAM, name, place, branch=branch, repository=repository, roots=settings.roots
            )
        except SourceError as error:
            raise CommandFailed(str(error)) from error
    note(f"source {source.name}: {source.location}")
    if refresh_now:
        refresh(source.name, as_json=as_json)
    elif as_json:
        data({"source": source.name, "location": source.location})


@sources.command()
def refresh(name: Annotated[str, typer.Argument(help="The source.")], as_json: AsJson = False) -> None:
    """Bring a source's index to its newest commit."""
    from assets.context.refresh import refresh as refresh_source
    from assets.context.sources import SourceError, find_source
    from core.embedding import open_embedder
    from core.settings import load_settings

    settings = load_settings()
    began = time.monotonic()
    with opened() as database, Progress(quiet=as_json) as step:
        try:
            source = find_source(database, DEFAULT_TEAM, name)
        except SourceError as error:
            raise CommandFailed(str(error)) from error
        step(f"refreshing {name}")
        report = refresh_source(
            database, DEFAULT_TEAM, source, settings=settings, embedder=open_embedder(settings.embedding_model)
        )
    if as_json:
        data(report.as_dict())
        return
    line(
        f"{name} at {report.commit[:12]}: {report.files} files, {report.chunks_new} new chunks, "
        f"{report.chunks_reused} kept, {len(report.skipped)} files skipped, {time.monotonic() - began:.2f} s"
    )
    for path, reason in report.skipped[:20]:
        note(f"skipped {path}: {reason}")


@sources.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One source; all of them if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which commit of each source is searchable, and how much of it."""
    from assets.context.sources import SourceError, find_source, list_sources
    from assets.context.status import status as index_status

    with opened() as database:
        try:
            wanted = [find_source(database, DEFAULT_TEAM, name)] if name else list_sources(database, DEFAULT_TEAM)
        except SourceError as error:
            raise CommandFailed(str(error)) from error
        found = [index_status(database, DEFAULT_TEAM, source.name) for source in wanted]
    if as_json:
        data([one.as_dict() for one in found])
        return
    table(
        ["source", "commit", "files", "chunks", "models", "refreshed", "location"],
        [
            [
                s.name,
                (one.commit or "not indexed")[:12],
                one.files,
                one.chunks,
                ", ".join(one.models),
                one.refreshed_at or "-",
                s.location,
            ]
            for s, one in zip(wanted, found, strict=True)
        ],
        empty="No source yet: penstock index add NAME DIR_OR_URL",
    )


def search(
    name: Annotated[str, typer.Argument(help="The source to search.")],
    query: Annotated[str, typer.Argument(help="What to look for: words, identifiers, a traceback, an error message.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many places.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Find the places in a source that a text is about."""
    from assets.context.postgres_index import search as search_index
    from assets.context.sources import SourceError, find_source
    from core.embedding import open_embedder
    from core.settings import load_settings

    settings = load_settings()
    with opened() as database:
        try:
            source = find_source(database, DEFAULT_TEAM, name)
        except SourceError as error:
            raise CommandFailed(str(error)) from error
        places = search_index(
            database, DEFAULT_TEAM, source.name, query, k, embedder=open_embedder(settings.embedding_model)
        )
    if as_json:
        data([place.model_dump(mode="json") for place in places])
        return
    table(
        ["place", "symbol", "score", "why"],
        [
            [
                f"{p.path}:{p.start_line}-{p.end_line}",
                p.symbol,
                f"{p.score:.3f}",
                "; ".join(f"{r.signal} {r.contribution:.3f}" for r in sorted(p.why, key=lambda r: -r.contribution)[:3]),
            ]
            for p in places
        ],
        empty="Nothing found. Is the source indexed? penstock index status",
    )
