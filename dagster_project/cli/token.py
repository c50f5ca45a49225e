"""`penstock token`: creates, lists and revokes the API tokens of a team."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from core.access.roles import Role
from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import AsJson, data, line, note, table
from dagster_project.cli.task import opened

tokens = typer.Typer(name="token", help="Create, list and revoke API tokens.", no_args_is_help=True)


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(help="What the token is for, for example ci.", metavar="NAME")],
    role: Annotated[
        Role | None, typer.Option(help="What the token allows; by default its user's role, or viewer.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="The user whose token it is: it never allows more than their role.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 12h, 90d, or a date as 2030-01-31; by default never.")
    ] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it. It cannot be shown again: only its hash is stored."""
    from core.access.audit import audited
    from core.access.names import moment
    from core.access.tokens import create_token

    with access_errors(), opened() as database:
        end = moment(expires, "--expires", datetime.now(UTC), past=False) if expires is not None else None
        here = team_of(database, team)
        with audited(database, here, command_user(), "token.create", name) as connection:
            made, secret = create_token(connection, here, name, role=role, user=user, expires_at=end)
    if as_json:
        data({**asdict(made), "token": secret})
        return
    line(secret)
    ending = f" until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    note(f"token {made.name} ({made.role}{ending}), id {made.id}; it is shown this once")


@tokens.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are expired or revoked.")] = False,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """List a team's tokens, oldest first."""
    from core.access.tokens import list_tokens

    with opened() as database, database.team(team_of(database, team)) as connection:
        found = list_tokens(connection, everything=everything)
    if as_json:
        data([asdict(token) for token in found])
        return
    table(
        ["id", "name", "role", "user", "state", "created", "expires", "last used"],
        [
            [t.id, t.name, t.role, t.user or "-", t.state, *map(_day, (t.created_at, t.expires_at, t.last_used_at))]
            for t in found
        ],
        empty="No valid token: penstock token create NAME",
    )


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


@tokens.command()
def revoke(
    token: Annotated[
        str, typer.Argument(help="The token's name, its id, or the first characters of that.", metavar="TOKEN")
    ],
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a token: from now on it is refused."""
    from core.access.audit import audited
    from core.access.tokens import find_token, revoke_token

    with access_errors(), opened() as database:
        here = team_of(database, team)
        with audited(database, here, command_user(), "token.revoke", _unsecret(token)) as connection:
            revoked = revoke_token(connection, find_token(connection, token).id)
    if as_json:
        data(asdict(revoked))
        return
    line(f"revoked {revoked.name}, id {revoked.id}")


def _unsecret(text: str) -> str:
    """What was given to name a token, without a token that was given by mistake."""
    from core.credentials import TOKEN_PREFIX

    return f"{TOKEN_PREFIX}…" if text.startswith(TOKEN_PREFIX) else text
