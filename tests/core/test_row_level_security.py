"""Row-level security of every table that exists, read from the catalogue: what a query sees that forgets every WHERE.

A new table without protection fails here.
"""

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from core.database import Database
from core.database.embedded import EmbeddedServer
from core.events import DEFAULT_TEAM

OTHER_TEAM = uuid.UUID("00000000-0000-0000-0000-000000000002")

PLATFORM_TABLES = {
    "embedding_models": {"SELECT"},
    "forge_writes": set(),
    "legal_transitions": {"SELECT"},
    "log_groups": set(),
    "log_topics": {"SELECT"},
    "migration_requests": set(),
    "model_events": {"SELECT"},
    "model_migration_events": set(),
    "model_migrations": set(),
    "object_nodes": set(),
    "relay_positions": set(),
    "schema_migrations": {"SELECT"},
}
"""The tables that hold nothing of a team, with what a team's transaction may do with them."""


_numbers = itertools.count(100)


@pytest.fixture
def owner(postgres_server: EmbeddedServer, database_name: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to the test's database, in which neither triggers nor foreign keys are checked."""
    url = postgres_server.url(database_name, owner=True)
    with psycopg.connect(url, autocommit=True, options="-c search_path=penstock,public") as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def _relations(owner: psycopg.Connection[Any], kinds: str, with_team: bool) -> list[str]:
    rows = owner.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relkind::text = ANY(%s) "
        "AND c.relnamespace = 'penstock'::regnamespace AND %s = EXISTS (SELECT FROM pg_attribute a "
        "WHERE a.attrelid = c.oid AND a.attname = 'team_id' AND NOT a.attisdropped) ORDER BY 1",
        (list(kinds), with_team),
    ).fetchall()
    return [str(name) for (name,) in rows]


@pytest.fixture
def tenant_tables(owner: psycopg.Connection[Any], database: Database) -> list[str]:
    """The names of all tables with rows of teams, each filled with a row of each of two teams."""
    with database.system() as connection:
        connection.execute("SELECT add_embedding_model('test/three', 3)")
    owner.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (OTHER_TEAM,))
    tables = _relations(owner, "rp", True)
    for table in tables:
        checks = owner.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", (table,)
        ).fetchall()
        for (name,) in checks:
            owner.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name))
            )
        for number, team in enumerate((DEFAULT_TEAM, OTHER_TEAM), 1):
            _add_row(owner, table, team, number)
    return tables


def _add_row(owner: psycopg.Connection[Any], table: str, team: uuid.UUID, number: int) -> None:
    columns = owner.execute(
        "SELECT attname, format_type(atttypid, NULL), atttypmod FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        (table,),
    ).fetchall()
    values = [team if name == "team_id" else _value(kind, size, number) for name, kind, size in columns]
    owner.execute(
        sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in columns),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        ),
        values,
    )


def _value(kind: str, size: int, number: int) -> Any:
    """A value of a type, different for each row and unlike those of other tables, so that nothing refers to it."""
    unique = uuid.uuid4()
    if kind.endswith("[]"):
        return "{}"
    if kind.startswith("timestamp"):
        return f"2030-01-0{number}"
    return {
        "uuid": unique,
        "text": f"{unique}",
        "bytea": unique.bytes,
        "json": "{}",
        "jsonb": "{}",
        "boolean": True,
        "xid8": f"{number}",
        "vector": f"[{','.join(['1'] * max(size, 3))}]",
        "public.vector": f"[{','.join(['1'] * max(size, 3))}]",
    }.get(kind, next(_numbers))


@contextmanager
def _undone(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A part of a transaction that leaves no trace."""
    with connection.transaction(force_rollback=True):
        yield


def test_a_query_without_any_condition_reaches_only_rows_of_its_own_team(
    tenant_tables: list[str], database: Database
) -> None:
    assert len(tenant_tables) >= 35
    wrong: list[str] = []
    for team in (DEFAULT_TEAM, OTHER_TEAM):
        for table in tenant_tables:
            name = sql.Identifier(table)
            with database.team(team) as connection:
                seen = connection.execute(sql.SQL("SELECT team_id FROM {}").format(name)).fetchall()
                if {row[0] for row in seen} != {team}:
                    wrong.append(f"{table}: SELECT sees {seen}")
                for action, statement in (
                    ("UPDATE", sql.SQL("UPDATE {} SET team_id = team_id").format(name)),
                    ("DELETE", sql.SQL("DELETE FROM {}").format(name)),
                ):
                    allowed = connection.execute(
                        "SELECT has_table_privilege('penstock_app', %s, %s)", (table, action)
                    ).fetchone()
                    if not allowed or not allowed[0]:
                        continue
                    with _undone(connection):
                        changed = connection.execute(statement).rowcount
                    if changed != len(seen):
                        wrong.append(f"{table}: {action} reaches {changed} rows")
    assert wrong == []


def test_a_row_cannot_be_given_to_another_team(tenant_tables: list[str], database: Database) -> None:
    given = []
    for table in tenant_tables:
        statement = sql.SQL("UPDATE {} SET team_id = %s").format(sql.Identifier(table))
        try:
            with database.team(DEFAULT_TEAM) as connection:
                connection.execute(statement, (OTHER_TEAM,))
            given.append(table)
        except psycopg.errors.InsufficientPrivilege:
            pass
    assert given == []


def test_a_transaction_without_a_team_reaches_no_row(tenant_tables: list[str], database_url: str) -> None:
    with psycopg.connect(database_url, options="-c search_path=penstock,public") as connection:
        connection.execute("SET ROLE penstock_app")
        seen = [
            table
            for table in [*tenant_tables, "teams"]
            if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
        ]
    assert seen == []


def test_views_show_only_rows_of_their_readers_team(
    tenant_tables: list[str], owner: psycopg.Connection[Any], database: Database
) -> None:
    views = _relations(owner, "vm", True)
    assert len(views) >= 4 and _relations(owner, "vm", False) == []
    for view in views:
        shared = owner.execute(
            "SELECT coalesce('security_invoker=true' = ANY(reloptions), false) FROM pg_class WHERE oid = %s::regclass",
            (view,),
        ).fetchone()
        assert shared == (True,), f"{view} runs with its owner's rights"
        with database.team(DEFAULT_TEAM) as connection:
            rows = connection.execute(sql.SQL("SELECT team_id FROM {}").format(sql.Identifier(view))).fetchall()
        assert {row[0] for row in rows} <= {DEFAULT_TEAM}, view


def test_a_team_sees_itself_among_the_teams_and_no_other(tenant_tables: list[str], database: Database) -> None:
    with database.team(OTHER_TEAM) as connection:
        assert connection.execute("SELECT name FROM teams").fetchall() == [("other",)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.team(OTHER_TEAM) as connection:
        connection.execute("UPDATE teams SET removed_at = now()")


def test_every_other_table_is_known_to_hold_nothing_of_a_team(
    tenant_tables: list[str], owner: psycopg.Connection[Any]
) -> None:
    tables = [table for table in _relations(owner, "rp", False) if table != "teams"]
    found = {}
    for table in tables:
        found[table] = {
            action
            for action in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
            if owner.execute("SELECT has_table_privilege('penstock_app', %s, %s)", (table, action)).fetchone()
            == (True,)
        }
    assert found == PLATFORM_TABLES
