"""What is deleted after a while, and above all what is not."""

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from core import retention
from core.database import Database
from core.events import DEFAULT_TEAM

BEFORE = datetime.now(UTC) - timedelta(days=100)
OLD = BEFORE - timedelta(days=100)

Change = Callable[[Connection[TupleRow], uuid.UUID], object]


def add_ended_task(connection: Connection[TupleRow], ended: datetime = OLD, state: str = "unresolved") -> uuid.UUID:
    """A task with one attempt of three entries, which ended at `ended`."""
    task = uuid.uuid4()
    connection.execute(
        "INSERT INTO tasks (team_id, id, event_id, source, title, created_at, updated_at) "
        "VALUES (%s, %s, %s, 's', 't', %s, %s)",
        (DEFAULT_TEAM, task, str(task), ended, ended),
    )
    for moved in ("running", state):
        connection.execute("UPDATE tasks SET state = %s WHERE id = %s", (moved, task))
    connection.execute(
        "INSERT INTO attempts (team_id, task_id, attempt, claims, started_at, ended_at) VALUES (%s, %s, 1, 1, %s, %s)",
        (DEFAULT_TEAM, task, ended, ended),
    )
    for seq in range(3):
        connection.execute(
            "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body, at) "
            "VALUES (%s, %s, 1, %s, 1, 'note', '{}', %s)",
            (DEFAULT_TEAM, task, seq, ended),
        )
    return task


def _publish(state: str) -> Change:
    def change(connection: Connection[TupleRow], task: uuid.UUID) -> None:
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, body) VALUES (%s, %s, 1, 'x', '{}')",
            (DEFAULT_TEAM, task),
        )
        if state != "pending":
            connection.execute("UPDATE publications SET state = %s WHERE task_id = %s", (state, task))
        connection.execute("UPDATE publications SET updated_at = %s WHERE task_id = %s", (OLD, task))

    return change


def _published_lately(connection: Connection[TupleRow], task: uuid.UUID) -> None:
    _publish("published")(connection, task)
    connection.execute("UPDATE publications SET updated_at = now() WHERE task_id = %s", (task,))


def _open_fate(connection: Connection[TupleRow], task: uuid.UUID) -> None:
    _publish("published")(connection, task)
    connection.execute(
        "INSERT INTO fates (team_id, task_id, attempt, target, fate, head) VALUES (%s, %s, 1, 'x', 'open', 'h')",
        (DEFAULT_TEAM, task),
    )


def _remark(connection: Connection[TupleRow], task: uuid.UUID) -> None:
    connection.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, 's', '/s')", (DEFAULT_TEAM,))
    connection.execute(
        "INSERT INTO feedback (team_id, id, kind, task_id, source, ticket_service, ticket_project, branch, body) "
        "VALUES (%s, %s, 'remark', %s, 's', 'github', 'a/b', 'x', 'please')",
        (DEFAULT_TEAM, uuid.uuid4(), task),
    )


def _sql(statement: str) -> Change:
    return lambda connection, task: connection.execute(statement.encode(), {"task": task, "before": BEFORE})


STILL_NEEDED: dict[str, Change] = {
    "the task goes on": _sql("UPDATE tasks SET state = 'queued', attempt = 2 WHERE id = %(task)s"),
    "the task ended lately": _sql("UPDATE tasks SET updated_at = now() WHERE id = %(task)s"),
    "a run holds the attempt": _sql("UPDATE attempts SET lease_until = now() + interval '1h' WHERE task_id = %(task)s"),
    "the attempt ended lately": _sql("UPDATE attempts SET ended_at = %(before)s WHERE task_id = %(task)s"),
    "a publication is tried again": _publish("pending"),
    "a publication waits for approval": _publish("held"),
    "a published patch is under review": _open_fate,
    "a publication was published lately": _published_lately,
    "a remark waits for an answer": _remark,
    "the entry is new": _sql("UPDATE trajectory SET at = now() WHERE task_id = %(task)s"),
}


