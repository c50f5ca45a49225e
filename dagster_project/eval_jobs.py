"""Jobs of evals: a set on demand or every night as the baseline, and the comparison of two runs.

The nightly schedule is off until someone turns it on, since a set may take an hour of the machine.
"""

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    MultiPartitionKey,
    RunRequest,
    ScheduleEvaluationContext,
    define_asset_job,
    in_process_executor,
    job,
    schedule,
)

from assets.evals.assets import SETS, SUBJECTS
from assets.evals.bench import EvalBench
from assets.evals.default_assets import take_promotion_back

BASELINES = (("repair", "search"),)
"""Sets and subjects that are run every night."""

run_evals = define_asset_job(
    "run_evals",
    selection=AssetSelection.assets("eval_cases", "eval_results"),
    executor_def=in_process_executor,
    description="Runs a subject over an eval set.",
)

compare_evals = define_asset_job(
    "compare_evals",
    selection=AssetSelection.assets("eval_pair", "eval_comparison"),
    executor_def=in_process_executor,
    description="Says whether one run's subject may replace another's.",
)

promote_default = define_asset_job(
    "promote_default",
    selection=AssetSelection.assets("platform_default"),
    executor_def=in_process_executor,
    description="Makes the candidate of a comparison the default of new tasks, if its verdict allows it.",
)


@job(executor_def=in_process_executor, description="Takes the promotion in force back.")
def roll_back_default() -> None:
    take_promotion_back()


@schedule(job=run_evals, cron_schedule="23 1 * * *", default_status=DefaultScheduleStatus.STOPPED)
def eval_baseline_nightly(context: ScheduleEvaluationContext) -> list[RunRequest]:
    """The baseline, once a night, so that its drift is seen before a candidate is blamed for it."""
    instance = context.instance
    at = context.scheduled_execution_time.strftime("%Y%m%d")
    for definition, names in ((SETS, {s for s, _ in BASELINES}), (SUBJECTS, {s for _, s in BASELINES})):
        instance.add_dynamic_partitions(definition.name or "", sorted(names))
    return [
        RunRequest(
            run_key=f"{set_name}|{subject}|{at}",
            partition_key=MultiPartitionKey({"set": set_name, "subject": subject}),
            run_config={"ops": {"eval_results": {"config": {"run": f"nightly-{set_name}-{subject}-{at}"}}}},
        )
        for set_name, subject in BASELINES
    ]


def open_bench() -> EvalBench:
    """Results, sets and subjects of this installation."""
    from dagster_project.eval_defaults import gone_since, who
    from dagster_project.eval_places import code_commit, find_set, result_store
    from dagster_project.subjects import open_subject

    return EvalBench(result_store(), find_set, open_subject, code_commit, gone_since, who)
