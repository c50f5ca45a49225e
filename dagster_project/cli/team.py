"""`penstock team`: adds, lists, shows and removes teams."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import access_errors, command_user
from dagster_project.cli.output import AsJson, CommandFailed, data, line, table
from dagster_project.cli.task import opened
from dagster_project.cli.team_webhook import webhook

if TYPE_CHECKING:
    from core.access.teams import Team

teams = typer.Typer(name="team", help="Add, list, show and remove teams, and their webhooks.", no_args_is_help=True)
teams.command()(webhook)

Name = Annotated[str, typer.Argument(help="The team's name: letters, digits, '.', '_', '-'.", metavar="NAME")]


@teams.command()
def add(name: Name, as_json: AsJson = False) -> None:
    """Add a team."""
    from core.access.audit import record
    from core.access.teams import add_team

    with access_errors(), opened() as database, database.system() as connection:
        made = add_team(connection, name)
        record(connection, made.id, command_user(), "team.add", made.name)
    if as_json:
        data(asdict(made))
        return
    line(f"added team {made.name}: give it tokens with `penstock token create NAME --team {made.name}`")


@teams.command("list")
def list_(as_json: AsJson = False) -> None:
    """List teams."""
    from core.access.teams import list_teams

    with opened() as database, database.system() as connection:
        found = list_teams(connection)
    if as_json:
        data([asdict(team) for team in found])
        return
    table(
        ["team", "users", "tokens", "sources", "open tasks", "since"],
        [[t.name, t.users, t.tokens, t.sources, t.open_tasks, f"{t.created_at:%Y-%m-%d %H:%M}"] for t in found],
        empty="No team.",
    )


@teams.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one team with its users."""
    from core.access.teams import show_team
    from core.access.users import list_users

    with access_errors(), opened() as database:
        with database.system() as connection:
            team = show_team(connection, name)
        with database.team(team.id) as connection:
            people = list_users(connection)
    if as_json:
        data({**asdict(team), "users": [asdict(person) for person in people]})
        return
    line(f"team        {team.name}")
    line(f"id          {team.id}")
    line(f"since       {team.created_at:%Y-%m-%d %H:%M:%S}")
    line(f"tokens      {team.tokens}")
    line(f"sources     {team.sources}")
    line(f"open tasks  {team.open_tasks}")
    for person in people:
        line(f"user        {person.name} ({person.role})")


@teams.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it without confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a team with its users, tokens and webhooks, unless it has sources or open tasks.

    Its results stay on record.
    """
    from core.access.audit import record
    from core.access.teams import remove_team, show_team
    from core.settings import load_settings
    from core.team_webhooks import remove_secrets

    with access_errors(), opened() as database:
        with database.system() as connection:
            team = show_team(connection, name)
        if not yes:
            _confirm(team)
        with database.system() as connection:
            removed = remove_team(connection, team.name)
            record(connection, removed.id, command_user(), "team.remove", removed.name)
        remove_secrets(load_settings().secrets_folder, removed.id)
    if as_json:
        data({"removed": removed.name, "id": removed.id})
        return
    line(f"removed team {removed.name}")


def _confirm(team: "Team") -> None:
    what = f"team {team.name}, its users ({team.users}) and tokens ({team.tokens})"
    if not sys.stdin.isatty():
        raise CommandFailed(f"this removes {what}: confirm with --yes")
    typer.confirm(f"Remove {what}?", abort=True, err=True)
