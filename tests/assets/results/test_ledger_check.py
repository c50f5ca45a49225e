"""The scheduled job that checks the ledger, as Dagster runs it."""

from pathlib import Path

from dagster import DagsterInstance

from assets.platform import Platform
from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings


def _check(platform: Platform) -> bool:
    from dagster_project.definitions import defs

    with DagsterInstance.ephemeral() as instance:
        done = defs.resolve_job_def("check_ledger").execute_in_process(
            instance=instance, resources={"platform": platform}, raise_on_error=False
        )
        [evaluation] = done.get_asset_check_evaluations()
        return evaluation.passed


def test_the_job_passes_while_nothing_is_lost_and_fails_otherwise(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    platform = Platform(Settings(home=tmp_path), database_url)
    try:
        assert _check(platform)
        with database.system() as connection:
            connection.execute(
                "INSERT INTO deliveries (team_id, id, kind, state, task_id, body_sha256) "
                "VALUES (%s, 'github:1', 'issues', 'task', gen_random_uuid(), '')",
                (DEFAULT_TEAM,),
            )
        assert not _check(platform)
    finally:
        platform.database.close()
