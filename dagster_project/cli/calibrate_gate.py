"""`penstock migrate calibrate`: measures the migration gate's error rates on simulated migrations."""

from typing import Annotated

import typer

from dagster_project.cli.output import AsJson, Progress, data, note, table


def calibrate(
    simulated: Annotated[int, typer.Option("--migrations", min=20, max=100_000, help="Number of each kind.")] = 500,
    loss: Annotated[float, typer.Option(min=0.005, max=0.4, help="The simulated loss of nDCG.")] = 0.05,
    margin: Annotated[float, typer.Option(min=0.005, max=0.4, help="The gate's margin.")] = 0.03,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure on simulated migrations how often the gate errs and what it detects. Exit code 1 if it errs more often
    than stated."""
    from assets.migrations.gate.calibration import calibrate as simulate

    with Progress(quiet=as_json) as step:
        found = simulate(simulated, loss=loss, margin=margin, seed=seed, tell=step)
    if as_json:
        data(found.as_dict())
    else:
        note(f"{found.migrations} migrations of each kind, {found.queries} queries each, margin {found.margin:g}")
        table(
            ["of migrations with", "share", "95% interval", "stated", "kept"],
            [
                [
                    rate.name,
                    f"{rate.rate:.3f}",
                    f"{rate.low:.3f} to {rate.high:.3f}",
                    f"{'at most' if rate.at_most else 'at least'} {rate.bound:g}",
                    "holds" if rate.holds else "FAILS",
                ]
                for rate in found.rates
            ],
            empty="",
        )
    if not found.holds:
        raise typer.Exit(1)
