"""`penstock ledger`: what became of every accepted delivery."""

from typing import Annotated

import typer

from dagster_project.cli.access import TeamName, team_of
from dagster_project.cli.output import AsJson, CommandFailed, data, line, table
from dagster_project.cli.task import opened


def ledger(
    days: Annotated[
        float | None, typer.Option(min=0.01, max=36_500, help="Only deliveries of this many days; by default all.")
    ] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Account for every accepted delivery. Exit code 1 if one is lost."""
    from datetime import timedelta

    from core.health.ledger import read_ledger

    with opened() as database, database.team(team_of(database, team)) as connection:
        found = read_ledger(connection, timedelta(days=days) if days is not None else None)
    if as_json:
        data(
            {
                "accepted": found.accepted,
                "outcomes": found.outcomes,
                "duplicates": found.duplicates,
                "without_outcome_event": found.without_outcome,
                "balanced": found.balanced,
                "senders": [
                    {"sender": sender, "outcome": outcome, "deliveries": count}
                    for (sender, outcome), count in found.entries.items()
                ],
            }
        )
    else:
        senders = sorted({sender for sender, _ in found.entries})
        table(
            ["outcome", *senders, "all"],
            [
                [outcome, *(found.entries.get((sender, outcome), 0) for sender in senders), count]
                for outcome, count in found.outcomes.items()
            ],
            empty="No delivery has been accepted yet.",
        )
        line(f"accepted {found.accepted}, and {found.duplicates} repeats of them")
    if not found.balanced:
        raise CommandFailed(
            f"{found.lost} deliveries are lost, {found.without_outcome} attempts of the last day ended without an "
            "outcome event: please report it, with `penstock doctor --json`"
        )
