"""The sensor that starts due publications, and the one that frees the lease of a failed run immediately."""

import time

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    RunStatusSensorContext,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from assets.platform import Platform
from assets.results.channels import open_channels
from assets.results.follow_ups import count_due
from assets.results.notices import count_due as count_due_notices
from assets.results.publish import MAX_TRIES
from assets.results.questions import count_due as count_talk_due
from assets.results.watched_checks import count_looks_due
from core import attempts
from sensors.slots import IN_PROGRESS

PUBLISH_JOB = "publish_pending"
_DUE = """
SELECT (SELECT count(*) FROM publications WHERE state = 'pending' AND next_try_at < now())
    + (SELECT count(*) FROM status_comments WHERE written < wanted AND next_try_at < now() AND busy_until < now()
       AND tries < %s)
    + (SELECT count(*) FROM commands WHERE state = 'pending' AND next_try_at < now())
"""


@sensor(
    name="publication_sensor",
    job_name=PUBLISH_JOB,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts `publish_pending` when a publication, comment, command, question, answer, review or failed "
    "check is due and none is under way.",
)
def publication_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> RunRequest | SkipReason:
    if not platform.settings.publishing:
        return SkipReason("Publishing is switched off (setting publishing).")
    with platform.database.system() as connection:
        row = connection.execute(_DUE, (MAX_TRIES,)).fetchone()
        due = (int(row[0]) if row else 0) + count_due(connection) + count_looks_due(connection)
        due += count_talk_due(connection)
        due += count_due_notices(connection, open_channels(platform.settings))
    if not due:
        return SkipReason("Nothing is due.")
    if context.instance.get_runs_count(RunsFilter(job_name=PUBLISH_JOB, statuses=IN_PROGRESS)):
        return SkipReason(f"{due} due; a run is under way.")
    return RunRequest(run_key=f"publish:{time.time_ns()}")


@run_failure_sensor(
    name="failed_run_sensor",
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Frees the lease of a failed run, so that its task need not wait for the lease to lapse.",
)
def failed_run_sensor(context: RunStatusSensorContext, platform: ResourceParam[Platform]) -> None:
    if context.dagster_run.status == DagsterRunStatus.FAILURE:
        attempts.free_holder(platform.database, context.dagster_run.run_id)
