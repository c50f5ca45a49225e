"""`penstock service`: runs the platform as a service of systemd."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.output import CommandFailed, line, note

services = typer.Typer(no_args_is_help=True, help="Run the platform as a service of systemd.")

UNIT = "penstock.service"


@services.callback()
def group() -> None:
    pass


@services.command()
def install(
    show: Annotated[bool, typer.Option("--print", help="Print the unit, and write nothing.")] = False,
    system: Annotated[
        bool, typer.Option("--system/--user", help="For the whole machine; by default so for root, else for you.")
    ] = os.geteuid() == 0,
) -> None:
    """Write a unit file that starts this Penstock on this home folder, and say how to enable it."""
    from core.settings import load_settings
    from dagster_project.systemd import unit

    settings = load_settings()
    variables = {"PENSTOCK_HOME": str(settings.home), "PATH": os.environ.get("PATH", os.defpath)}
    if config := os.environ.get("PENSTOCK_CONFIG"):
        variables["PENSTOCK_CONFIG"] = str(Path(config).absolute())
    try:
        text = unit(Path(sys.executable), variables, system=system)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    if show:
        line(text.rstrip())
        return
    folder = Path("/etc/systemd/system") if system else Path.home() / ".config" / "systemd" / "user"
    path = folder / UNIT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"the unit cannot be written to {path}: {error.strerror}") from error
    scope = "" if system else " --user"
    note(f"wrote {path}. A service sees no variables of your shell: settings belong in {settings.home}/settings.toml")
    line(f"systemctl{scope} daemon-reload")
    line(f"systemctl{scope} enable --now {UNIT}")
    if not system:
        line("loginctl enable-linger    # so that it runs while you are not logged in")
