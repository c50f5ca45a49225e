"""`penstock audit`: what people and tokens did in a team, and what they were refused."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from dagster_project.cli.access import TeamName, access_errors, team_of
from dagster_project.cli.output import AsJson, data, table
from dagster_project.cli.task import opened


def audit(
    since: Annotated[
        str | None, typer.Option(help="Only entries of this period (12h, 90d), or from this date (2030-01-31) on.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of entries.")] = 100,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries before the one with this id.")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Show a team's audit log, newest first. Entries cannot be changed or deleted."""
    from core.access.audit import list_entries
    from core.access.names import moment

    with access_errors(), opened() as database:
        start = moment(since, "--since", datetime.now(UTC), past=True) if since is not None else None
        with database.team(team_of(database, team)) as connection:
            found = list_entries(connection, since=start, before=before, limit=limit)
    if as_json:
        data([asdict(entry) for entry in found])
        return
    table(
        ["id", "at", "who", "what", "on", "outcome", "detail"],
        [
            [
                e.id,
                f"{e.at:%Y-%m-%d %H:%M:%S}",
                f"{e.actor_kind} {e.actor}" + (f" of {e.person}" if e.person else ""),
                e.action,
                e.subject,
                e.outcome,
                e.detail or "",
            ]
            for e in found
        ],
        empty="Nothing is on record.",
    )
