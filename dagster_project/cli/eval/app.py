"""`penstock eval`: runs sets, compares runs, and decides whether a change is safe."""

import typer

from dagster_project.cli.eval import cases, defaults, harvest, released, reports, runs, sets, trend

evals = typer.Typer(
    name="eval", help="Regression evals: run sets of tasks, and compare a candidate with a baseline.",
    no_args_is_help=True,
)  # fmt: skip
evals.command("sets")(sets.sets)
evals.command("seal")(sets.seal_set)
evals.command("add")(sets.add)
evals.command("check-cases")(cases.check_cases)
evals.command("harvest")(harvest.harvest_case)
evals.command("find-fixes")(released.find_fixes)
evals.command("check-fixes")(released.check_fixes)
evals.command("find-later")(released.find_later)
evals.command("run")(runs.run)
evals.command("runs")(runs.runs)
evals.command("compare")(reports.compare)
evals.command("report")(reports.report)
evals.command("trend")(trend.show_trend)
evals.command("query")(reports.query_results)
evals.command("calibrate")(reports.calibrate_verdicts)
evals.command("promote")(defaults.promote_candidate)
evals.command("rollback")(defaults.roll_back_default)
evals.command("demote", hidden=True)(defaults.roll_back_default)
evals.command("defaults")(defaults.show_defaults)