@pytest.mark.parametrize("why", STILL_NEEDED)
def test_a_trajectory_that_is_still_needed_stays(database: Database, why: str) -> None:
    with database.system() as connection:
        needed, ended = add_ended_task(connection), add_ended_task(connection)
        STILL_NEEDED[why](connection, needed)
    with database.system() as connection:
        assert retention.old_trajectories(connection, BEFORE) == retention.Found(3, OLD)
    assert retention.delete_trajectories(database, BEFORE) == 3
    with database.system() as connection:
        rows = connection.execute("SELECT task_id, count(*) FROM trajectory GROUP BY 1").fetchall()
    assert rows == [(needed, 3)] and ended != needed


def test_an_ended_tasks_results_and_the_ledgers_rows_stay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    kept = ("tasks", "attempts", "publications", "stage_outputs", "plan_revisions", "deliveries", "event_log")
    with database.system() as connection:
        task = add_ended_task(connection, state="resolved")
        _publish("published")(connection, task)
        key = (DEFAULT_TEAM, task)
        connection.execute(
            "INSERT INTO stage_outputs (team_id, task_id, attempt, stage, epoch, body, seconds) "
            "VALUES (%s, %s, 1, 'plan', 1, '{}', 1)",
            key,
        )
        connection.execute(
            "INSERT INTO plan_revisions (team_id, task_id, attempt, revision, reason, body) "
            "VALUES (%s, %s, 1, 1, 'r', '{}')",
            key,
        )
        before = [connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() for name in kept]  # noqa: S608
    assert retention.delete_trajectories(database, BEFORE) == 3  # in two batches
    assert retention.delete_trajectories(database, BEFORE) == 0
    with database.system() as connection:
        assert retention.old_trajectories(connection, BEFORE) == retention.Found(0, None)
        assert before == [connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() for name in kept]  # noqa: S608


def test_requests_to_models_are_deleted_by_age(database: Database) -> None:
    with database.system() as connection:
        for at in (OLD, BEFORE - timedelta(seconds=1), BEFORE + timedelta(seconds=1)):
            connection.execute(
                "INSERT INTO model_requests VALUES (%s, %s, %s, 't', 'm', '', 'b', 'chat', 'ok', 1, 1, 1, false, 0, 0, "
                "NULL, 1)",
                (DEFAULT_TEAM, uuid.uuid4(), at),
            )
        assert retention.old_model_requests(connection, BEFORE) == retention.Found(2, OLD)
    assert retention.delete_model_requests(database, BEFORE) == 2
    assert retention.delete_model_requests(database, BEFORE) == 0


def test_only_work_folders_that_no_run_holds_are_deleted(database: Database, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    with database.system() as connection:
        held, left = add_ended_task(connection), add_ended_task(connection)
        connection.execute("UPDATE attempts SET lease_until = now() + interval '1h' WHERE task_id = %s", (held,))
    names = [f"{held}-1-7", f"{left}-1-2", f"{uuid.uuid4()}-3-1", f"{left}-9-9", "notes", f"{left}-1"]
    for name in names:
        (work / name / "checkout").mkdir(parents=True)
    (work / f"{uuid.uuid4()}-1-1").symlink_to(outside)
    for path in work.iterdir():
        fresh = path.name.endswith("-9-9")
        os.utime(outside, (OLD.timestamp(),) * 2)
        os.utime(path, (OLD.timestamp(),) * 2 if not fresh else None, follow_symlinks=False)
    gone = {f"{left}-1-2", names[2]}
    with database.system() as connection:
        assert {path.name for path, _ in retention.old_folders(connection, work, BEFORE)} == gone
        assert retention.old_folders(connection, tmp_path / "nowhere", BEFORE) == []
    assert retention.delete_folders(database, work, BEFORE) == 2
    assert {path.name for path in work.iterdir() if not path.is_symlink()} == set(names) - gone
    assert outside.is_dir()
