"""The sensor that starts sweeps for missed deliveries when a place is due.

Branches of repositories on this machine need no run: it looks at them itself.
"""

import itertools
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
from assets.sweeps.places import anything_due
from assets.sweeps.sweep import sweep_due
from sensors.slots import IN_PROGRESS

SWEEP_JOB = "sweep"
AT_ONCE = 50
"""Local branches that one tick looks at."""


@sensor(
    name="sweep_sensor",
    job_name=SWEEP_JOB,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts `sweep` when a source is due to be asked for what webhooks did not deliver.",
)
def sweep_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> RunRequest | SkipReason:
    if not platform.settings.sweep_minutes:
        return SkipReason("Sweeps are switched off (setting sweep_minutes).")
    with platform.database.system() as connection:
        if not anything_due(connection):
            return SkipReason("Nothing is due.")
    looked = list(itertools.islice(sweep_due(platform, local=True), AT_ONCE))
    for swept in looked:
        (context.log.warning if swept.error else context.log.debug)("%s", swept)
    with platform.database.system() as connection:
        if not anything_due(connection):
            return SkipReason(f"Nothing but {len(looked)} local branches was due.")
    if context.instance.get_runs_count(RunsFilter(job_name=SWEEP_JOB, statuses=IN_PROGRESS)):
        return SkipReason("A sweep is under way.")
    return RunRequest(run_key=f"sweep:{time.time_ns()}")
