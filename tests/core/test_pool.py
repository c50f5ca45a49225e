"""Vectors as parameters of the pool's connections."""

import numpy as np
import psycopg

from core.database import Database
from core.database.embedded import EmbeddedServer
from core.events import DEFAULT_TEAM


def test_an_array_is_a_vector_parameter_on_every_connection(database: Database) -> None:
    for _ in range(2):
        with database.team(DEFAULT_TEAM) as one, database.system() as other:
            for connection in (one, other):
                given = (np.array([3, 4], dtype=np.float32), np.array([1.0, 0.5]))
                row = connection.execute("SELECT pg_typeof(%b)::text, %b <#> '[2,2]'", given).fetchone()
                assert row == ("vector", -3.0)


def test_a_database_without_pgvector_is_reached_and_later_connections_know_it(
    postgres_server: EmbeddedServer,
) -> None:
    postgres_server.ensure_database("without_pgvector")
    database = Database(postgres_server.url("without_pgvector"))
    try:
        with database.system() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            with psycopg.connect(postgres_server.url("without_pgvector", owner=True), autocommit=True) as owner:
                owner.execute("CREATE EXTENSION vector WITH SCHEMA public")
            with database.system() as later:
                assert later.execute("SELECT vector_dims(%b)", (np.ones(3),)).fetchone() == (3,)
    finally:
        database.close()
