"""All private APIs of Dagster that Penstock uses, in this module and the one of its storage.

The warm launcher executes a stored run in a forked process, the daemon needs a shorter sensor loop, and both keep their
connections to PostgreSQL; Dagster has no public API for any of it. After an upgrade of Dagster, check this file and
`dagster_storage.py`. `dagster_project.warm.self_check` tests both before the platform relies on them; if that fails,
runs use Dagster's own launcher and daemon.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from dagster import DagsterInstance, DagsterRun, JobDefinition
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.origin import JobPythonOrigin
from dagster._daemon import sensor as _sensor_daemon
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, serialize_value
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from core.heartbeats import Rounds
from dagster_project.warm.dagster_storage import pool_connections

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
WAIT_SECONDS = 5.0
"""A daemon's loop that waits for its next turn says so as often."""


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
    """Runs Dagster's daemon on a workspace file until it is interrupted, with a shorter loop for sensors. Calls `beat`
    whenever each of its loops has gone on, or waits for its next turn."""
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance

    shorten_sensor_loop(sensor_loop_seconds)
    pool_connections()
    setup_interrupt_handlers()
    try:
        with (
            capture_interrupts(),
            DagsterInstance.get() as instance,
            daemon_controller_from_instance(
                instance,
                WorkspaceFileTarget([workspace]),
                gen_daemons=lambda instance: beating(create_daemons_from_instance(instance), beat),
                log_level="warning",
                log_format="json",
            ) as controller,
        ):
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        return


def beating(daemons: Sequence[Any], beat: Callable[[], None]) -> Sequence[Any]:
    """The same daemons, whose loops tell when they go on. Raises `LookupError` if one has no such loop."""
    rounds = Rounds({daemon.daemon_type() for daemon in daemons}, beat)
    for daemon in daemons:
        if not callable(getattr(daemon, "core_loop", None)):
            raise LookupError(f"the daemon {daemon.daemon_type()} has no core_loop")
        daemon.core_loop = _telling(daemon.core_loop, daemon.daemon_type(), rounds)
    return daemons


def _telling(loop: Callable[..., Iterator[Any]], name: str, rounds: Rounds) -> Callable[..., Iterator[Any]]:
    def core_loop(context: Any, shutdown: threading.Event) -> Iterator[Any]:
        for step in loop(context, _Turns(shutdown, lambda: rounds.goes_on(name))):
            rounds.goes_on(name)
            yield step

    return core_loop


class _Turns:
    """The event that ends a daemon's loop, and by which it waits for its next turn, for up to a minute: it tells
    meanwhile that it waits."""

    def __init__(self, ended: threading.Event, waits: Callable[[], None]) -> None:
        self._ended, self._waits = ended, waits

    def is_set(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0 and not self._ended.wait(min(left, WAIT_SECONDS)):
            self._waits()
        return self._ended.is_set()


def shorten_sensor_loop(seconds: float) -> None:
    """Raises `LookupError` if the daemon of the installed Dagster has no such constant."""
    if not isinstance(getattr(_sensor_daemon, "MIN_INTERVAL_LOOP_TIME", None), int | float):
        raise LookupError("the sensor daemon has no constant MIN_INTERVAL_LOOP_TIME")
    _sensor_daemon.MIN_INTERVAL_LOOP_TIME = seconds  # type: ignore[assignment]
