"""`penstock context`: the code of a source that is relevant to a text, within a token budget for a model."""

from dataclasses import asdict
from typing import Annotated

import typer

from dagster_project.cli.access import TeamName
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note
from dagster_project.cli.source_errors import opened_source


def context(
    name: Annotated[str, typer.Argument(help="The source to read.")],
    query: Annotated[str, typer.Argument(help="The text: an issue, a traceback, a question.")],
    budget: Annotated[int, typer.Option(min=50, max=1_000_000, help="Maximum number of tokens.")] = 8000,
    tickets: Annotated[int, typer.Option(min=0, max=20, help="Maximum number of similar tickets to quote.")] = 3,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Print a source's code that is relevant to a text, and similar tickets, as Markdown."""
    from assets.context.search import context_pack
    from assets.context.tickets.search import search_tickets
    from assets.context.tickets.similar import ticket_quotes
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    with opened_source(name, team) as at:
        used = Models(at.database, settings).in_use()
        similar = search_tickets(at.database, at.team, at.source.name, query, tickets, embedders=used.asked)
        try:
            pack = context_pack(
                at.database,
                at.team,
                at.source.name,
                query,
                budget,
                quotes=ticket_quotes(similar),
                embedders=used.asked,
                fallback=used.draining,
            )
        except ValueError as error:
            raise CommandFailed(str(error)) from error
    if as_json:
        data({**asdict(pack), "markdown": pack.markdown()})
        return
    line(pack.markdown().rstrip())
    note(
        f"{pack.tokens} of {budget} tokens, {len(pack.quotes)} tickets, {len(pack.spans)} code excerpts; "
        f"{pack.left_out} more places did not fit"
    )
