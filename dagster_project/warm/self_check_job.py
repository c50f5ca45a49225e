"""The job of the warm launcher's self-check, in a module of its own so that Dagster can find it by name."""

from dagster import in_process_executor, job, op


@op
def nothing() -> None:
    """Does nothing, successfully."""


@job(executor_def=in_process_executor)
def check() -> None:
    """One step."""
    nothing()
