"""`penstock open`: a one-time link with which a browser signs in."""

from typing import Annotated

import typer

from core.access.roles import Role
from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import AsJson, data, line, note
from dagster_project.cli.task import opened


def open_page(
    user: Annotated[
        str | None, typer.Option(help="The user of the team who signs in; by default you, as no user.")
    ] = None,
    role: Annotated[
        Role | None, typer.Option(help="What the session allows; by default its user's role, or operator.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the browser finds the gateway, such as https://penstock.example.org; by default "
            "the address that the gateway of this machine has."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Only print the link, and start no browser.")] = False,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Sign in to the web pages: open a link in the browser that works once, within ten minutes."""
    from core.access.audit import audited
    from core.access.errors import BadName
    from core.access.links import make_link
    from core.access.users import find_user

    base = _address(address)
    with access_errors(), opened() as database:
        here = team_of(database, team)
        actor = command_user()
        with audited(database, here, actor, "session.link", user or actor.name) as connection:
            found = find_user(connection, user) if user is not None else None
            if found and role and not Role(found.role).allows(role):
                raise BadName("role", f"{found.name} has the role {found.role}: a session of theirs cannot have {role}")
            allowed = role or (Role(found.role) if found else Role.OPERATOR)
            name = found.name if found else actor.name
            code, expires = make_link(connection, here, name, allowed, found)
    link = f"{base}/web/sign-in?code={code}"
    if as_json:
        data({"link": link, "person": name, "role": allowed, "expires_at": expires})
        return
    line(link)
    note(f"signs in as {name} ({allowed}), once, until {expires:%H:%M} UTC")
    if not show and _has_screen():
        import webbrowser

        webbrowser.open(link)


def _address(given: str | None) -> str:
    """The gateway's address, as a browser reaches it. Raises `typer.BadParameter`."""
    from urllib.parse import urlsplit

    from core.settings import load_settings
    from dagster_project.records import running_platform

    if given is not None:
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise typer.BadParameter("give an address as https://penstock.example.org", param_hint="--address")
        return given.rstrip("/")
    settings = load_settings()
    running = running_platform(settings)
    if running is not None:
        return str(running["gateway"]).rstrip("/")
    return f"http://{settings.gateway_host}:{settings.gateway_port}"


def _has_screen() -> bool:
    """Whether a browser that is started here would be seen."""
    import os
    import sys

    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
