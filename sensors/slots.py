"""How many more tasks may start now; the others wait for their turn (`core.task_queue`)."""

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

TASK_JOB = "resolve_task"

IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def free_slots(instance: DagsterInstance, slots: int) -> int:
    """`slots` minus the task runs that have not ended."""
    return max(0, slots - instance.get_runs_count(RunsFilter(job_name=TASK_JOB, statuses=IN_PROGRESS)))
