"""The migration sensor starts a run when there is work, but not while the migration waits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, RunRequest, SkipReason, build_sensor_context
from psycopg.types.json import Jsonb

from assets.migrations.gate.observe import Observation
from assets.migrations.lifecycle import drive, record, switch
from assets.migrations.lifecycle.drive import waits_since
from assets.migrations.lifecycle.record import Migration, Options
from assets.migrations.report import report
from assets.platform import Platform
from core.embedding import catalogue
from core.embedding.spec import BuiltIn
from core.health.migration_health import read_health
from core.settings import Settings
from dagster_project.definitions import defs
from sensors.migrations import migration_request_sensor, migration_sensor


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Platform:
    made = Platform(Settings(home=tmp_path, embedding_model="hashing"), database_url)
    made.models.in_use()
    return made


def begin(platform: Platform, **options: object) -> Migration:
    new = catalogue.register(platform.database, BuiltIn(name="new", provider="hashing", dimensions=64))
    with platform.database.system() as connection:
        old = catalogue.find(connection, "hashing")
    return switch.start(platform.database, old, new, Options.model_validate(options), {})


def look(platform: Platform) -> object:
    with DagsterInstance.ephemeral() as instance, build_sensor_context(instance=instance) as context:
        return migration_sensor(context, platform=platform)


def test_an_open_migration_gets_a_run_and_a_paused_or_closed_one_does_not(platform: Platform) -> None:
    assert isinstance(look(platform), SkipReason)
    migration = begin(platform)
    assert isinstance(look(platform), RunRequest)
    switch.pause(platform.database, migration.id, True)
    assert isinstance(look(platform), SkipReason)
    switch.pause(platform.database, migration.id, False)
    assert isinstance(look(platform), RunRequest)


def test_a_migration_that_a_command_ended_is_shown_as_it_ended_by_one_run(platform: Platform) -> None:
    migration = begin(platform)
    job = defs.resolve_job_def("migrate_model")
    with DagsterInstance.ephemeral() as instance:

        def tick(cursor: str | None) -> tuple[object, str | None]:
            with build_sensor_context(instance=instance, cursor=cursor) as context:
                return migration_sensor(context, platform=platform), context.cursor

        def shown() -> str:
            event = instance.get_latest_materialization_event(AssetKey("model_migration"))
            assert event is not None
            assert event.asset_materialization is not None
            return str(event.asset_materialization.metadata["state"].value)

        job.execute_in_process(resources={"platform": platform}, instance=instance)
        assert shown() == "judged"
        switch.cancel(platform.database, migration.id)
        requested, cursor = tick(None)
        assert isinstance(requested, RunRequest)
        job.execute_in_process(resources={"platform": platform}, instance=instance)
        assert shown() == "cancelled"
        assert isinstance(tick(cursor)[0], SkipReason)
        assert isinstance(tick(None)[0], SkipReason), "a run has shown it"


def test_looks_after_the_cut_over_are_no_runs(platform: Platform) -> None:
    migration = begin(platform, observe_seconds=600, drain_seconds=30)
    drive.drive(platform, migration.id)
    switch.cut_over(platform.database, migration.id, accept=True)
    first = look(platform)
    assert isinstance(first, SkipReason)
    with platform.database.system() as connection:
        seen = record.get(connection, migration.id)
        assert seen.observation is not None
        connection.execute(
            "UPDATE model_migrations SET state_at = now() - interval '601 seconds' WHERE id = %s", (migration.id,)
        )
    assert isinstance(look(platform), RunRequest), "the old model may be drained, which is work for a run"


def test_a_look_that_rolls_back_gets_a_run_that_shows_it(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = begin(platform, observe_seconds=600)
    drive.drive(platform, migration.id)
    switch.cut_over(platform.database, migration.id, accept=True)
    failed = Observation(probes=4, failed=4, p95_ms=0.0, ndcg=None, problem="4 of 4 searches failed", at=1.0)
    monkeypatch.setattr(drive.observe, "observe", lambda *given: failed)
    assert isinstance(look(platform), RunRequest)
    with platform.database.system() as connection:
        assert record.get(connection, migration.id).state == "rolled-back"


def test_after_the_cut_over_it_checks_once_a_minute_until_the_old_model_may_be_retired(platform: Platform) -> None:
    migration = begin(platform, observe_seconds=600, drain_seconds=30)
    drive.drive(platform, migration.id)  # nothing to compare with: a person decides
    switch.cut_over(platform.database, migration.id, accept=True)
    now = datetime.now(UTC)
    with platform.database.system() as connection:
        record.write(connection, migration.id, observation={"at": now.timestamp()})
        seen = record.get(connection, migration.id)
    assert waits_since(seen, now) is not None
    assert waits_since(seen, now + timedelta(seconds=61)) is None
    assert waits_since(seen, now + timedelta(seconds=601)) is None


def test_the_job_drives_the_migration_and_shows_its_report(platform: Platform) -> None:
    begin(platform)
    job = defs.resolve_job_def("migrate_model")
    done = job.execute_in_process(resources={"platform": platform}, raise_on_error=True)
    metadata = done.asset_materializations_for_node("model_migration")[0].metadata
    assert metadata["state"].value == "judged"
    assert str(metadata["waits_for"].value).startswith("an operator: the gate says inconclusive")
    assert "| when | what |" in str(metadata["report"].value)
    checks = {check.check_name: check.passed for check in done.get_asset_check_evaluations()}
    assert checks == {"migration_moves": True, "new_model_is_safe": False}


def test_a_migration_without_progress_is_reported(platform: Platform) -> None:
    migration = begin(platform)
    with platform.database.system() as connection:
        record.write(connection, migration.id, reason="a model: its server is down")
        migration = record.get(connection, migration.id)
        events = record.timeline(connection, migration.id)
    now = datetime.now(UTC)
    assert drive.drive_stalled(migration, events, now) is None
    later = now + timedelta(minutes=20)
    assert "nothing has happened for 20 minutes: it waits for a model" in str(
        drive.drive_stalled(migration, events, later)
    )
    paused = switch.pause(platform.database, migration.id, True)
    assert drive.drive_stalled(paused, events, later) is None


def test_a_migration_paused_by_a_fault_is_reported_immediately_and_one_paused_by_a_user_is_not(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    migration = begin(platform)

    def told() -> list[str | None]:
        with platform.database.system() as connection:
            found, events = report.read(connection)
            health = read_health(connection)
        return [drive.drive_stalled(found, events, datetime.now(UTC)), health.stalled if health else None]

    switch.pause(platform.database, migration.id, True, "by command")
    assert told() == [None, None]
    switch.pause(platform.database, migration.id, False)
    switch.pause(platform.database, migration.id, True, "the server gives zeros", by_itself=True)
    assert told() == ["it has paused itself: the server gives zeros; fix that, then run penstock migrate resume"] * 2
    assert isinstance(look(platform), SkipReason)
    assert "it has paused itself: the server gives zeros" in capsys.readouterr().err
    done = defs.resolve_job_def("migrate_model").execute_in_process(resources={"platform": platform})
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert not checks["migration_moves"].passed
    assert "the server gives zeros" in str(checks["migration_moves"].description)
    switch.pause(platform.database, migration.id, False)
    assert told() == [None, None]


def test_a_model_registered_with_migrate_gets_a_run_that_begins_and_then_one_that_drives(platform: Platform) -> None:
    assert isinstance(queued_request(platform), SkipReason)
    for dimensions in (64, 32):
        spec = BuiltIn(name=f"wanted-{dimensions}", provider="hashing", dimensions=dimensions, migrate=True)
        catalogue.register(platform.database, spec)
    assert isinstance(queued_request(platform), RunRequest)
    defs.resolve_job_def("begin_migration").execute_in_process(resources={"platform": platform})
    assert isinstance(look(platform), RunRequest)
    skipped = queued_request(platform)
    assert isinstance(skipped, SkipReason)
    assert "wanted-32: migration" in str(skipped.skip_message)
    defs.resolve_job_def("migrate_model").execute_in_process(resources={"platform": platform})
    with platform.database.system() as connection:
        migration = record.current(connection)
    assert migration is not None
    assert (migration.new_name, migration.state) == ("wanted-64", "judged")
    switch.cancel(platform.database, migration.id)
    assert isinstance(queued_request(platform), RunRequest)


def queued_request(platform: Platform) -> object:
    with DagsterInstance.ephemeral() as instance, build_sensor_context(instance=instance) as context:
        return migration_request_sensor(context, platform=platform)


def test_the_sensor_logs_a_stalled_migration(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    migration = begin(platform)
    assert isinstance(look(platform), RunRequest)
    assert "has happened" not in capsys.readouterr().err
    with platform.database.system() as connection:
        connection.execute("UPDATE model_migrations SET options = options || %s", (Jsonb({"stalled_minutes": 0.0001}),))
    assert isinstance(look(platform), RunRequest)
    assert f"migration {migration.id}, hashing to new: nothing has happened for 0 minutes" in capsys.readouterr().err


def test_a_migration_is_steered_by_a_job(platform: Platform) -> None:
    migration = begin(platform)

    def steer(action: str, **more: object) -> bool:
        given = {"ops": {"steer_model_migration": {"config": {"action": action, **more}}}}
        job = defs.resolve_job_def("steer_migration")
        return job.execute_in_process(given, resources={"platform": platform}, raise_on_error=False).success

    def state() -> tuple[str, bool]:
        with platform.database.system() as connection:
            now = record.get(connection, migration.id)
        return now.state, now.paused

    assert steer("pause", reason="lunch")
    assert state() == ("building", True)
    assert steer("resume")
    drive.drive(platform, migration.id)
    assert not steer("cutover")  # nothing was compared
    assert steer("cutover", accept=True)
    assert steer("rollback")
    assert not steer("cancel")
    assert state() == ("rolled-back", False)
