"""How many more tasks may start now. The log is the queue: the others stay in it."""

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
