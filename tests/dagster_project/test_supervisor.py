"""How the platform's processes start."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.database.embedded import EmbeddedServer
from core.settings import Settings
from dagster_project import dagster_tables, instance
from dagster_project.dagster_tables import DAGSTER_TABLES, USES_DAGSTER_STORAGE
from dagster_project.parts import Child
from dagster_project.records import platform_file
from dagster_project.runtime import Runtime
from dagster_project.supervisor import Supervisor


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
    monkeypatch.setattr(dagster_tables, "create", lambda *_: started.append("tables"))
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
        for done in [pool.submit(dagster_tables.create, runtime, environment) for _ in range(3)]:
            done.result()
    assert len(made) == 1
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(to_regclass(t)) FROM unnest(%s::text[]) t", (list(DAGSTER_TABLES),))
        assert found.fetchone() == (3,)


def test_the_database_and_every_process_are_started_again_when_they_are_killed_and_delays_grow(tmp_path: Path) -> None:
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        settings = Settings(home=tmp_path, gateway_port=0, dagster_port=0)
        settings.run_folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs").mkdir()
        runtime = Runtime(settings, server.url("postgres"), "", "", embedded=True, server=server)
        platform = Supervisor(runtime, on_event=said.append)
        platform.children = [Child("sleeper", [sys.executable, "-c", "import time; time.sleep(900)"], lambda: True)]
        platform._spawn(platform.children[0])
        platform._write_state()

        def processes() -> dict[str, int]:
            return dict(json.loads(platform_file(settings).read_text())["processes"])

        watching = threading.Thread(target=platform.watch)
        watching.start()
        try:
            for name in ("database", "sleeper", "database"):
                before, before_it = processes(), list(said)
                os.kill(before[name], signal.SIGKILL)
                deadline = time.monotonic() + 120
                while processes()[name] == before[name]:
                    assert time.monotonic() < deadline, said
                    time.sleep(0.05)
                while not any("again (" in line for line in said[len(before_it) :]):
                    assert time.monotonic() < deadline, said
                    time.sleep(0.05)
                with psycopg.connect(server.url("postgres", owner=True)) as connection:
                    assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            platform.request_stop()
            watching.join()
            platform.stop()
            server.release()
    assert not server.alive()
    ends = [line.split(";")[0] for line in said if "; restarting in" in line]
    assert ends == ["database ended", "sleeper was ended by SIGKILL", "database ended"]
    again = [line.split(" (")[0] for line in said if "again (" in line]
    assert again == ["database is up again", "sleeper is up again", "database is up again"]
    waits = [line for line in said if (line.startswith("database") and "ing in " in line) or "again in " in line]
    delays = [float(line.split(" in ")[-1].removesuffix(" s")) for line in waits]
    assert delays == [0.5 * 2**n for n in range(len(delays))]
    assert len(delays) >= 2


ADOPTS = """
import os, subprocess, sys, time
from pathlib import Path
from dagster_project.parts import adopt_orphans, adopted, end_adopted

def orphan(command):
    return int(subprocess.run(["sh", "-c", f"{command} & echo $!"], stdout=-1, text=True, check=True).stdout)

adopt_orphans()
short, long, spared = (orphan(f"sleep {seconds} >&-") for seconds in (0.1, 600, 600))
while "Z (zombie)" not in Path(f"/proc/{short}/status").read_text():
    time.sleep(0.01)
assert adopted([]) == {long, spared}
assert not Path(f"/proc/{short}").exists(), "its end was noticed"
end_adopted([], {spared}, 30)
assert adopted([]) == {spared}
os.kill(spared, 9)
"""


def test_orphans_are_adopted_their_end_is_noticed_and_they_can_be_ended() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPTS], timeout=300, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
