"""`penstock search`: the places of a source that are relevant to a text."""

from typing import Annotated

import typer

from dagster_project.cli.access import TeamName
from dagster_project.cli.output import AsJson, data, table
from dagster_project.cli.source_errors import opened_source

MOST_FOUND = 1000


def search(
    name: Annotated[str, typer.Argument(help="The source to search.")],
    query: Annotated[str, typer.Argument(help="Words, identifiers, a traceback or an error message.")],
    k: Annotated[int, typer.Option("-k", min=1, max=MOST_FOUND, help="Number of results.")] = 10,
    files: Annotated[bool, typer.Option("--files", help="Rank files, each once with its best place.")] = False,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Find the places in a source that are relevant to a text, or the files with --files."""
    from assets.context.models.model_vectors import note_query
    from assets.context.search import search as search_index
    from assets.context.search import search_files
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    with opened_source(name, team) as at:
        used = Models(at.database, settings).in_use()
        ask = search_files if files else search_index
        places = ask(at.database, at.team, at.source.name, query, k, embedders=used.asked, fallback=used.draining)
        note_query(at.database, at.team, at.source.name, query)
    if as_json:
        data([place.model_dump(mode="json") for place in places])
        return
    table(
        ["file", "best lines", "symbol", "score", "why"] if files else ["place", "symbol", "score", "why"],
        [
            [
                *([p.path, f"{p.start_line}-{p.end_line}"] if files else [f"{p.path}:{p.start_line}-{p.end_line}"]),
                p.symbol,
                f"{p.score:.3f}",
                "; ".join(f"{r.signal} {r.contribution:.3f}" for r in sorted(p.why, key=lambda r: -r.contribution)[:3]),
            ]
            for p in places
        ],
        empty="Nothing found. Is the source indexed? penstock index status",
    )
