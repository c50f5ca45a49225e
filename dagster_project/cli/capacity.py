"""`penstock capacity`: machines for a load of tasks, and what gives out first."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line, table


def capacity(
    tasks_per_hour: Annotated[list[float] | None, typer.Option(help="Load; repeatable. [10, 1000, 100000]")] = None,
    results: Annotated[Path | None, typer.Option(help="A bench-results.json, for this machine's figures.")] = None,
    figure: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER: another figure; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn tasks per hour into machines, and name the bottleneck."""
    from dagster_project.operations.capacity import ASSUMED, BadFigures, Figures, changed, measured
    from dagster_project.operations.capacity import capacity as computed

    try:
        figures = measured(results) if results else Figures()
        pairs = [text.partition("=") for text in figure or ()]
        figures = changed(figures, {name: float(value) for name, _, value in pairs})
        found = [computed(load, figures) for load in tasks_per_hour or (10.0, 1000.0, 100_000.0)]
    except BadFigures as error:
        raise CommandFailed(str(error)) from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--figure") from error
    if as_json:
        data(
            {
                "figures": asdict(figures),
                "assumed": ASSUMED,
                "loads": [
                    {
                        "tasks_per_hour": one.tasks_per_hour,
                        "slots": one.slots,
                        "machines": one.machines,
                        "fits": one.fits,
                        "bottleneck": one.bottleneck.name,
                        "most_tasks_per_hour": one.most_tasks_per_hour,
                        "resources": [{**asdict(r), "needed": r.needed, "fits": r.fits} for r in one.resources],
                    }
                    for one in found
                ],
            }
        )
        return
    for one in found:
        line(f"{one.tasks_per_hour:,.0f} tasks an hour: {one.slots} slots on {one.machines} machines for runs")
        rows = [[r.name, f"{r.needed} {r.unit}", f"{r.load:.2f}", "yes" if r.fits else "no"] for r in one.resources]
        table(["resource", "needed", "load of one", "fits"], rows, empty="")
        most = one.most_tasks_per_hour
        end = "" if one.fits or most is None else f", which ends at {most:,.0f} tasks an hour"
        line(f"bottleneck: {one.bottleneck.name}{end}")
        line()
