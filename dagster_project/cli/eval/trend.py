"""`penstock eval trend`: the results of subjects on a set over time, and whether the newest run has drifted."""

from typing import Annotated, Any

import typer

from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.eval_places import result_store

_MEANS = ("iterations", "code_lines", "tokens", "seconds")


@user_errors
def show_trend(
    name: SetName,
    subject: Annotated[str | None, typer.Option(help="Only subjects whose name contains this text.")] = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of runs per subject.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show success, iterations and code size by run. Exit code 1 if the newest run of a subject has drifted."""
    from pathlib import Path

    from assets.evals.report.trends import lines

    found = [one for one in lines(result_store(), Path(name).name) if subject is None or subject in one.subject]
    if not found:
        raise CommandFailed(f"no matching run of {name!r} yet: penstock eval run {name} --subject search")
    drifted = [one for one in found if one.drift.drifted]
    rows: list[dict[str, Any]] = [
        {
            "started": run.record.started.isoformat(timespec="minutes"),
            "subject": one.subject,
            "model": one.model,
            "version": one.set_version,
            "run": run.record.run,
            "success": run.success,
            "low": run.interval.low if run.interval else None,
            "high": run.interval.high if run.interval else None,
            **{mean: run.means.get(mean) for mean in _MEANS},
            "drifted": one.drift.drifted if run is one.newest else None,
        }
        for one in found
        for run in one.runs[-last:]
    ]
    if as_json:
        data(rows)
    else:
        table(
            [
                "started",
                "subject",
                "model",
                "set",
                "success",
                "95% interval",
                "iterations",
                "code",
                "tokens",
                "seconds",
                "drift",
            ],
            [_cells(row) for row in rows],
            empty="",
        )
        for one in found:
            if len(one.runs) > 1:
                note(f"{one.subject} on {name} {one.set_version}: {one.sparkline}  ({len(one.runs)} runs)")
        for one in drifted:
            line(f"DRIFTED: {one.drift.sentence}")
    if drifted:
        raise typer.Exit(1)


def _cells(row: dict[str, Any]) -> list[str]:
    success = "" if row["success"] is None else f"{row['success']:.1%}"
    interval = "" if row["low"] is None else f"{100 * row['low']:.0f} to {100 * row['high']:.0f}%"
    means = [
        "" if row[name] is None else f"{row[name]:.3g}" if row[name] < 1000 else f"{row[name]:,.0f}" for name in _MEANS
    ]
    model = row["model"].partition("@sha256:")[0]
    began = row["started"][:16].replace("T", " ")
    return [
        began,
        row["subject"],
        model,
        row["version"],
        success,
        interval,
        *means,
        "drifted" if row["drifted"] else "",
    ]
