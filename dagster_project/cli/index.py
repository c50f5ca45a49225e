"""`penstock index`: sources and their context index."""

import re
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import TeamName, on_record, team_of
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table
from dagster_project.cli.source_errors import opened_source, user_errors
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from assets.context.source.sources import Source
    from core.database import Database
    from core.git import Credential

sources = typer.Typer(name="index", help="Manage sources and their index.", no_args_is_help=True)


@sources.command()
def add(
    name: Annotated[str, typer.Argument(help="The source's name: letters, digits, '.', '_', '-'.")],
    location: Annotated[str, typer.Argument(help="A local repository, or an https or ssh URL.", metavar="DIR_OR_URL")],
    branch: Annotated[
        str | None, typer.Option(help="Branch to index; by default the repository's default branch.")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="owner/name on its forge; webhooks about it belong to this source.")
    ] = None,
    forge: Annotated[
        str | None,
        typer.Option(
            help="Publish results there: github, gitlab, gitea or bitbucket. Known for addresses of public forges."
        ),
    ] = None,
    forge_address: Annotated[
        str | None, typer.Option(help="https://HOST of that forge; by default the URL's.", metavar="URL")
    ] = None,
    refresh_now: Annotated[bool, typer.Option("--refresh/--no-refresh", help="Index it immediately.")] = True,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Add a source and index it."""
    from assets.context.source.sources import add_source, check_forge
    from core.git import keep_credential
    from core.settings import load_settings

    settings = load_settings()
    place, credential = _place(location)
    with opened() as database, user_errors():
        here = team_of(database, team)
        source = add_source(
            database,
            here,
            name,
            place,
            branch=branch,
            repository=repository,
            roots=settings.roots,
            forge=check_forge(forge, forge_address or _server(place)) if forge else None,
        )
        on_record(database, here, "source.add", f"{source.name}: {source.shown}")
        if credential:
            kept = keep_credential(settings.secrets_folder, here, place, credential)
            note(f"its credential is stored in {kept}")
        note(f"source {source.name}: {source.shown}")
        note(_publishes(source))
        _warn_of_access(database, here, source)
    if refresh_now:
        try:
            refresh(source.name, team=team, as_json=as_json)
        except CommandFailed as error:
            raise CommandFailed(
                f"source {source.name} was added, but could not be indexed: {error}\n"
                f"Try again with `penstock index refresh {source.name}`, or remove it with "
                f"`penstock index remove {source.name}`."
            ) from error
    elif as_json:
        data({"source": source.name, "location": source.shown})


def _warn_of_access(database: "Database", team: uuid.UUID, source: "Source") -> None:
    """Says what would keep results from the source's forge and trackers, so that no task has to find out."""
    from assets.platform import Platform
    from assets.results.forges import access_problems
    from core.settings import load_settings

    platform = Platform(load_settings(), database.url)
    try:
        for problem in access_problems(platform, team, source.name):
            note(f"warning: results cannot be published there yet: {problem}")
    finally:
        platform.database.close()


def _server(location: str) -> str:
    """The address of the server of an https location; of another one, nothing that could be one."""
    match = re.match(r"https?://[^/?#]+", location)
    return match[0] if match else ""


def _publishes(source: "Source") -> str:
    if source.forge:
        return f"results are published at {source.forge} {source.forge_address}, repository {source.repository}"
    if source.location.startswith("/"):
        return "results are published as branches of that repository"
    return f"results stay with their tasks: `penstock index forge {source.name} --forge ...` publishes them at a forge"


