"""Creates the tables of Dagster's storage, in one process and before any other process uses them."""

import subprocess
import sys
from collections.abc import Mapping

import psycopg

from dagster_project.parts import StartFailed
from dagster_project.runtime import Runtime
from dagster_project.warm.process import ROOT

# These create Dagster's tables if there are none, and fail if two of them do so simultaneously.
USES_DAGSTER_STORAGE = ("code-server", "daemon", "webserver")
DAGSTER_TABLES = ("runs", "event_logs", "job_ticks")  # one of each of Dagster's three storages
CREATE_LOCK = 0x70656E73746F636B  # "penstock"


def create(runtime: Runtime, environment: Mapping[str, str]) -> None:
    """Raises `StartFailed`."""
    with psycopg.connect(runtime.dagster_url, connect_timeout=10, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (CREATE_LOCK,))
        found = connection.execute(
            "SELECT count(to_regclass(name)) FROM unnest(%s::text[]) name", (list(DAGSTER_TABLES),)
        )
        if found.fetchone() == (len(DAGSTER_TABLES),):
            return
        _ran("from dagster import DagsterInstance\nwith DagsterInstance.get() as i: i.get_runs_count()", environment)


def upgrade(runtime: Runtime, environment: Mapping[str, str]) -> None:
    """Brings tables of an older Dagster to the installed version. Raises `StartFailed`."""
    with psycopg.connect(runtime.dagster_url, connect_timeout=10, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (CREATE_LOCK,))
        _ran("from dagster import DagsterInstance\nwith DagsterInstance.get() as i: i.upgrade()", environment)


def _ran(script: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise StartFailed(f"Dagster's storage could not be set up:\n{done.stderr.decode(errors='replace')[-2000:]}")
