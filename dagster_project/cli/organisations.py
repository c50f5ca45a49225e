"""`penstock index` for whole organisations: all of their repositories become sources, and new ones by themselves."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.counts import counted
from dagster_project.cli.access import TeamName, on_record, team_of
from dagster_project.cli.index import sources
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.cli.source_errors import user_errors
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from assets.sweeps.organisations import Enrolled

__all__ = ["sources"]

_ADDRESSES = {"github": "https://github.com", "gitlab": "https://gitlab.com"}
Name = Annotated[str, typer.Argument(help="The organisation, user or group, as in its address at the forge.")]


@sources.command("add-organisation")
def add_organisation(
    name: Name,
    forge: Annotated[str, typer.Option(help="github, gitlab, gitea or bitbucket.")],
    address: Annotated[
        str | None, typer.Option(help="https://HOST of the forge; not needed for github.com and gitlab.com.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only repositories whose owner/name matches; may be repeated.")
    ] = None,
    never: Annotated[
        list[str] | None, typer.Option(help="No repositories whose owner/name matches; may be repeated.")
    ] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Make sources of all repositories of an organisation, and of new ones when the platform finds them.

    Archived and empty repositories and forks are left out; `penstock index add` adds one. A source that is removed is
    not added again.
    """
    from assets.platform import Platform
    from assets.sweeps.organisations import enrol, register
    from core.settings import load_settings

    place = address or _ADDRESSES.get(forge)
    if place is None:
        raise typer.BadParameter("is missing: which server is it?", param_hint="--address")
    with opened() as database, user_errors():
        here = team_of(database, team)
        made = register(database, here, name, forge, place, only or (), never or ())
        on_record(database, here, "organisation.add", str(made))
        platform = Platform(load_settings(), database.url)
        try:
            done = enrol(platform, made)
        finally:
            platform.close()
    if as_json:
        data(_shown(done))
    else:
        for source in done.added:
            line(source)
        for repository, reason in done.skipped:
            note(f"left out {repository}: {reason}")
        note(f"{counted(len(done.added), 'source')} added; the platform indexes them while it is up")
    if done.error:
        raise CommandFailed(f"{made} is registered, but was not read to its end: {done.error}")


def _shown(done: "Enrolled") -> dict[str, Any]:
    return {
        "organisation": done.organisation.name,
        "added": done.added,
        "skipped": [{"repository": name, "reason": reason} for name, reason in done.skipped],
        "error": done.error,
    }


@sources.command()
def organisations(team: TeamName = None, as_json: AsJson = False) -> None:
    """List the organisations that are registered."""
    from dataclasses import asdict

    from assets.sweeps.organisations import list_organisations

    with opened() as database:
        here = team_of(database, team)
        found = [one for one in list_organisations(database) if one.team_id == here]
    if as_json:
        data([asdict(one) for one in found])
        return
    table(
        ["organisation", "forge", "address", "only", "never", "problem"],
        [
            [
                one.name,
                one.service,
                one.address,
                ", ".join(one.only) or "all",
                ", ".join(one.never) or "-",
                one.error or "-",
            ]
            for one in found
        ],
        empty="No organisation yet: penstock index add-organisation NAME --forge github",
    )


@sources.command("remove-organisation")
def remove_organisation(name: Name, team: TeamName = None, as_json: AsJson = False) -> None:
    """Add no more repositories of an organisation. Its sources stay."""
    from assets.sweeps.organisations import unregister

    with opened() as database:
        here = team_of(database, team)
        gone = unregister(database, here, name)
        if gone:
            on_record(database, here, "organisation.remove", name)
    if not gone:
        raise CommandFailed(f"no organisation {name} is registered: `penstock index organisations` lists them")
    if as_json:
        data({"organisation": name, "registered": False})
    else:
        line(f"{name}: no more repositories are added")
