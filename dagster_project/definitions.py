"""Assembles the definitions that Dagster loads: assets, checks, jobs, schedules, sensors and resources."""

from dagster import (
    Definitions,
    ResourceDefinition,
    in_process_executor,
    load_asset_checks_from_modules,
    load_assets_from_modules,
)

from assets.context import assets as context_assets
from assets.context.tickets import assets as ticket_assets
from assets.evals import assets as eval_assets
from assets.evals import comparison_assets, default_assets
from assets.executions import assets as execution_assets
from assets.executions import environment_assets
from assets.migrations import assets as migration_assets
from assets.migrations import model_assets
from assets.objects import assets as object_assets
from assets.plans import assets as plan_assets
from assets.research import assets as research_assets
from assets.results import asset_checks as result_checks
from assets.results import assets as result_assets
from assets.services import assets as service_assets
from dagster_project.console_log import use_for_runs
from dagster_project.jobs import context, evals, events, models, retention, sweeps, tasks
from dagster_project.runtime import worker_platform
from sensors.changes import change_sensor
from sensors.migrations import migration_request_sensor, migration_sensor
from sensors.objects import object_event_sensor, object_type_sensor
from sensors.publications import publication_sensor
from sensors.stale import stale_source_sensor
from sensors.sweeps import sweep_sensor
from sensors.tasks import reconciler, task_sensor

use_for_runs()
defs = Definitions(
    assets=load_assets_from_modules(
        [
            context_assets,
            ticket_assets,
            migration_assets,
            model_assets,
            plan_assets,
            execution_assets,
            environment_assets,
            result_assets,
            research_assets,
            service_assets,
            eval_assets,
            comparison_assets,
            default_assets,
            object_assets,
        ],
        include_specs=True,
    ),
    asset_checks=load_asset_checks_from_modules([result_checks]),
    jobs=[
        tasks.resolve_task,
        tasks.check_ledger,
        tasks.refresh_context,
        tasks.publish_pending,
        tasks.follow_patches,
        sweeps.sweep_job,
        tasks.prune_runs,
        retention.prune_tasks,
        events.prune_events,
        context.prune_context,
        context.index_vectors,
        evals.run_evals,
        evals.compare_evals,
        evals.promote_default,
        evals.roll_back_default,
        models.migrate_model,
        models.begin_migration_job,
        models.steer_migration_job,
        models.keep_models_job,
    ],
    schedules=[
        tasks.prune_nightly,
        tasks.follow_patches_schedule,
        tasks.ledger_schedule,
        events.prune_events_nightly,
        retention.prune_tasks_nightly,
        *context.SCHEDULES,
        *models.SCHEDULES,
        evals.eval_baseline_nightly,
    ],
    sensors=[
        task_sensor,
        change_sensor,
        stale_source_sensor,
        sweep_sensor,
        reconciler,
        publication_sensor,
        migration_sensor,
        migration_request_sensor,
        evals.eval_candidate_sensor,
        object_type_sensor,
        object_event_sensor,
    ],
    resources={
        "platform": ResourceDefinition(lambda _: worker_platform()),
        "eval_bench": ResourceDefinition(lambda _: evals.open_bench()),
    },
    executor=in_process_executor,
)
