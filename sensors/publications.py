"""The sensor that starts due publications."""

import time

from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from assets.platform import Platform
from assets.results.channels import open_channels
from assets.results.follow_ups import count_due
from assets.results.notices import count_due as count_due_notices
from assets.results.publish import MAX_TRIES
from assets.results.questions import count_due as count_talk_due
from assets.results.watched_checks import count_looks_due
from sensors.looks import first_found
from sensors.slots import IN_PROGRESS

PUBLISH_JOB = "publish_pending"
LOOK_SECONDS = 5.0
_DUE = """
SELECT (SELECT count(*) FROM publications WHERE state = 'pending' AND next_try_at < now())
    + (SELECT count(*) FROM status_comments WHERE written < wanted AND next_try_at < now() AND busy_until < now()
       AND tries < %s)
    + (SELECT count(*) FROM commands WHERE state = 'pending' AND next_try_at < now())
"""


@sensor(
    name="publication_sensor",
    job_name=PUBLISH_JOB,
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts `publish_pending` when a publication, comment, command, question, answer, review or failed "
    "check is due and none is under way.",
)
def publication_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> RunRequest | SkipReason:
    if not platform.settings.publishing:
        return SkipReason("Publishing is switched off (setting publishing).")
    return first_found(lambda: _look(context, platform), LOOK_SECONDS)


def _look(context: SensorEvaluationContext, platform: Platform) -> RunRequest | SkipReason:
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
