"""The jobs: one task's way through the stages, a source's refresh, and what is still to be published."""

import uuid

from dagster import AssetSelection, OpExecutionContext, ResourceParam, define_asset_job, in_process_executor, job, op

from assets.partitions import SOURCES
from assets.platform import Platform
from assets.results.assets import open_forge_for
from assets.results.conclude import publish_due
from core.forge.protocol import Forge

resolve_task = define_asset_job(
    "resolve_task",
    selection=AssetSelection.assets("task_context", "plan", "execution", "result"),
    partitions_def=SOURCES,
    executor_def=in_process_executor,
    description="One task, from its context to its published result.",
)

refresh_context = define_asset_job(
    "refresh_context",
    selection=AssetSelection.assets("context_index"),
    partitions_def=SOURCES,
    executor_def=in_process_executor,
    description="Brings the context index of a source to its newest commit.",
)


@op(description="Tries every publication that is due once more.")
def publish_due_publications(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    def forge(team_id: uuid.UUID, source: str) -> Forge:
        return open_forge_for(platform, team_id, source)

    for published in publish_due(platform.database, forge):
        context.log.info("%s: %s %s", published.target, published.state, published.location or published.error)


@job(executor_def=in_process_executor, description="Publications that did not go through at the first try.")
def publish_pending() -> None:
    publish_due_publications()
