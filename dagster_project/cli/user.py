"""`penstock user`: the users of a team and their roles."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.access.roles import Role
from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import AsJson, data, line, table
from dagster_project.cli.task import opened

users = typer.Typer(
    name="user", help="Add, list and remove the users of a team, and set their roles.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The user's name or e-mail address.", metavar="USER")]


@users.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.VIEWER,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Add a user to a team."""
    from core.access.audit import audited
    from core.access.users import add_user

    with access_errors(), opened() as database:
        here = team_of(database, team)
        with audited(database, here, command_user(), "user.add", f"{name} as {role}") as connection:
            made = add_user(connection, here, name, role)
    if as_json:
        data(asdict(made))
        return
    line(f"added {made.name} as {made.role}")


@users.command("list")
def list_(team: TeamName = None, as_json: AsJson = False) -> None:
    """List the users of a team."""
    from core.access.users import list_users

    with opened() as database, database.team(team_of(database, team)) as connection:
        found = list_users(connection)
    if as_json:
        data([asdict(user) for user in found])
        return
    table(
        ["user", "role", "tokens", "since"],
        [[u.name, u.role, u.tokens, f"{u.created_at:%Y-%m-%d %H:%M}"] for u in found],
        empty="No user yet: penstock user add NAME --role operator",
    )


@users.command()
def role(
    name: Name,
    new: Annotated[Role, typer.Argument(help="What the user may do from now on.", metavar="ROLE")],
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Set a user's role: viewer, operator or admin. Their tokens allow no more than it."""
    from core.access.audit import audited
    from core.access.users import set_role

    with access_errors(), opened() as database:
        here = team_of(database, team)
        with audited(database, here, command_user(), "user.role", f"{name} to {new}") as connection:
            changed = set_role(connection, name, new)
    if as_json:
        data(asdict(changed))
        return
    line(f"{changed.name} is {changed.role} now")


@users.command()
def remove(name: Name, team: TeamName = None, as_json: AsJson = False) -> None:
    """Remove a user from a team, with all their tokens."""
    from core.access.audit import audited
    from core.access.users import remove_user

    with access_errors(), opened() as database:
        here = team_of(database, team)
        with audited(database, here, command_user(), "user.remove", name) as connection:
            removed = remove_user(connection, name)
    if as_json:
        data({"removed": removed.name, "tokens": removed.tokens})
        return
    line(f"removed {removed.name} and {removed.tokens} token{'' if removed.tokens == 1 else 's'}")
