"""The job that asks sources for what webhooks did not deliver."""

from dagster import OpExecutionContext, ResourceParam, in_process_executor, job, op

from assets.platform import Platform
from assets.sweeps.organisations import enrol, list_organisations
from assets.sweeps.sweep import sweep_due


@op(description="Adds new repositories of organisations, sweeps every source that is due, and stores what was missed.")
def sweep_sources(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    for found in list_organisations(platform.database, due=True):
        done = enrol(platform, found)
        if done.error:
            context.log.warning("%s: %s", found, done.error)
        for source in done.added:
            context.log.info("%s: source %s added", found, source)
    for swept in sweep_due(platform):
        (context.log.warning if swept.error else context.log.info)("%s", swept)
        for problem in swept.problems:
            context.log.warning("%s: skipped %s", swept.place, problem)


@job(name="sweep", executor_def=in_process_executor, description="Finds and stores what webhooks did not deliver.")
def sweep_job() -> None:
    sweep_sources()
