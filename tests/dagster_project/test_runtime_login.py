"""A command that has only the runtime login's address, as in a pod of the code location."""

from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from core.database import schema
from core.database.embedded import EmbeddedServer
from core.settings import Settings
from dagster_project.runtime import open_runtime


def settings(home: Path, url: str) -> Settings:
    return Settings(home=home, database_url=SecretStr(url), dagster_database_url=SecretStr(url))


def test_a_schema_that_is_up_to_date_needs_no_owner(database_url: str, tmp_path: Path) -> None:
    with open_runtime(settings(tmp_path, database_url)) as runtime:
        assert runtime.database_url == database_url


def test_an_older_or_empty_database_needs_its_owner(
    postgres_server: EmbeddedServer, database_name: str, database_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_server.url(database_name, owner=True), autocommit=True) as connection:
        connection.execute("DELETE FROM penstock.schema_migrations WHERE version = 2")
    assert not schema.is_current(database_url)
    with (
        pytest.raises(schema.SchemaError, match="PENSTOCK_DATABASE_OWNER_URL"),
        open_runtime(settings(tmp_path, database_url)),
    ):
        pass
    postgres_server.ensure_database("empty_one")
    assert not schema.is_current(postgres_server.url("empty_one"))


def test_another_edition_of_a_migration_is_not_up_to_date(
    postgres_server: EmbeddedServer, database_name: str, database_url: str
) -> None:
    assert schema.is_current(database_url)
    with psycopg.connect(postgres_server.url(database_name, owner=True), autocommit=True) as connection:
        connection.execute("UPDATE penstock.schema_migrations SET sha256 = 'other' WHERE version = 3")
    assert not schema.is_current(database_url)
