import shutil
from pathlib import Path

import psycopg

from assets.context.store.postings import unpack
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import MIGRATIONS, upgrade
from core.events import DEFAULT_TEAM


def test_postings_stored_by_content_become_segments_of_their_own(
    postgres_server: EmbeddedServer, tmp_path: Path
) -> None:
    old = tmp_path / "migrations"
    old.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql"))[:4]:
        shutil.copy(path, old)
    postgres_server.ensure_database("stored_before")
    url = postgres_server.url("stored_before", owner=True)
    try:
        upgrade(url, login=LOGIN, folder=old)
        with psycopg.connect(url) as connection:
            connection.execute("SET search_path = penstock, public")
            for blob in (b"\1", b"\2"):
                row = connection.execute(
                    "INSERT INTO contents (team_id, blob, chunker, lengths) VALUES (%s, %s, 'x-1', '{3,4}') "
                    "RETURNING id",
                    (DEFAULT_TEAM, blob),
                ).fetchone()
                assert row is not None
                connection.execute(
                    "INSERT INTO postings (team_id, term, content_id, hits) VALUES (%s, 'word', %s, %s)",
                    (DEFAULT_TEAM, row[0], b"\0\0\2\0\1\0\1\0"),
                )
        upgrade(url, login=LOGIN)
        with psycopg.connect(url) as connection:
            connection.execute("SET search_path = penstock, public")
            found = connection.execute(
                "SELECT c.id, c.segment, c.first_slot, p.hits FROM contents c JOIN postings p USING (segment) "
                "ORDER BY 1"
            ).fetchall()
            assert [(row[0], row[2], unpack(row[3]).tolist()) for row in found] == [
                (found[0][1], 0, [[0, 2], [1, 1]]),
                (found[1][1], 0, [[0, 2], [1, 1]]),
            ]
            row = connection.execute("SELECT nextval('segments')").fetchone()
            assert row is not None
            assert row[0] > found[1][1]
    finally:
        with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
            connection.execute("DROP DATABASE stored_before WITH (FORCE)")
