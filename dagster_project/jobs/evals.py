"""Jobs of evals: runs of a set on demand or nightly as the baseline, comparisons of two runs, and promotion.

The nightly schedule is off by default, since a set may take an hour.
"""

import re

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
from assets.evals.promote.candidates import default_subject
from core.settings import load_settings
from dagster_project.kubernetes import resources
from sensors.evals import candidate_sensor

BASELINE_SET = "repair"
"""The set of the nightly baseline run."""

run_evals = define_asset_job(
    "run_evals",
    selection=AssetSelection.assets("eval_cases", "eval_results"),
    executor_def=in_process_executor,
    tags=resources.run_tags("run_evals"),
    description="Runs a subject over an eval set.",
)

compare_evals = define_asset_job(
    "compare_evals",
    selection=AssetSelection.assets("eval_pair", "eval_comparison"),
    executor_def=in_process_executor,
    description="Decides whether one run's subject may replace another's.",
)

eval_candidate_sensor = candidate_sensor([run_evals, compare_evals])

promote_default = define_asset_job(
    "promote_default",
    selection=AssetSelection.assets("platform_default"),
    executor_def=in_process_executor,
    description="Makes the candidate of a comparison the default of new tasks, if the verdict allows it.",
)


@job(executor_def=in_process_executor, description="Rolls back the active promotion.")
def roll_back_default() -> None:
    take_promotion_back()


@schedule(job=run_evals, cron_schedule="23 1 * * *", default_status=DefaultScheduleStatus.STOPPED)
def eval_baseline_nightly(context: ScheduleEvaluationContext) -> list[RunRequest]:
    """Runs the present default every night, so that its own drift is not attributed to a candidate."""
    instance = context.instance
    at = context.scheduled_execution_time.strftime("%Y%m%d")
    subject = default_subject(load_settings())
    for definition, name in ((SETS, BASELINE_SET), (SUBJECTS, subject)):
        instance.add_dynamic_partitions(definition.name or "", [name])
    named = re.sub(r"[^a-z0-9._]+", "-", subject.lower())[:60]
    return [
        RunRequest(
            run_key=f"{BASELINE_SET}|{subject}|{at}",
            partition_key=MultiPartitionKey({"set": BASELINE_SET, "subject": subject}),
            run_config={"ops": {"eval_results": {"config": {"run": f"nightly-{BASELINE_SET}-{named}-{at}"}}}},
        )
    ]


def open_bench() -> EvalBench:
    """Results, sets and subjects of this installation."""
    from dagster_project.eval_defaults import gone_since, who
    from dagster_project.eval_places import code_commit, find_set, result_store
    from dagster_project.subjects.registry import open_subject

    return EvalBench(result_store(), find_set, open_subject, code_commit, gone_since, who)
