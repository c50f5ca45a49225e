"""An empty and a filled database of each earlier schema is brought to the newest: its catalogue is that of a new one,
and what was in it is there."""

import uuid
from pathlib import Path

import psycopg
import pytest

from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import MIGRATIONS, migrations, upgrade
from core.events import DEFAULT_TEAM

EARLIER = [one.version for one in migrations()][:-1]

# Everything that a schema consists of. Columns are compared by name, since added ones come last in an upgraded table.
CATALOGUE = {
    "columns": "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage, "
    "a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attacl::text FROM pg_attribute a "
    "JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) "
    "WHERE c.relnamespace = 'penstock'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
    "relations": "SELECT relname, relkind, relowner::regrole::text, relacl::text, relrowsecurity, relforcerowsecurity, "
    "reloptions::text FROM pg_class WHERE relnamespace = 'penstock'::regnamespace AND relkind <> 'i'",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'penstock'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated "
    "FROM pg_constraint WHERE connamespace = 'penstock'::regnamespace",
    "functions": "SELECT proname, pg_get_functiondef(oid), proacl::text FROM pg_proc "
    "WHERE pronamespace = 'penstock'::regnamespace",
    "triggers": "SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "WHERE c.relnamespace = 'penstock'::regnamespace AND NOT t.tgisinternal",
    "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies "
    "WHERE schemaname = 'penstock'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'penstock'",
    "sequences": "SELECT sequencename, data_type::text, start_value, increment_by, cycle FROM pg_sequences "
    "WHERE schemaname = 'penstock'",
    "migrations": "SELECT version, name, sha256 FROM penstock.schema_migrations",
    "transitions": "SELECT entity, from_state, to_state FROM penstock.legal_transitions",
}


def catalogue(url: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        return {
            name: sorted(map(repr, connection.execute(statement.encode()).fetchall()))
            for name, statement in CATALOGUE.items()
        }


def _fill(url: str) -> dict[str, int]:
    """Rows in the tables of the first schema, which every later one has; returns how many each has."""
    task = uuid.uuid4()
    given = {"team": DEFAULT_TEAM, "task": task, "event": str(task)}
    with psycopg.connect(url, options="-c search_path=penstock,public") as connection:
        for statement in (
            "INSERT INTO sources (team_id, name, location, repository) VALUES (%(team)s, 's', '/s', 'acme/s')",
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%(team)s, %(task)s, %(event)s, 's', 't')",
            "UPDATE tasks SET state = 'running' WHERE id = %(task)s",
            "UPDATE tasks SET state = 'resolved' WHERE id = %(task)s",
            "INSERT INTO attempts (team_id, task_id, attempt, ended_at) VALUES (%(team)s, %(task)s, 1, now())",
            "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body) "
            "VALUES (%(team)s, %(task)s, 1, 1, 1, 'note', '{}')",
            "INSERT INTO patches (team_id, sha256, base_commit, diff) VALUES (%(team)s, 'p', 'b', 'd')",
            "INSERT INTO verdicts (team_id, task_id, attempt, verdict, patch_sha256, body) "
            "VALUES (%(team)s, %(task)s, 1, 'pass', 'p', '{}')",
            "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
            "VALUES (%(team)s, %(task)s, 1, 'x', 'p', '{\"source\": \"s\"}')",
            "UPDATE publications SET state = 'published' WHERE task_id = %(task)s",
            "INSERT INTO api_tokens (team_id, token_sha256, name) VALUES (%(team)s, '\\x00', 'first')",
        ):
            connection.execute(statement.encode(), given)
        return _counted(connection, ("sources", "tasks", "attempts", "trajectory", "patches", "verdicts",
                                     "publications", "api_tokens"))  # fmt: skip


def _counted(connection: psycopg.Connection[tuple[object, ...]], names: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for name in names:
        row = connection.execute(b"SELECT count(*) FROM " + name.encode()).fetchone()
        found[name] = int(str(row[0])) if row else 0
    return found


@pytest.fixture(scope="module")
def newest(postgres_server: EmbeddedServer) -> dict[str, list[str]]:
    return catalogue(postgres_server.url("template_penstock", owner=True))


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("version", EARLIER)
def test_a_database_of_an_earlier_version_becomes_like_a_new_one(
    postgres_server: EmbeddedServer, newest: dict[str, list[str]], tmp_path: Path, version: int, filled: bool
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        if int(path.name[:4]) <= version:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    name = f"from_{version}_{'filled' if filled else 'empty'}"
    postgres_server.ensure_database(name)
    url = postgres_server.url(name, owner=True)
    try:
        assert len(upgrade(url, login=LOGIN, folder=tmp_path)) == version
        before = _fill(url) if filled else {}
        assert len(upgrade(url, login=LOGIN)) == len(migrations()) - version
        found = catalogue(url)
        for kind in CATALOGUE:
            assert found[kind] == newest[kind], kind
        with psycopg.connect(url, options="-c search_path=penstock,public") as connection:
            assert _counted(connection, tuple(before)) == before
        assert upgrade(url, login=LOGIN) == []
    finally:
        with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
