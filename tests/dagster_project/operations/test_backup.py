"""A backup while all writes, and a restore: nothing committed is lost, and no event is skipped or handled twice."""

import contextlib
import json
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._serdes import deserialize_value, serialize_value
from psycopg import sql

from assets.context.store.vector_table import VectorTable
from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import SchemaError
from core.embedding import open_embedder
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, TASKS
from core.settings import Settings
from dagster_project import records
from dagster_project.operations import dumps
from dagster_project.operations.archive import BackupFailed, BadArchive, open_archive, read_key
from dagster_project.operations.backup import backup
from dagster_project.operations.dumps import RestoreFailed
from dagster_project.operations.places import NotAllowed
from dagster_project.operations.record import last_backup
from dagster_project.operations.restore import _forget_offsets, restore, resume
from dagster_project.runtime import Runtime, open_runtime
from sensors import cursor
from tests.dagster_project.operations.conftest import Home, add_task, event, read_all, titles

KEY = b"0123456789abcdef" * 2


def _handle(database: Database, found: list[tuple[int, str]]) -> None:
    """What a sensor does with events: something idempotent, by the event's id."""
    with database.system() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%s, gen_random_uuid(), %s, 's', 't') "
            "ON CONFLICT (team_id, event_id) DO NOTHING",
            [(DEFAULT_TEAM, name) for _, name in found],
        )


class _Traffic:
    """Appends events, and consumes them with a cursor in Dagster's database, as sensors do."""

    def __init__(self, runtime: Runtime) -> None:
        self.appended: list[str] = []
        self._stop = threading.Event()
        self._runtime = runtime
        with psycopg.connect(runtime.dagster_url) as connection:
            connection.execute("CREATE TABLE cursor (value bigint NOT NULL)")
            connection.execute("INSERT INTO cursor VALUES (0)")
        self._threads = [threading.Thread(target=one) for one in (self._append, self._consume)]

    def _append(self) -> None:
        database = Database(self._runtime.database_url)
        log = PostgresLog(database)
        while not self._stop.is_set():
            number = len(self.appended)
            log.append([(TASKS, event(number))])
            self.appended.append(event(number).id)
        database.close()

    def _consume(self) -> None:
        database, at = Database(self._runtime.database_url), 0
        log = PostgresLog(database)
        with psycopg.connect(self._runtime.dagster_url, autocommit=True) as connection:
            while not self._stop.is_set():
                found = [(one.offset, one.event.id) for one in log.read(TASKS, {0: at}, limit=20).records]
                _handle(database, found)
                at += len(found)
                connection.execute("UPDATE cursor SET value = %s", (at,))
        log.close()
        database.close()

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.appended) < count:
            assert time.monotonic() < deadline and all(one.is_alive() for one in self._threads)
            time.sleep(0.01)

    def __enter__(self) -> "_Traffic":
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join()


def test_nothing_committed_is_lost_and_no_event_is_skipped_or_handled_twice(new_home: Home, tmp_path: Path) -> None:
    first, second, target = new_home(), new_home(), tmp_path / "all.backup"
    vectors = open_embedder("hashing").embed_documents(["one", "two", "three"])
    with open_runtime(first) as runtime:
        database = Database(runtime.database_url)
        with database.team(DEFAULT_TEAM) as connection:
            VectorTable.of(connection, open_embedder("hashing")).insert(
                connection, DEFAULT_TEAM, [1, 2, 3], [0, 0, 0], vectors
            )
        with _Traffic(runtime) as traffic:
            traffic.wait_for(200)
            before = list(traffic.appended)
            # Another process, as in life: one holds the embedded server once.
            subprocess.run(
                [sys.executable, "-m", "penstock", "backup", str(target)],
                env={**os.environ, "PENSTOCK_HOME": str(first.home)},
                check=True,
                capture_output=True,
                timeout=120,
            )
            behind = len(traffic.appended)
        assert behind > len(before), "nothing was written meanwhile"
        database.close()
    with open_archive(target) as reader:
        made = reader.manifest
    assert made.rows["event_log"] >= len(before)
    done = restore(second, target)
    assert done.kept == () and done.manifest.id == made.id
    with open_runtime(second) as runtime:
        database = Database(runtime.database_url)
        log = PostgresLog(database)
        stored = read_all(log, TASKS, 0)
        assert [offset for offset, _ in stored] == list(range(len(stored)))
        assert {name for _, name in stored} >= set(before)
        assert len(stored) == made.rows["event_log"]
        with psycopg.connect(runtime.dagster_url) as connection:
            row = connection.execute("SELECT value FROM cursor").fetchone()
        assert row is not None and 0 < row[0] <= len(stored)
        with database.system() as connection:
            handled = {str(name) for (name,) in connection.execute("SELECT event_id FROM tasks")}
        assert handled >= {name for offset, name in stored if offset < row[0]}, "the cursor skips events"
        _handle(database, read_all(log, TASKS, row[0]))
        log.append([(TASKS, event(10**5))])
        assert read_all(log, TASKS, len(stored)) == [(len(stored), event(10**5).id)]
        with database.system() as connection:
            rows = connection.execute("SELECT event_id, count(*) FROM tasks GROUP BY 1").fetchall()
            assert sorted(rows) == [(name, 1) for _, name in stored]
        with database.team(DEFAULT_TEAM) as connection:
            table = VectorTable.of(connection, open_embedder("hashing")).name
            found = connection.execute(sql.SQL("SELECT embedding FROM {} ORDER BY content_id").format(table)).fetchall()
        assert np.allclose(np.stack([one.to_numpy() for (one,) in found]), vectors, atol=1e-6)
        log.close()
        database.close()


