"""`penstock team webhook`: the addresses and secrets of a team's webhooks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import access_errors, on_record
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from core.access.teams import Team
    from core.database import Database
    from core.settings import Settings

MOST_GIVEN = 1000


def webhook(
    name: Annotated[str, typer.Argument(help="The team's name.", metavar="NAME")],
    sender: Annotated[
        str | None,
        typer.Argument(
            help="github, gitlab, gitea, bitbucket, jira, linear or generic; without one, all are listed.",
            metavar="[SENDER]",
        ),
    ] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new secret; the one before stays valid too.")
    ] = False,
    given: Annotated[
        bool, typer.Option("--given", help="Take the new secret from standard input, as Linear makes its own.")
    ] = False,
    end_former: Annotated[bool, typer.Option("--end-former", help="End the secret before the newest one.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the webhook's secrets: nothing is accepted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the address of a team's webhook, and make its secret if there is none.

    A gateway takes a changed secret within five seconds.
    """
    from core.settings import load_settings
    from core.teams import DEFAULT_TEAM

    if sum((rotate or given, end_former, remove)) > 1:
        raise typer.BadParameter("--rotate or --given, --end-former and --remove exclude one another")
    if sender is None and (rotate or given or end_former or remove):
        raise typer.BadParameter("say which sender", param_hint="SENDER")
    secret = _given() if given else None
    with access_errors(), opened() as database:
        team, settings = _team(database, name), load_settings()
        if team.id == DEFAULT_TEAM:
            raise CommandFailed(
                "the default team's webhooks are at /webhooks/SENDER; their secrets are settings, or the files "
                f"{settings.secrets_folder}/SENDER-webhook-secret"
            )
        if sender is None:
            _list(settings, team, as_json)
        elif remove or end_former:
            _end(database, settings, team, sender, remove, as_json)
        else:
            _make(database, settings, team, sender, rotate or given, secret, as_json)


def _team(database: "Database", name: str) -> "Team":
    from core.access.teams import show_team

    with database.system() as connection:
        return show_team(connection, name)


def _given() -> str:
    if sys.stdin.isatty():
        note("the secret, then Enter and Ctrl-D:")
    return sys.stdin.read(MOST_GIVEN + 1).strip()


def _address(team: "Team", sender: str) -> str:
    return f"/webhooks/{team.name}/{sender}"


def _list(settings: "Settings", team: "Team", as_json: bool) -> None:
    from core.team_webhooks import read_secrets, senders_of

    with _secrets_errors():
        folder = settings.secrets_folder
        found = {sender: len(read_secrets(folder, team.id, sender)) for sender in senders_of(folder, team.id)}
    if as_json:
        data([{"sender": one, "address": _address(team, one), "secrets": many} for one, many in found.items()])
        return
    table(
        ["sender", "address", "secrets"],
        [[one, _address(team, one), many] for one, many in found.items()],
        empty=f"No webhook: penstock team webhook {team.name} SENDER",
    )


def _make(
    database: "Database",
    settings: "Settings",
    team: "Team",
    sender: str,
    anew: bool,
    secret: str | None,
    as_json: bool,
) -> None:
    from core.team_webhooks import add_secret, read_secrets

    with _secrets_errors():
        held = read_secrets(settings.secrets_folder, team.id, sender)
        made, before = None, True
        if sender == "linear" and secret is None and (anew or not held):
            raise CommandFailed(
                "Linear makes the secret itself: make the webhook there, for the address "
                f"{_address(team, sender)} of the gateway, then give its signing secret to "
                f"`penstock team webhook {team.name} linear --given`"
            )
        if anew or not held:
            made, before = add_secret(settings.secrets_folder, team.id, sender, secret)
    if made is not None:
        on_record(database, team.id, "webhook.rotate" if before else "webhook.add", sender)
    if as_json:
        data({"team": team.name, "sender": sender, "address": _address(team, sender), "secret": made})
        return
    line(f"address  POST {_address(team, sender)} at the gateway's public address")
    if made is None:
        line("secret   unchanged; --rotate makes another")
        return
    line(f"secret   {made}")
    if before:
        note(f"the secret before stays valid until `penstock team webhook {team.name} {sender} --end-former`")


def _end(database: "Database", settings: "Settings", team: "Team", sender: str, remove: bool, as_json: bool) -> None:
    from core.team_webhooks import end_former, remove_secrets

    with _secrets_errors():
        act = remove_secrets if remove else end_former
        done = act(settings.secrets_folder, team.id, sender)
    if done:
        on_record(database, team.id, "webhook.remove" if remove else "webhook.end-former", sender)
    if as_json:
        data({"team": team.name, "sender": sender, "ended": done})
        return
    what = "its secrets are removed" if remove else "only the newest secret is valid"
    line(f"{_address(team, sender)}: {what if done else 'there was nothing to end'}")


@contextmanager
def _secrets_errors() -> Iterator[None]:
    from core.credentials import CredentialsError

    try:
        yield
    except CredentialsError as error:
        raise CommandFailed(str(error)) from error
