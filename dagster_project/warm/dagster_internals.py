"""All private APIs of Dagster that Penstock uses, in this module and the one of its storage.

The warm launcher executes a stored run in a forked process, the daemon needs a shorter sensor loop, and both keep their
connections to PostgreSQL; Dagster has no public API for any of it. After an upgrade of Dagster, check this file and
`dagster_storage.py`. `dagster_project.warm.self_check` tests both before the platform relies on them; if that fails,
runs use Dagster's own launcher and daemon.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from dagster import DagsterInstance, DagsterRun, JobDefinition
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.origin import JobPythonOrigin
from dagster._daemon import sensor as _sensor_daemon
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, serialize_value
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from dagster_project.warm.dagster_storage import pool_connections
from dagster_project.warm.turns import paced

__all__ = [
    "PRELOADED",
    "CheckRunHealthResult",
    "ConfigurableClass",
    "ConfigurableClassData",
    "LaunchRunContext",
    "RunLauncher",
    "WorkerStatus",
    "execute_stored_run",
    "report_run_failed",
    "run_daemon",
    "serialised_instance",
    "store_run",
]

PRELOADED = (
    "alembic.command",
    "dagster._core.instance.factory",
    "dagster._grpc.impl",
    "dagster._scheduler",
    "dagster_postgres.event_log",
    "dagster_postgres.run_storage",
    "dagster_postgres.schedule_storage",
    "dagster_postgres.storage",
)
"""Modules of Dagster that a run imports late; the warm process imports them before it forks."""
IDLE_LOOP_SECONDS = 2.5
"""Each turn of the loop for sensors reads the state of all of them, so that it turns seldom while no tick ends."""


def serialised_instance(instance: DagsterInstance) -> str:
    """The instance as text, from which `execute_stored_run` opens it in another process."""
    return serialize_value(instance.get_ref())


def _instance(serialised: str) -> AbstractContextManager[DagsterInstance]:
    return DagsterInstance.from_ref(deserialize_value(serialised, InstanceRef))


def execute_stored_run(run_id: str, instance: str) -> None:
    """Executes a stored run in this process, and returns when it has ended with any result. SIGTERM ends it early.

    Raises `LookupError` if the run does not exist or names no job.
    """
    from dagster._grpc.impl import core_execute_run
    from dagster._utils.hosted_user_process import recon_job_from_origin

    pool_connections()
    setup_interrupt_handlers()
    with capture_interrupts(), _instance(instance) as opened:
        run = opened.get_run_by_id(run_id)
        if run is None or not isinstance(run.job_code_origin, JobPythonOrigin):
            raise LookupError(f"run {run_id} is not in the run storage, or names no job")
        for _event in core_execute_run(recon_job_from_origin(run.job_code_origin), run, opened, inject_env_vars=True):
            pass


def report_run_failed(run_id: str, instance: str, message: str) -> None:
    """Marks a run failed unless it has ended."""
    with _instance(instance) as opened:
        run = opened.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            opened.report_run_failed(run, message=message)


def store_run(instance: DagsterInstance, job: JobDefinition) -> DagsterRun:
    """Stores a run of a job that is defined at a module's top level, without launching it."""
    from dagster import reconstructable

    return instance.create_run_for_job(job_def=job, job_code_origin=reconstructable(job).get_python_origin())


def run_daemon(workspace: str, sensor_loop_seconds: float, beat: Callable[[], None]) -> None:
    """Runs Dagster's daemon on a workspace file until it is interrupted. After a tick that ended early, its loop for
    sensors takes `sensor_loop_seconds`. Calls `beat` whenever each of its loops has gone on or waits for its turn."""
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance

    shorten_sensor_loop(IDLE_LOOP_SECONDS)
    pool_connections()
    setup_interrupt_handlers()
    try:
        with (
            capture_interrupts(),
            DagsterInstance.get() as instance,
            daemon_controller_from_instance(
                instance,
                WorkspaceFileTarget([workspace]),
                gen_daemons=lambda instance: paced(create_daemons_from_instance(instance), beat, sensor_loop_seconds),
                log_level="warning",
                log_format="json",
            ) as controller,
        ):
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        return


def shorten_sensor_loop(seconds: float) -> None:
    """Raises `LookupError` if the daemon of the installed Dagster has no such constant."""
    if not isinstance(getattr(_sensor_daemon, "MIN_INTERVAL_LOOP_TIME", None), int | float):
        raise LookupError("the sensor daemon has no constant MIN_INTERVAL_LOOP_TIME")
    _sensor_daemon.MIN_INTERVAL_LOOP_TIME = seconds  # type: ignore[assignment]
