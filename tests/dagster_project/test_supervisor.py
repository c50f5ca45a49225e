"""How the platform's processes start."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.database.embedded import EmbeddedServer
from core.settings import Settings
from dagster_project import instance, supervisor
from dagster_project.runtime import Runtime
from dagster_project.supervisor import DAGSTER_TABLES, USES_DAGSTER_STORAGE, Child, Supervisor


def runtime_of(tmp_path: Path, dagster_url: str = "") -> Runtime:
    settings = Settings(home=tmp_path, gateway_port=0, dagster_port=0)
    return Runtime(settings, database_url="", owner_url="", dagster_url=dagster_url, embedded=False)


def test_processes_that_use_dagsters_storage_start_after_its_tables_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def spawn(self: Supervisor, child: Child) -> None:
        started.append(child.name)

    monkeypatch.setattr(Supervisor, "_spawn", spawn)
    monkeypatch.setattr(Supervisor, "_await", lambda *_: None)
    monkeypatch.setattr(supervisor, "_create_dagster_tables", lambda *_: started.append("tables"))
    platform = Supervisor(runtime_of(tmp_path), on_event=lambda line: None)
    platform.start()
    assert sorted(started) == sorted(["tables", *(child.name for child in platform.children)])
    assert set(USES_DAGSTER_STORAGE) <= set(started[started.index("tables") + 1 :])


def test_platforms_that_start_simultaneously_create_dagsters_tables_once(
    tmp_path: Path, postgres_server: EmbeddedServer, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    really = subprocess.run

    def run(*args: Any, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        made.append(args)
        return really(*args, **options)

    monkeypatch.setattr(subprocess, "run", run)
    url = postgres_server.url(database_name, owner=True)
    runtime = runtime_of(tmp_path, url)
    instance.write(runtime.settings)
    environment = {**os.environ, **runtime.environment()}
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(supervisor._create_dagster_tables, runtime, environment) for _ in range(3)]:
            done.result()
    assert len(made) == 1
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(to_regclass(t)) FROM unnest(%s::text[]) t", (list(DAGSTER_TABLES),))
        assert found.fetchone() == (3,)
