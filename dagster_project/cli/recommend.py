"""`penstock models recommend`: which embedding model finds most in the user's own sources."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assets.migrations.gate.recommend import Recommendation


def recommend(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Models to measure. By default all on this machine; one on a server is measured only if named, since "
            "it reads your texts and may cost money.",
        ),
    ] = None,
    queries: Annotated[int, typer.Option(min=20, max=2000, help="Maximum number of past commits to ask about.")] = 200,
    chunks: Annotated[
        int, typer.Option(min=100, max=100_000, help="Maximum number of chunks to embed with each model.")
    ] = 3000,
    as_json: AsJson = False,
) -> None:
    """Measure which embedding model finds most in your own sources, by the messages of their past commits."""
    from assets.migrations.gate.recommend import WORDS_ALONE
    from assets.migrations.gate.recommend import recommend as measure
    from assets.platform import Platform
    from core.embedding import BUILT_IN, EmbedderUnavailable, Served, catalogue, described, find_spec, open_spec
    from core.embedding.serving import Models
    from core.settings import load_settings

    settings = load_settings()
    folder, threads = settings.models_folder, settings.embedding_threads
    with opened() as database, Progress(quiet=as_json) as step:
        Models(database, settings).in_use()
        with database.system() as connection:
            entries = {one.name: one for one in catalogue.entries(connection) if one.state != "retired"}
        serving = next((name for name, one in entries.items() if one.state == "serving"), WORDS_ALONE)
        specs = {name: one.description() for name, one in entries.items()}
        for name in names or (*BUILT_IN, *described(folder)):
            if name not in specs:
                try:
                    specs[name] = find_spec(name, folder)
                except EmbedderUnavailable as error:
                    raise CommandFailed(str(error)) from error
        chosen = {
            name: spec
            for name, spec in specs.items()
            if name == serving or (name in names if names else not isinstance(spec, Served))
        }
        platform = Platform(settings, database.url)
        try:
            opens = {name: partial(open_spec, spec, threads=threads) for name, spec in chosen.items()}
            found = measure(database, platform.mirror, opens, serving, queries=queries, chunks=chunks, step=step)
        finally:
            platform.close()
    if as_json:
        data(asdict(found))
        return
    _show_recommendation(found, sorted(set(specs) - set(chosen)))


def _show_recommendation(found: "Recommendation", not_asked: "Sequence[str]") -> None:
    def number(value: float | None, form: str = ".3f") -> str:
        return "-" if value is None else format(value, form)

    ranked = sorted(found.measured, key=lambda one: -(one.ndcg or -1.0))
    table(
        ["model", "nDCG@10", "against today", "95% interval", "vectors alone", "chunks/s", "query p95"],
        [
            [
                one.name,
                number(one.ndcg),
                "today" if one.name == found.present else number(one.difference, "+.3f"),
                "-" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}",
                number(one.alone),
                number(one.chunks_per_second, ",.0f"),
                "-" if one.query_p95_ms is None else f"{one.query_p95_ms:.1f} ms",
            ]
            for one in ranked
            if not one.problem
        ],
        empty="No model could be measured.",
    )
    line()
    line(
        f"Keep {found.name}: {found.because}." if found.name == found.present else f"Use {found.name}: {found.because}."
    )
    note(
        f"{found.queries} messages of past commits as queries over {found.chunks:,} chunks; BM25 alone: "
        f"{number(found.bm25)}"
    )
    for one in found.measured:
        if one.problem:
            note(f"{one.name} was not measured: {one.problem}")
    if found.sampled:
        note(f"only some files were searched of {', '.join(found.sampled)}: --chunks raises the limit")
    if not_asked:
        note(f"on a server, so measured only if named: {', '.join(not_asked)}")
    if found.name not in (found.present, "no model"):
        note(f"penstock migrate plan --to {found.name} estimates the change, and the gate compares again before it")