@pytest.fixture
def saved(new_home: Home, tmp_path: Path) -> Iterator[tuple[Settings, Path]]:
    """A home with a task and its files, and a backup of it with encrypted secrets."""
    settings = new_home()
    with open_runtime(settings) as runtime:
        add_task(runtime.database_url, "kept")
    (settings.home / "secrets").mkdir(mode=0o700)
    (settings.home / "secrets" / "api-token").write_text("pst_very-secret-token")
    (settings.home / "settings.toml").write_text('gitea_token = "very-secret-token"\n')
    (settings.home / "defaults.json").write_text("{}")
    backup(settings, tmp_path / "b", key=KEY)
    yield settings, tmp_path / "b"


def test_files_and_secrets_come_back_and_the_archive_is_private(
    saved: tuple[Settings, Path], new_home: Home, tmp_path: Path
) -> None:
    settings, path = saved
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"very-secret-token" not in path.read_bytes()
    assert last_backup(settings.home) is not None
    for key, said in ((None, "--key-file"), (b"x" * 32, "not the one")):
        with pytest.raises(BadArchive, match=said):
            restore(new_home(), path, key=key)
    target = new_home()
    restore(target, path, key=KEY)
    for name in ("secrets/api-token", "settings.toml", "defaults.json"):
        assert (target.home / name).read_bytes() == (settings.home / name).read_bytes()
        assert stat.S_IMODE((target.home / name).stat().st_mode) == 0o600
    assert not list(target.home.glob(".restore-*"))
    bare = backup(settings, tmp_path / "bare")
    assert (bare.secrets, len(bare.left_out)) == ("none", 2)
    assert b"very-secret-token" not in (tmp_path / "bare").read_bytes()
    backup(settings, tmp_path / "open", secrets=True)
    assert b"very-secret-token" in (tmp_path / "open").read_bytes()
    restore(other := new_home(), tmp_path / "open")
    assert (other.home / "secrets" / "api-token").read_text() == "pst_very-secret-token"
    with pytest.raises(BadArchive, match="fewer than 32 bytes"):
        (tmp_path / "key").write_text("short")
        read_key(tmp_path / "key")


def test_what_is_there_is_only_replaced_when_told_to_and_then_kept(
    saved: tuple[Settings, Path], new_home: Home
) -> None:
    _, path = saved
    target = new_home()
    with open_runtime(target) as runtime:
        add_task(runtime.database_url, "mine")
    with pytest.raises(RestoreFailed, match=r"penstock is not empty \(penstock.tasks\).*--replace"):
        restore(target, path, key=KEY)
    done = restore(target, path, key=KEY, replace=True)
    with open_runtime(target) as runtime:
        assert titles(runtime.database_url) == ["kept"]
        assert runtime.server is not None
        (former,) = [name for name in done.kept if name.startswith("penstock_before_")]
        assert titles(runtime.server.url(former)) == ["mine"]
    (files := new_home()).home.mkdir()
    (files.home / "settings.toml").write_text("slots = 3\n")
    with pytest.raises(RestoreFailed, match=r"settings\.toml is there"):
        restore(files, path, key=KEY)
    restore(files, path, key=KEY, replace=True)
    assert [one.read_text() for one in files.home.glob("before-restore-*/settings.toml")] == ["slots = 3\n"]


