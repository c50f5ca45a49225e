"""The asset `plan`: revision 1 of a task's plan."""

import time

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.attempt_run import open_attempt
from assets.partitions import SOURCES
from assets.plans.planner import make_plan
from assets.platform import Platform
from assets.shared.markdown import cell, hypotheses_table, plan_table
from core.work import Budget, Plan, TaskContext


@asset(
    deps=["task_context"],
    partitions_def=SOURCES,
    group_name="tasks",
    kinds={"postgres"},
    description="Goal, hypotheses, typed steps, budget and acceptance criteria of one task.",
)
def plan(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    began = time.monotonic()
    with open_attempt(context, platform) as attempt:
        found = attempt.output("task_context", TaskContext)
        if found is None:
            raise LookupError("no output of the stage task_context is stored for this attempt")
        options = attempt.task.options
        budget = Budget(seconds=min(float(options.get("budget_seconds") or platform.settings.task_seconds), 86_400))
        made = attempt.output("plan", Plan)
        if made is None:
            made = make_plan(
                attempt.task.title, found, budget, engine=str(options.get("engine") or platform.settings.engine)
            )
            attempt.save_plan(made)
            attempt.put_output("plan", made, time.monotonic() - began)
        seconds = time.monotonic() - began
        return MaterializeResult(
            metadata={
                "goal": MetadataValue.text(made.goal),
                "hypotheses": MetadataValue.md(hypotheses_table(made)),
                "steps": MetadataValue.md(plan_table(made)),
                "acceptance": MetadataValue.md("\n".join(f"- {cell(text)}" for text in made.acceptance)),
                "budget_seconds": MetadataValue.float(made.budget.seconds),
                "revision": MetadataValue.int(made.revision),
                "seconds": MetadataValue.float(round(seconds, 3)),
                "context": MetadataValue.asset(AssetKey("task_context")),
                "execution": MetadataValue.asset(AssetKey("execution")),
            }
        )
