"""`penstock eval compare`, `report`, `query` and `calibrate`: evaluates results and checks verdict error rates."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from core.counts import counted
from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.eval_places import result_store


class FailOn(StrEnum):
    NEVER = "never"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


@user_errors
def compare(
    baseline: Annotated[str, typer.Argument(help="A run, or a subject, for its newest run.")],
    candidate: Annotated[str, typer.Argument(help="The run or subject that may replace the baseline.")],
    out: Annotated[
        Path | None, typer.Option(help="Write report.html, report.md, report.json and junit.xml to this folder.")
    ] = None,
    across_versions: Annotated[
        bool, typer.Option("--across-versions", help="Compare the cases that two versions of a set share, by id.")
    ] = False,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit code 1 for `worse`, or for `worse` and `inconclusive`.")
    ] = FailOn.NEVER,
    as_json: AsJson = False,
) -> None:
    """Compare two runs. The verdict on the candidate is better, not worse, worse or inconclusive."""
    from assets.evals.compare.comparison import compare_runs
    from assets.evals.report.formats import parts_of, to_json, to_markdown
    from assets.evals.runs.store import write_whole
    from core.statistics import Verdict

    store = result_store()
    found = compare_runs(
        store, store.resolve(baseline), store.resolve(candidate), across_versions=across_versions
    )  # fmt: skip
    if out is not None:
        for name, content in parts_of(found, store).items():
            write_whole(out / name, content.encode())
    if as_json:
        data(to_json(found))
    else:
        line(to_markdown(found).rstrip())
        if out is not None:
            line(f"\nreport: {(out / 'report.html').resolve()}")
    refused = {
        FailOn.NEVER: set(),
        FailOn.WORSE: {Verdict.WORSE},
        FailOn.INCONCLUSIVE: {Verdict.WORSE, Verdict.INCONCLUSIVE},
    }
    if found.verdict in refused[fail_on]:
        raise typer.Exit(1)


@user_errors
def report(
    name: SetName,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("eval-report.html"),
    as_json: AsJson = False,
) -> None:
    """Write a report of all runs of a set over time, by subject."""
    from assets.evals.report.formats import json_values
    from assets.evals.report.page import set_html
    from assets.evals.report.summary import trend
    from assets.evals.runs.store import write_whole

    found = trend(result_store(), Path(name).name)
    if not found:
        raise CommandFailed(f"no run of {name!r} yet: penstock eval run {name} --subject search")
    if as_json:
        data([json_values(one) for one in found])
        return
    write_whole(out, set_html(Path(name).name, found).encode())
    line(f"{counted(len(found), 'run')}: {out.resolve()}")


@user_errors
def query_results(
    sql: Annotated[str, typer.Argument(help="One SELECT over the table `results`.")], as_json: AsJson = False
) -> None:
    """Query the results in SQL: success, metrics and versions, one row for each run, case and repeat."""
    from assets.evals.runs.query import query

    found = query(result_store(), sql)
    if as_json:
        data([dict(zip(found.columns, row, strict=True)) for row in found.rows])
    else:
        table(found.columns, found.rows, empty="No row of the results matches the query.")
    if found.more:
        note(f"penstock: only the first {len(found.rows)} rows")


@user_errors
def calibrate_verdicts(
    comparisons: Annotated[int, typer.Option(min=50, max=100_000, help="Simulated comparisons per row.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated data.")] = 20_260,
    as_json: AsJson = False,
) -> None:
    """Check with simulated comparisons that verdicts keep their promised error rates. Exit code 1 if they do not."""
    from dataclasses import asdict

    from assets.evals.compare.calibration import calibrate

    found = calibrate(comparisons, seed)
    if as_json:
        data([asdict(one) for one in found])
    else:
        table(
            ["what", "share", "95% interval", "promise", "kept"],
            [[one.name, f"{one.rate:.1%}", f"{one.low:.1%} to {one.high:.1%}", one.promise, "yes" if one.kept else "NO"]
             for one in found],
            empty="",
        )  # fmt: skip
    if not all(one.kept for one in found):
        raise typer.Exit(1)
