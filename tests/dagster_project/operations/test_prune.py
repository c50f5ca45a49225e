"""`penstock prune` and the nightly job: a dry run deletes nothing, and both delete what it says."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from typer.testing import CliRunner

from assets.platform import Platform
from core.database import Database
from core.events import OUTCOMES
from core.settings import Settings
from dagster_project.cli.app import app
from dagster_project.jobs.retention import prune_tasks
from dagster_project.operations.retention import kinds
from tests.core.test_retention import add_ended_task

ANCIENT = datetime.now(UTC) - timedelta(days=500)
NAMES = ["runs", "events tasks", "events changes", "events outcomes", "events dead-letters", "events research",
         "events objects", "trajectories", "model requests", "thread changes", "work folders", "index contents",
         "model archives"]  # fmt: skip


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Platform:
    return Platform(Settings(home=tmp_path), database_url)


def test_what_a_dry_run_counts_is_what_goes(platform: Platform, database: Database) -> None:
    with database.system() as connection:
        add_ended_task(connection, ANCIENT)
        connection.execute(
            "INSERT INTO event_log (topic, team_id, event_id, batch, position, log_offset, size, body, appended_at) "
            "SELECT %s, id, 'e' || n, n, 0, n, 2, '{}', %s FROM teams, generate_series(0, 2) n",
            (OUTCOMES, ANCIENT),
        )
        connection.execute("UPDATE log_topics SET next_offset = 3 WHERE topic = %s", (OUTCOMES,))
    with DagsterInstance.ephemeral() as dagster:
        create_run_for_test(dagster, status=DagsterRunStatus.SUCCESS)
        found = {kind.name: kind for kind in kinds(platform, dagster)}
        assert list(found) == NAMES
        due = {name: kind.look() for name, kind in found.items()}
        assert {name: seen.count for name, seen in due.items() if seen.count} == {
            "events outcomes": 3,
            "trajectories": 3,
        }
        assert due["trajectories"].oldest == due["events outcomes"].oldest == ANCIENT
        assert {name: kind.look() for name, kind in found.items()} == due  # looking changes nothing
        for name, kind in found.items():
            assert (name, kind.prune()) == (name, due[name].count)
        assert [kind.look().count for kind in kinds(platform, dagster)] == [0] * len(NAMES)
    platform.close()


def test_the_nightly_job_deletes_what_belongs_to_ended_tasks(platform: Platform, database: Database) -> None:
    with database.system() as connection:
        add_ended_task(connection, ANCIENT)
    with DagsterInstance.ephemeral() as dagster:
        done = prune_tasks.execute_in_process(instance=dagster, resources={"platform": platform})
        assert done.success
        text = "\n".join(entry.user_message for entry in dagster.all_logs(done.run_id))
    assert "trajectories: 3 older than 365 days deleted" in text and "events" not in text
    platform.close()


def test_the_command_shows_and_deletes(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.system() as connection:
        add_ended_task(connection, ANCIENT)
    runtime = SimpleNamespace(database_url=database_url, environment=dict)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setattr("dagster_project.runtime.open_runtime", lambda settings: contextlib.nullcontext(runtime))
    monkeypatch.setattr("dagster_project.dagster_tables.create", lambda runtime, environment: None)
    with DagsterInstance.ephemeral() as dagster:
        monkeypatch.setattr(DagsterInstance, "get", lambda: contextlib.nullcontext(dagster))

        def prune(*options: str) -> dict[str, tuple[int, int]]:
            done = CliRunner().invoke(app, ["prune", "--json", *options])
            assert done.exit_code == 0, (done.output, done.exception)
            return {one["kind"]: (one["due"], one["deleted"]) for one in json.loads(done.stdout)}

        assert list(prune("--dry-run")) == NAMES
        assert prune("--dry-run", "--kind", "trajectories") == {"trajectories": (3, 0)}
        assert CliRunner().invoke(app, ["prune", "--kind", "audit"]).exit_code == 2
        said = CliRunner().invoke(app, ["prune", "--dry-run"]).stdout
        assert "500 days ago" in said
        assert prune()["trajectories"] == (3, 3)
        assert prune()["trajectories"] == (0, 0)
