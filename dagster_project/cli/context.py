"""`penstock context`: what a model would be shown of a source about a text, within a token budget."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.teams import DEFAULT_TEAM
from dagster_project.cli.index import told
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note
from dagster_project.cli.work import opened


def context(
    name: Annotated[str, typer.Argument(help="The source to read.")],
    query: Annotated[str, typer.Argument(help="What it is about: an issue, a traceback, a question.")],
    budget: Annotated[int, typer.Option(min=50, max=1_000_000, help="Tokens that it may take.")] = 8000,
    as_json: AsJson = False,
) -> None:
    """Print the code that a text is about as Markdown: whole functions, outlines and imports around them."""
    from assets.context.search import context_pack
    from assets.context.sources import find_source
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    with opened() as database, told():
        source = find_source(database, DEFAULT_TEAM, name)
        used = Models(database, settings).in_use()
        try:
            pack = context_pack(
                database, DEFAULT_TEAM, source.name, query, budget, embedders=used.asked, fallback=used.fallback
            )
        except ValueError as error:
            raise CommandFailed(str(error)) from error
    if as_json:
        data({**asdict(pack), "markdown": pack.markdown()})
        return
    line(pack.markdown().rstrip())
    note(f"{pack.tokens} of {budget} tokens, {len(pack.spans)} pieces; no room for {pack.left_out} more places")
