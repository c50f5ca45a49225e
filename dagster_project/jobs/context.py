"""Maintenance of the context index: nightly garbage collection, and building vector indexes that are due."""

from dagster import (
    DefaultScheduleStatus,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    in_process_executor,
    job,
    op,
)
from psycopg.errors import InsufficientPrivilege, LockNotAvailable

from assets.context.store.prune import prune_contents
from assets.context.store.vector_index import build_vector_indexes
from assets.platform import Platform
from dagster_project.kubernetes import resources


@op(description="Deletes contents that no stored version of any source refers to, team by team.")
def delete_unused_contents(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    with platform.database.system() as connection:
        teams = connection.execute("SELECT id, name FROM teams ORDER BY id").fetchall()
    for team_id, name in teams:
        done = prune_contents(platform.database, team_id)
        context.log.info(
            "team %s: %d contents deleted, %d marked, %d in use again, %d segments dropped",
            name,
            done.deleted,
            done.marked,
            done.kept,
            done.segments,
        )


@job(executor_def=in_process_executor, description="Deletes unused contents of the context index.")
def prune_context() -> None:
    delete_unused_contents()


@op(description="Builds the vector indexes that are due, without blocking refreshes.")
def build_due_vector_indexes(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    owner_url = platform.settings.database_owner_url
    if owner_url is None:
        context.log.warning(
            "PENSTOCK_DATABASE_OWNER_URL is not set, so no vector index can be built: searches compare every vector"
        )
        return
    try:
        for built in build_vector_indexes(platform.database, owner_url.get_secret_value()):
            context.log.info("%s: %d vectors indexed in %.1f s", built.model, built.vectors, built.seconds)
    except LockNotAvailable:
        context.log.warning("a vector table was locked for too long: the next run tries again")
    except InsufficientPrivilege as error:
        context.log.warning("the user of PENSTOCK_DATABASE_OWNER_URL does not own the tables: %s", error)


@job(
    executor_def=resources.executor("index_vectors"),
    tags=resources.run_tags("index_vectors"),
    description="Builds HNSW indexes over the vectors of each embedding model.",
)
def index_vectors() -> None:
    build_due_vector_indexes()


SCHEDULES = [
    ScheduleDefinition(job=prune_context, cron_schedule="37 3 * * *", default_status=DefaultScheduleStatus.RUNNING),
    ScheduleDefinition(job=index_vectors, cron_schedule="23 * * * *", default_status=DefaultScheduleStatus.RUNNING),
]
