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
        options, settings = attempt.task.options, platform.settings
        engine = str(options.get("engine") or settings.engine)
        budget = Budget(seconds=min(float(options.get("budget_seconds") or settings.task_seconds), 86_400))
        if engine != "search":
            most = {"actions": settings.chat_steps, "tokens": settings.chat_tokens, "money": settings.chat_money}
            budget = budget.model_copy(update=most)
        made = attempt.output("plan", Plan)
        if made is None:
            made = make_plan(attempt.task.title, found, budget, engine=engine)
            attempt.save_plan(made)
            attempt.put_output("plan", made, time.monotonic() - began)
        seconds = time.monotonic() - began
        return MaterializeResult(
            metadata={
                "goal": MetadataValue.text(made.goal),
                "hypotheses": MetadataValue.md(hypotheses_table(made)),
                "steps": MetadataValue.md(plan_table(made)),
                "acceptance": MetadataValue.md("\n".join(f"- {cell(text)}" for text in made.acceptance)),
                "budget": MetadataValue.json(made.budget.model_dump(exclude_none=True)),
                "revision": MetadataValue.int(made.revision),
                "seconds": MetadataValue.float(round(seconds, 3)),
                "context": MetadataValue.asset(AssetKey("task_context")),
                "execution": MetadataValue.asset(AssetKey("execution")),
            }
        )