@sources.command("forge")
def forge_(
    name: Annotated[str, typer.Argument(help="The source.")],
    forge: Annotated[str | None, typer.Option(help="github, gitlab, gitea or bitbucket.")] = None,
    address: Annotated[str | None, typer.Option(help="https://HOST; by default that of the source's URL.")] = None,
    repository: Annotated[str | None, typer.Option(help="owner/name there; by default the source's.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Publish at no forge.")] = False,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Show or set the forge at which a source's results are published."""
    from assets.context.source.sources import check_forge, set_forge

    if none and (forge or address or repository):
        raise typer.BadParameter("excludes the other options", param_hint="--none")
    if (address or repository) and not forge:
        raise typer.BadParameter("is missing", param_hint="--forge")
    with opened_source(name, team) as at:
        database, here, source = at.database, at.team, at.source
        if forge or none:
            wanted = check_forge(forge, address or _server(source.shown)) if forge else None
            source = set_forge(database, here, name, wanted, repository)
            on_record(database, here, "source.forge", f"{source.name}: {source.forge_address or 'none'}")
        _warn_of_access(database, here, source)
    if as_json:
        data(
            {
                "source": source.name,
                "forge": source.forge,
                "address": source.forge_address,
                "repository": source.repository,
            }
        )
        return
    line(_publishes(source))


@sources.command()
def rename(
    name: Annotated[str, typer.Argument(help="The source, which keeps its name.")],
    repository: Annotated[
        str | None, typer.Option(help="The repository's new owner/name on its forge.", metavar="OWNER/NAME")
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(help="Where the repository is now: a local one, or an https or ssh URL.", metavar="DIR_OR_URL"),
    ] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Tell a source that its repository was renamed, transferred or moved. Its index and tickets stay."""
    from assets.context.source.sources import rename_source
    from core.git import find_credential, keep_credential
    from core.settings import load_settings

    settings = load_settings()
    place, credential = _place(location) if location is not None else (None, None)
    with opened_source(name, team) as at:
        database, here, before = at.database, at.team, at.source
        source = rename_source(
            database,
            here,
            name,
            repository=repository,
            location=place,
            roots=settings.roots,
            mirrors=settings.home / "mirrors",
        )
        on_record(database, here, "source.rename", f"{source.name}: {source.repository or ''} {source.shown}")
        if place and not credential and _host(place) == _host(before.location) is not None:
            credential = find_credential(settings.secrets_folder, here, before.location)
        if place and credential:
            kept = keep_credential(settings.secrets_folder, here, place, credential)
            note(f"its credential is stored in {kept}")
        if source.location != before.location:
            _drop_credential(database, here, settings.secrets_folder, before.location)
    if as_json:
        data(
            {
                "source": source.name,
                "repository": source.repository,
                "location": source.shown,
                "former_repository": before.repository,
                "former_location": before.shown,
            }
        )
        return
    line(f"source {source.name}: {source.shown}, repository {source.repository or 'none'}")
    if source.location != before.location:
        note(f"index it from there with `penstock index refresh {source.name}`")


def _place(location: str) -> "tuple[str, Credential | None]":
    """The location as it is stored, and the credential that it held."""
    from core.git import is_url, split_credential

    place, credential = split_credential(location.strip())
    if not is_url(place) and "://" not in place and not re.match(r"[^/]+@[^/]+:", place):
        place = str(Path(place).expanduser().resolve())
    return place, credential


def _host(location: str) -> str | None:
    """The host of an https location: one that has a source's credential may have it at its new path as well."""
    found = re.match(r"(?i)https://(?:[^/@]*@)?([^/?#]+)", location)
    return found[1].lower() if found else None


@sources.command()
def refresh(
    name: Annotated[str, typer.Argument(help="The source.")], team: TeamName = None, as_json: AsJson = False
) -> None:
    """Index a source's newest commit."""
    from dataclasses import asdict

    from assets.context.indexing.refresh import refresh as refresh_source
    from core.counts import counted
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    began = time.monotonic()
    with opened() as database, Progress(quiet=as_json) as step, user_errors():
        step(f"refreshing {name}")
        here = team_of(database, team)
        used = Models(database, settings).in_use()
        report = refresh_source(
            database,
            here,
            name,
            mirrors=settings.home / "mirrors",
            roots=settings.roots,
            secrets=settings.secrets_folder,
            embedders=used.asked,
            building=used.building,
        )
    if as_json:
        data(asdict(report))
        return
    line(
        f"{report.source} at {report.commit[:12]}: {counted(report.files, 'file')}, {counted(report.chunks, 'chunk')} "
        f"({report.chunks_new} new, {report.embedded} embedded), {counted(report.skipped_count, 'file')} skipped, "
        f"{time.monotonic() - began:.2f} s"
    )
    for path, reason in report.skipped[:20]:
        note(f"skipped {path}: {reason}")
    if report.skipped_count > 20:
        note(f"{report.skipped_count - 20} more files were skipped: `penstock index status --json` lists up to 1,000")


@sources.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One source; all by default.")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Show each source's searchable commit, its size, skipped files and indexing delay."""
    from dataclasses import asdict

    from assets.context.search import status as index_status
    from assets.context.source.sources import list_sources
    from dagster_project.cli.index_status import COLUMNS, explain, row

    with opened() as database, user_errors():
        here = team_of(database, team)
        names = [name] if name else [source.name for source in list_sources(database, here)]
        found = [index_status(database, here, one) for one in names]
    if as_json:
        data([{**asdict(one), "state": one.state} for one in found])
        return
    table(COLUMNS, [row(one) for one in found], empty="No source yet: penstock index add NAME DIR_OR_URL")
    for one in found:
        explain(one, everything=name is not None)


@sources.command()
def remove(
    name: Annotated[str, typer.Argument(help="The source.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it without confirmation.")] = False,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Remove a source with its index, mirror and own credential. Its tasks and their results stay."""
    from assets.context.source.sources import remove_source
    from assets.research.memory import forget
    from assets.research.report.kept_pages import drop_pages
    from core.settings import load_settings

    settings = load_settings()
    with opened_source(name, team) as at:
        database, here, found = at.database, at.team, at.source
        if not yes:
            if not sys.stdin.isatty():
                raise CommandFailed(f"this removes the index of {found.name} ({found.shown}): confirm with --yes")
            typer.confirm(f"Remove {found.name} ({found.shown}) and its index?", abort=True, err=True)
        removed = remove_source(database, here, found.name, settings.home / "mirrors")
        with database.team(here) as connection:
            withdrawn = forget(connection, removed.name).questions
        drop_pages(settings.home, withdrawn)
        on_record(database, here, "source.remove", removed.name)
        _drop_credential(database, here, settings.secrets_folder, removed.location)
    if as_json:
        data({"removed": removed.name})
    else:
        line(f"removed {removed.name}")


def _drop_credential(database: "Database", team: uuid.UUID, secrets: Path, location: str) -> None:
    """Deletes the credential of a location that no source has any more."""
    from assets.context.source.sources import list_sources
    from core.git import drop_credential

    others = [source.location for source in list_sources(database, team)]
    # Another source at the same location or below it may use the same credential.
    needed = any(f"{other}/".startswith(f"{location.removesuffix('.git')}") for other in others)
    if not needed and drop_credential(secrets, team, location):
        note(f"its credential was removed from {secrets}")
