"""The job that brings a database up to date before a release's pods start, with secrets from files as in a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from core.database.embedded import EmbeddedServer
from core.database.schema import missing
from dagster_project.dagster_tables import DAGSTER_TABLES

DATABASE = "schema_job"


@pytest.fixture
def environment(postgres_server: EmbeddedServer, tmp_path: Path) -> dict[str, str]:
    """Of the job's pod: an empty database, the addresses of both logins in files."""
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        for name in (DATABASE, f"{DATABASE}_dagster"):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]
    postgres_server.ensure_database(DATABASE)
    (tmp_path / "database_url").write_text(postgres_server.url(DATABASE))
    (tmp_path / "database_owner_url").write_text(postgres_server.url(DATABASE, owner=True))
    postgres_server.ensure_database(f"{DATABASE}_dagster")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "DAGSTER_"))},
        "PENSTOCK_HOME": str(tmp_path / "home"),
        "PENSTOCK_RUN_LAUNCHER": "stock",
        "PENSTOCK_DATABASE_URL_FILE": str(tmp_path / "database_url"),
        "PENSTOCK_DATABASE_OWNER_URL_FILE": str(tmp_path / "database_owner_url"),
        "PENSTOCK_DAGSTER_DATABASE_URL": postgres_server.url(f"{DATABASE}_dagster", owner=True),
    }


def run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dagster_project.schema_job"],
        env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_both_schemas_are_made_and_made_again_without_change(
    environment: dict[str, str], postgres_server: EmbeddedServer
) -> None:
    for _ in range(2):
        done = run(environment)
        assert done.returncode == 0, done.stderr
        assert "up to date" in done.stderr
    with psycopg.connect(postgres_server.url(DATABASE, owner=True)) as connection:
        connection.execute("SET search_path = penstock, public")
        assert missing(connection) == []
    with psycopg.connect(environment["PENSTOCK_DAGSTER_DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT count(to_regclass(name)) FROM unnest(%s::text[]) name", (list(DAGSTER_TABLES),)
        )
        assert found.fetchone() == (len(DAGSTER_TABLES),)


def test_without_an_address_it_says_what_to_set(environment: dict[str, str]) -> None:
    del environment["PENSTOCK_DATABASE_URL_FILE"], environment["PENSTOCK_DATABASE_OWNER_URL_FILE"]
    done = run(environment)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "schema: setting 'database_url' is unset: set PENSTOCK_DATABASE_URL or PENSTOCK_DATABASE_URL_FILE"
    )


def test_a_missing_secret_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "database_url").unlink()
    done = run(environment)
    assert done.returncode == 1 and "PENSTOCK_DATABASE_URL_FILE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_waited_for_and_then_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dagster_project import schema_job

    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://penstock:hidden@127.0.0.1:1/penstock")
    waits: list[float] = []
    monkeypatch.setattr(schema_job.time, "sleep", waits.append)
    assert schema_job.main() == 1
    assert len(waits) >= schema_job.ATTEMPTS - 1
    said = capsys.readouterr().err
    assert "the database cannot be reached" in said and "hidden" not in said
