"""Assembles what Dagster loads: assets, checks, jobs, sensors and the one resource."""

from dagster import Definitions, ResourceDefinition, in_process_executor, load_assets_from_modules

from assets.context import assets as context_assets
from assets.context.tickets import assets as ticket_assets
from assets.evals import assets as eval_assets
from assets.evals import comparison_assets, default_assets
from assets.executions import assets as execution_assets
from assets.migrations import assets as migration_assets
from assets.migrations import model_assets
from assets.plans import assets as plan_assets
from assets.results import assets as result_assets
from dagster_project.jobs import (
    context as context_jobs,
)
from dagster_project.jobs import (
    evals as eval_jobs,
)
from dagster_project.jobs import (
    events as event_jobs,
)
from dagster_project.jobs import (
    models as model_jobs,
)
from dagster_project.jobs import (
    tasks as jobs,
)
from dagster_project.jobs.context import index_vectors, prune_context
from dagster_project.runtime import worker_platform
from sensors.changes import change_sensor
from sensors.migrations import migration_request_sensor, migration_sensor
from sensors.publications import failed_run_sensor, publication_sensor
from sensors.stale import stale_source_sensor
from sensors.tasks import reconciler, task_sensor

defs = Definitions(
    assets=load_assets_from_modules(
        [
            context_assets,
            ticket_assets,
            migration_assets,
            model_assets,
            plan_assets,
            execution_assets,
            result_assets,
            eval_assets,
            comparison_assets,
            default_assets,
        ]
    ),
    jobs=[
        jobs.resolve_task,
        jobs.refresh_context,
        jobs.publish_pending,
        jobs.prune_runs,
        event_jobs.prune_events,
        prune_context,
        index_vectors,
        eval_jobs.run_evals,
        eval_jobs.compare_evals,
        eval_jobs.promote_default,
        eval_jobs.roll_back_default,
        model_jobs.migrate_model,
        model_jobs.begin_migration_job,
        model_jobs.steer_migration_job,
        model_jobs.keep_models_job,
    ],
    schedules=[
        jobs.prune_nightly,
        event_jobs.prune_events_nightly,
        *context_jobs.SCHEDULES,
        *model_jobs.SCHEDULES,
        eval_jobs.eval_baseline_nightly,
    ],
    sensors=[
        task_sensor,
        change_sensor,
        stale_source_sensor,
        reconciler,
        publication_sensor,
        failed_run_sensor,
        migration_sensor,
        migration_request_sensor,
        eval_jobs.eval_candidate_sensor,
    ],
    resources={
        "platform": ResourceDefinition(lambda _: worker_platform()),
        "eval_bench": ResourceDefinition(lambda _: eval_jobs.open_bench()),
    },
    executor=in_process_executor,
)
