"""`penstock doctor --production`: what would hurt, with remedies."""

import os
from dataclasses import asdict

import typer

from dagster_project.cli.output import data, line, table


def show_production(as_json: bool) -> None:
    """Prints every finding, the worst first. Raises `typer.Exit` with code 1 if one would hurt."""
    from core.settings import load_settings
    from dagster_project.operations.production import State, gather, judge

    settings = load_settings()
    found = judge(settings, gather(settings, os.environ))
    hurts = sum(one.state == State.HURTS for one in found)
    if as_json:
        data({"ready": not hurts, "checks": [asdict(one) for one in found]})
    else:
        table(["check", "state", "detail", "remedy"], [[o.name, o.state, o.detail, o.remedy] for o in found], empty="")
        line()
        line(f"{hurts} of {len(found)} would hurt in production" if hurts else "nothing found that would hurt")
    if hurts:
        raise typer.Exit(1)
