"""`penstock eval`: run sets, compare runs, and say whether a change is safe."""

import typer

from dagster_project.cli.eval import (
    defaults as eval_defaults,
)
from dagster_project.cli.eval import (
    harvest as eval_harvest,
)
from dagster_project.cli.eval import (
    released as eval_released,
)
from dagster_project.cli.eval import (
    reports as eval_reports,
)
from dagster_project.cli.eval import (
    runs as eval_runs,
)
from dagster_project.cli.eval import (
    sets as eval_sets,
)
from dagster_project.cli.eval import (
    trend as eval_trend,
)

evals = typer.Typer(
    name="eval", help="Regression evals: run sets of tasks, and compare a candidate with a baseline.",
    no_args_is_help=True,
)  # fmt: skip
evals.command("sets")(eval_sets.sets)
evals.command("seal")(eval_sets.seal_set)
evals.command("add")(eval_sets.add)
evals.command("harvest")(eval_harvest.harvest_case)
evals.command("find-fixes")(eval_released.find_fixes)
evals.command("check-fixes")(eval_released.check_fixes)
evals.command("run")(eval_runs.run)
evals.command("runs")(eval_runs.runs)
evals.command("compare")(eval_reports.compare)
evals.command("report")(eval_reports.report)
evals.command("trend")(eval_trend.show_trend)
evals.command("query")(eval_reports.query_results)
evals.command("calibrate")(eval_reports.calibrate_verdicts)
evals.command("promote")(eval_defaults.promote_candidate)
evals.command("rollback")(eval_defaults.roll_back_default)
evals.command("demote", hidden=True)(eval_defaults.roll_back_default)
evals.command("defaults")(eval_defaults.show_defaults)
