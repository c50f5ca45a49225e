"""What commands share about access: the option `--team`, who runs the command, and errors as commands report them."""

import os
import pwd
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import CommandFailed

if TYPE_CHECKING:
    from core.access.audit import Actor
    from core.database import Database

TeamName = Annotated[
    str | None,
    typer.Option("--team", metavar="NAME", help="Act for this team; by default for PENSTOCK_TEAM, else for `default`."),
]


def team_of(database: "Database", name: str | None) -> uuid.UUID:
    """The team that a command acts for: the named one, or that of the settings. Raises `CommandFailed` for an unknown
    one, and `typer.BadParameter` for what cannot be a team's name."""
    from core.access.teams import team_id
    from core.settings import load_settings

    wanted = name if name is not None else load_settings().team
    with access_errors("--team" if name is not None else "PENSTOCK_TEAM"), database.system() as connection:
        return team_id(connection, wanted)


def on_record(database: "Database", team: uuid.UUID, action: str, subject: str) -> None:
    """Adds what a command has just done to the audit log, if that has its own transactions."""
    from core.access.audit import record

    with database.team(team) as connection:
        record(connection, team, command_user(), action, subject)


@contextmanager
def access_errors(parameter: str | None = None) -> Iterator[None]:
    """Turns errors of `core.access` into those of commands: wrong usage (`parameter` names what was wrong), or a
    failure."""
    from core.access.errors import AccessError, BadName

    try:
        yield
    except BadName as error:
        field = error.field if error.field.startswith("-") else error.field.upper()
        raise typer.BadParameter(str(error), param_hint=parameter or field) from error
    except AccessError as error:
        raise CommandFailed(str(error)) from error


def command_user() -> "Actor":
    """Who runs the command, for the audit log: the user of the process, whatever the environment says."""
    from core.access.audit import Actor

    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        name = f"uid {number}"
    return Actor("cli", name, str(number))