def test_a_restore_that_is_interrupted_after_the_databases_changed_places_is_finished_by_resume(
    saved: tuple[Settings, Path], new_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = saved
    target = new_home()
    real = dumps.swap

    def interrupted(*given: Any) -> None:
        real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(dumps, "swap", interrupted)
        restore(target, path, key=KEY)
    with pytest.raises(RestoreFailed, match="--resume"):
        restore(target, path, key=KEY)
    assert resume(target) == "the interrupted restore is finished"
    assert (target.home / "secrets" / "api-token").read_text() == "pst_very-secret-token"
    with open_runtime(target) as runtime:
        assert titles(runtime.database_url) == ["kept"]


def test_a_platform_that_runs_or_is_used_is_not_restored_into(
    saved: tuple[Settings, Path], new_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = saved
    target = new_home()
    target.home.mkdir()
    with records.only_one(target), pytest.raises(RestoreFailed, match="the platform runs"):
        restore(target, path, key=KEY)
    with open_runtime(target) as runtime, psycopg.connect(runtime.database_url):  # noqa: SIM117
        with pytest.raises(RestoreFailed, match="1 clients use the database"):
            restore(target, path, key=KEY)
    monkeypatch.setattr(records, "running_platform", lambda settings: {"process": 1})
    with pytest.raises(RestoreFailed, match="penstock down"):
        restore(target, path, key=KEY)


def _rewritten(path: Path, change: Callable[[dict[str, Any]], None], *, add: str | None = None) -> Path:
    """The archive with another manifest, and perhaps one more entry."""
    other = path.with_name("changed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(content)
                change(manifest)
                content = json.dumps(manifest).encode()
            new.writestr(name, content)
        if add:
            new.writestr(add, "x")
    return other


def _named(name: str) -> Callable[[dict[str, Any]], None]:
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    return lambda manifest: manifest["entries"].append({"name": name, "size": 1, "sha256": digest})


def test_an_archive_that_is_not_whole_or_not_ours_changes_nothing(saved: tuple[Settings, Path], new_home: Home) -> None:
    _, path = saved
    target = new_home()
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as packed:
        place = packed.getinfo("penstock.dump").header_offset + 500
    bad = path.with_name("bad")
    cases: list[tuple[Path | bytes, str]] = [
        (b"", "cannot be read as a backup"),
        (whole[: len(whole) // 2], "cannot be read as a backup"),
        (whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], "damaged|cannot be read"),
    ]
    for content, said in cases:
        assert isinstance(content, bytes)
        bad.write_bytes(content)
        with pytest.raises(BadArchive, match=said):
            restore(target, bad, key=KEY)
    changes: list[tuple[Callable[[dict[str, Any]], None], str | None, type[Exception], str]] = [
        (lambda m: m["migrations"].append([99, "later", "x"]), None, SchemaError, "upgrade Penstock"),
        (lambda m: m["migrations"][0].__setitem__(2, "0"), None, SchemaError, "another edition of migration 0001"),
        (lambda m: m.__setitem__("format", 2), None, BadArchive, "has format 2"),
        (lambda m: m.pop("rows"), None, BadArchive, "no readable manifest"),
        (lambda m: m["entries"][0].__setitem__("sha256", "0" * 64), None, BadArchive, "damaged"),
        (lambda m: m["entries"].pop(0), None, BadArchive, "lacks a dump|does not hold"),
        (lambda m: None, "files/settings.toml", BadArchive, "does not hold"),
        (_named("files/../../x"), "files/../../x", BadArchive, "which no backup has"),
        (_named("/etc/x"), "/etc/x", BadArchive, "which no backup has"),
        (_named("files/postgres/x"), "files/postgres/x", BadArchive, "which no backup has"),
        (_named("secrets/run/x"), "secrets/run/x", BadArchive, "which no backup has"),
        (lambda m: m["rows"].__setitem__("tasks", 5), None, RestoreFailed, "does not hold what the manifest says"),
    ]
    for change, add, kind, said in changes:
        with pytest.raises(kind, match=said):
            restore(target, _rewritten(path, change, add=add), key=KEY)
    assert not list(target.home.glob(".restore-*"))
    with open_runtime(target) as runtime:
        assert titles(runtime.database_url) == []
        with psycopg.connect(runtime.owner_url) as connection:
            names = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'penstock%'").fetchall()
    assert sorted(names) == [("penstock",), ("penstock_dagster",)]


def test_a_server_of_ones_own_needs_somebody_who_sees_all_rows(
    postgres_server: EmbeddedServer, database_name: str, new_home: Home, tmp_path: Path
) -> None:
    postgres_server.ensure_database(f"{database_name}_dagster")
    owner, name = postgres_server.url(database_name, owner=True), database_name
    add_task(postgres_server.url(name), "kept")
    settings = Settings(home=new_home().home, database_url=postgres_server.url(name), backup_database_url=owner)
    try:
        with pytest.raises(NotAllowed, match="PENSTOCK_BACKUP_DATABASE_URL"):
            backup(settings.model_copy(update={"backup_database_url": None}), tmp_path / "b")
        assert not list(tmp_path.iterdir())
        made = backup(settings, tmp_path / "b")
        add_task(postgres_server.url(name), "later")
        with open_archive(tmp_path / "b") as reader:
            assert reader.manifest == made and made.rows["tasks"] == 1
        done = restore(settings, tmp_path / "b", replace=True)
        assert titles(postgres_server.url(name)) == ["kept"]
        database = Database(postgres_server.url(name))
        with contextlib.closing(database), database.team(DEFAULT_TEAM) as connection:
            assert connection.execute("SELECT title FROM tasks").fetchall() == [("kept",)]
            assert connection.execute("SELECT session_user").fetchone() == (LOGIN,)
        assert len(done.kept) == 2
    finally:
        with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
            for (left,) in connection.execute(
                "SELECT datname FROM pg_database WHERE datname ~ %s", (f"^{name}_",)
            ).fetchall():
                connection.execute(f"DROP DATABASE {left} WITH (FORCE)".encode())


def test_a_failed_backup_leaves_the_one_that_is_there(saved: tuple[Settings, Path], new_home: Home) -> None:
    settings, path = saved
    before = path.read_bytes()
    left = path.with_name(f".{path.name}.99999999.part")
    left.write_bytes(b"of a backup that was killed")
    (settings.home / "secrets" / "large").write_bytes(b"x" * (65 << 20))
    with pytest.raises(BackupFailed, match="more than 64 MB"):
        backup(settings, path, key=KEY)
    assert path.read_bytes() == before and [one.name for one in path.parent.iterdir()] == [path.name]
    with pytest.raises(BackupFailed, match="nothing to back up"):
        backup(new_home(), path)
    with pytest.raises(BackupFailed, match="cannot be written"):
        backup(settings, path / "below")
    assert path.read_bytes() == before


def test_with_kafka_one_must_say_which_topics_there_are(saved: tuple[Settings, Path], new_home: Home) -> None:
    _, path = saved
    target = replace_log(new_home())
    changed = _rewritten(path, lambda manifest: manifest.__setitem__("event_log", "kafka"))
    with pytest.raises(RestoreFailed, match="--kafka same"):
        restore(target, changed, key=KEY)


def replace_log(settings: Settings) -> Settings:
    return settings.model_copy(update={"event_log": "kafka"})


def test_with_new_topics_the_relay_begins_again_and_sensors_read_from_the_start(
    postgres_server: EmbeddedServer, database_name: str
) -> None:
    def state(name: str, held: str | None) -> str:
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("penstock"), "r"), name)
        data = SensorInstigatorData(last_run_key="key", cursor=held)
        return serialize_value(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data))

    postgres_server.ensure_database(dagster := f"{database_name}_cursors")
    penstock, url = (postgres_server.url(name, owner=True) for name in (database_name, dagster))
    with psycopg.connect(penstock) as connection:
        connection.execute("INSERT INTO penstock.relay_positions (topic, next_offset) VALUES (%s, 7)", (TASKS,))
    _forget_offsets(penstock, url)  # Dagster has no tables yet
    bodies = [state("task_sensor", cursor.dump("kafka", {0: 5, 1: 6})), state("sweep_sensor", "12.5"), state("x", None)]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE instigators (id bigint PRIMARY KEY, instigator_body text)")
        for number, body in enumerate(bodies):
            connection.execute("INSERT INTO instigators VALUES (%s, %s)", (number, body))
    _forget_offsets(penstock, url)
    with psycopg.connect(url) as connection:
        rows = [body for (body,) in connection.execute("SELECT instigator_body FROM instigators ORDER BY id")]
    assert rows[1:] == bodies[1:]
    held = deserialize_value(str(rows[0]), InstigatorState).instigator_data
    assert isinstance(held, SensorInstigatorData) and (held.cursor, held.last_run_key) == (None, "key")
    with psycopg.connect(penstock) as connection:
        assert connection.execute("SELECT * FROM penstock.relay_positions").fetchall() == []
