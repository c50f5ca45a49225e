"""Other database objects that refer to a model's table are detected before its vectors are dropped."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.record import Migration
from assets.platform import Platform
from core.database.embedded import EmbeddedServer
from core.embedding.spec import BuiltIn

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)

PLANTED = {
    "view nearest_cache": "CREATE VIEW penstock.nearest_cache AS SELECT content_id FROM penstock.{table}",
    "table chunk_notes": "CREATE TABLE penstock.chunk_notes (content_id bigint, chunk integer, note text, "
    "FOREIGN KEY (content_id, chunk) REFERENCES penstock.{table})",
    "function vector_count": "CREATE FUNCTION penstock.vector_count() RETURNS bigint BEGIN ATOMIC "
    "SELECT count(*) FROM penstock.{table}; END",
    "function vector_text": "CREATE FUNCTION penstock.vector_text() RETURNS bigint LANGUAGE plpgsql AS "
    "'BEGIN RETURN (SELECT count(*) FROM penstock.{table}); END'",
    "table row_copies": "CREATE TABLE penstock.row_copies (kept penstock.{table})",
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_migration_waits_for_what_still_refers_to_the_old_models_table(
    platform: Platform,
    begin: Callable[..., Migration],
    entry: Any,
    states: Any,
    vectors: Any,
    postgres_server: EmbeddedServer,
    database_name: str,
    what: str,
) -> None:
    table = f"vectors_{entry('hashing').id}"
    with psycopg.connect(postgres_server.url(database_name, owner=True)) as owner:
        owner.execute(PLANTED[what].format(table=table).encode())
    migration = begin(GOOD)
    driven = drive(platform, migration.id)
    assert driven.migration.state == "draining"
    said = rf"hashing cannot be retired yet: {what}(\(\))? refers to its table {table}: drop it, or make it use"
    assert re.search(said, driven.waits_for), driven.waits_for
    assert states() == {"hashing": "draining", "good": "serving"}
    assert len(vectors("hashing")) == 120
    assert not (platform.settings.home / "retired").exists()
    with psycopg.connect(postgres_server.url(database_name, owner=True)) as owner:
        owner.execute(f"DROP {what.partition(' ')[0]} penstock.{what.partition(' ')[2]}".encode())
    assert drive(platform, migration.id).migration.state == "done"
