"""`penstock index` and `penstock search`: sources and their context index."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from core.teams import DEFAULT_TEAM
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
    """Add a source and index it."""
    from assets.context.sources import add_source
    from core.git import is_url
    from core.settings import load_settings

    settings = load_settings()
    place = location if is_url(location) else str(Path(location).expanduser().resolve())
    with opened() as database, told():
        source = add_source(
            database, DEFAULT_TEAM, name, place, branch=branch, repository=repository, roots=settings.roots
        )
    note(f"source {source.name}: {source.shown}")
    if refresh_now:
        refresh(source.name, as_json=as_json)
    elif as_json:
        data({"source": source.name, "location": source.shown})


@sources.command()
def refresh(name: Annotated[str, typer.Argument(help="The source.")], as_json: AsJson = False) -> None:
    """Bring a source's index to its newest commit."""
    from dataclasses import asdict

    from assets.context.refresh import refresh as refresh_source
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    began = time.monotonic()
    with opened() as database, Progress(quiet=as_json) as step, told():
        step(f"refreshing {name}")
        used = Models(database, settings).in_use()
        report = refresh_source(
            database,
            DEFAULT_TEAM,
            name,
            mirrors=settings.home / "mirrors",
            roots=settings.roots,
            embedders=used.asked,
            building=used.building,
        )
    if as_json:
        data(asdict(report))
        return
    line(
        f"{report.source} at {report.commit[:12]}: {report.files} files, {report.chunks} chunks "
        f"({report.chunks_new} new, {report.embedded} embedded), {report.skipped_count} files skipped, "
        f"{time.monotonic() - began:.2f} s"
    )
    for path, reason in report.skipped[:20]:
        note(f"skipped {path}: {reason}")


@sources.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One source; all of them if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which commit of each source is searchable, and how much of it."""
    from dataclasses import asdict

    from assets.context.search import status as index_status
    from assets.context.sources import list_sources

    with opened() as database, told():
        names = [name] if name else [source.name for source in list_sources(database, DEFAULT_TEAM)]
        found = [index_status(database, DEFAULT_TEAM, one) for one in names]
    if as_json:
        data([asdict(one) for one in found])
        return
    table(
        ["source", "commit", "files", "chunks", "skipped", "models", "refreshed", "location"],
        [
            [
                one.source,
                (one.commit or "not indexed")[:12],
                one.files,
                one.chunks,
                one.skipped_count,
                ", ".join(one.models) or "-",
                f"{one.visible_at:%Y-%m-%d %H:%M:%S}" if one.visible_at else "-",
                one.location,
            ]
            for one in found
        ],
        empty="No source yet: penstock index add NAME DIR_OR_URL",
    )


@contextmanager
def told() -> Iterator[None]:
    """Turns what a person can mend into one line."""
    from assets.context.languages.isolated import WorkerUnavailable
    from assets.context.postgres import NotIndexed
    from assets.context.sources import SourceError
    from core.embedding import EmbedderUnavailable

    try:
        yield
    except (SourceError, NotIndexed, EmbedderUnavailable, WorkerUnavailable) as error:
        raise CommandFailed(str(error)) from error


def search(
    name: Annotated[str, typer.Argument(help="The source to search.")],
    query: Annotated[str, typer.Argument(help="What to look for: words, identifiers, a traceback, an error message.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many places.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Find the places in a source that a text is about."""
    from assets.context.model_vectors import note_query
    from assets.context.search import search as search_index
    from assets.context.sources import find_source
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    with opened() as database, told():
        source = find_source(database, DEFAULT_TEAM, name)
        used = Models(database, settings).in_use()
        places = search_index(
            database,
            DEFAULT_TEAM,
            source.name,
            query,
            k,
            embedders=used.asked,
            fallback=used.fallback,
        )
        note_query(database, DEFAULT_TEAM, source.name, query)
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
