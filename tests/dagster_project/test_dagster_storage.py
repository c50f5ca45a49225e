"""Dagster's storage keeps its connections, and notices when the server has closed them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.database.embedded import EmbeddedServer
from core.settings import Settings
from dagster_project import dagster_tables, instance
from dagster_project.runtime import Runtime

QUERIES = """
import contextlib, os, sys, time
import psycopg
from dagster import DagsterInstance
from dagster_project.warm import dagster_storage

def backends():
    with psycopg.connect(os.environ["PENSTOCK_DAGSTER_DATABASE_URL"], autocommit=True) as connection:
        return {row[0] for row in connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")}

def end_all():
    with psycopg.connect(os.environ["PENSTOCK_DAGSTER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE datname = current_database() AND pid <> pg_backend_pid()")

def ask(found=None):
    with contextlib.nullcontext(found) if found else DagsterInstance.get() as found:
        assert found.get_runs_count() == 0
        assert list(found.all_instigator_state()) == []
        found.event_log_storage.get_records_for_run('none')

if sys.argv[1] == "pooled":
    dagster_storage.pool_connections()
    dagster_storage.pool_connections()
for _ in range(3):
    ask()
kept = backends()
for _ in range(3):
    ask()
print(len(kept), kept == backends(), flush=True)
with DagsterInstance.get() as found:
    ask(found)
    end_all()
    while backends():
        time.sleep(0.01)
    ask(found)
print("again", len(backends()))
if sys.argv[1] == "pooled":
    mine = backends()
    child = os.fork()
    if not child:
        ask()
        os._exit(0 if backends() - mine else 1)
    assert os.waitpid(child, 0)[1] == 0, "a fork uses connections of its own"
    ask()
"""


@pytest.mark.parametrize(("how", "said"), [("pooled", "1 True\nagain 1\n"), ("stock", "0 True\nagain 0\n")])
def test_connections_are_kept_by_a_process_and_replaced_when_the_server_has_closed_them(
    how: str, said: str, tmp_path: Path, postgres_server: EmbeddedServer, database_name: str
) -> None:
    url = postgres_server.url(database_name, owner=True)
    runtime = Runtime(Settings(home=tmp_path), "", "", url, embedded=False)
    instance.write(runtime.settings)
    environment = {**os.environ, **runtime.environment()}
    dagster_tables.create(runtime, environment)
    done = subprocess.run(
        [sys.executable, "-c", QUERIES, how], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, said), done.stderr


def test_a_storage_that_asks_for_a_pool_of_its_own_gets_it() -> None:
    script = (
        "from dagster_project.warm import dagster_storage as changed\n"
        "from dagster_postgres.run_storage import run_storage\n"
        "changed.pool_connections()\n"
        "make = run_storage.create_pg_engine\n"
        "from sqlalchemy.pool import NullPool\n"
        "one, two = (make('postgresql://u@/d', None, poolclass=NullPool, isolation_level='AUTOCOMMIT') for _ in '12')\n"
        "own = make('postgresql://u@/d', None, pool_size=1, max_overflow=2, isolation_level='AUTOCOMMIT')\n"
        "assert one is two and own is not one and own.pool.size() == 1\n"
    )
    subprocess.run([sys.executable, "-c", script], timeout=120, check=True)
