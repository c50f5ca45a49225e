import uuid
from pathlib import Path

import psycopg
import pytest

from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import MIGRATIONS, SchemaError, migrations, missing, upgrade
from core.events import DEFAULT_TEAM
from core.states import TRANSITIONS, TaskState

OTHER_TEAM = uuid.UUID("00000000-0000-0000-0000-000000000002")


def _add_task(database: Database, team: uuid.UUID, event: str = "e") -> uuid.UUID:
    task = uuid.uuid4()
    with database.team(team) as connection:
        connection.execute(
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%s, %s, %s, 's', 't')",
            (team, task, event),
        )
    return task


def test_a_team_sees_and_writes_only_its_own_rows(database: Database) -> None:
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (OTHER_TEAM,))
    task = _add_task(database, DEFAULT_TEAM)
    with database.team(OTHER_TEAM) as connection:
        assert connection.execute("SELECT id FROM tasks").fetchall() == []
        assert connection.execute("DELETE FROM tasks").rowcount == 0
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT id FROM tasks").fetchall() == [(task,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.team(OTHER_TEAM) as connection:
        connection.execute(
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%s, %s, 'x', 's', 't')",
            (DEFAULT_TEAM, uuid.uuid4()),
        )


def test_a_transaction_without_a_team_sees_nothing(database_url: str, database: Database) -> None:
    _add_task(database, DEFAULT_TEAM)
    with psycopg.connect(database_url, options="-c search_path=penstock,public") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM penstock.tasks")
        connection.rollback()
        connection.execute("SET ROLE penstock_app")
        assert connection.execute("SELECT * FROM tasks").fetchall() == []


def test_the_runtime_login_is_not_a_superuser_and_owns_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolinherit FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, False, False, False)
        owned = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relowner IN ('penstock'::regrole, 'penstock_app'::regrole, "
            "'penstock_system'::regrole)"
        ).fetchone()
        assert owned == (0,)


def test_every_table_with_a_team_forces_row_level_security(database: Database) -> None:
    with database.system() as connection:
        rows = connection.execute(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'team_id' "
            "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'penstock'::regnamespace"
        ).fetchall()
    assert len(rows) >= 10
    assert [name for name, forced in rows if not forced] == []


@pytest.mark.parametrize("before", TaskState)
@pytest.mark.parametrize("after", TaskState)
def test_postgres_allows_exactly_the_task_moves_in_the_table(
    database: Database, before: TaskState, after: TaskState
) -> None:
    path = {
        TaskState.QUEUED: [],
        TaskState.RUNNING: ["running"],
        TaskState.WAITING: ["running", "waiting"],
        TaskState.RESOLVED: ["running", "resolved"],
        TaskState.UNRESOLVED: ["running", "unresolved"],
        TaskState.FAILED: ["failed"],
        TaskState.CANCELLED: ["cancelled"],
    }[before]
    task = _add_task(database, DEFAULT_TEAM)
    with database.team(DEFAULT_TEAM) as connection:
        for state in path:
            connection.execute("UPDATE tasks SET state = %s WHERE id = %s", (state, task))
    legal = before == after or (before, after) in TRANSITIONS["task"]
    try:
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute("UPDATE tasks SET state = %s WHERE id = %s", (after, task))
        moved = True
    except psycopg.errors.CheckViolation:
        moved = False
    assert moved == legal


def test_a_second_upgrade_does_nothing(postgres_server: EmbeddedServer, database_name: str) -> None:
    assert upgrade(postgres_server.url(database_name, owner=True), login=LOGIN) == []


def test_a_changed_migration_is_refused_by_name(
    postgres_server: EmbeddedServer, database_name: str, tmp_path: Path
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first = tmp_path / "0001_tenancy_and_tasks.sql"
    first.write_text(first.read_text() + "\n-- later thought\n")
    with pytest.raises(SchemaError, match="another edition of 0001_tenancy_and_tasks"):
        upgrade(postgres_server.url(database_name, owner=True), login=LOGIN, folder=tmp_path)


def test_a_database_of_another_numbering_is_refused_with_what_to_do(
    postgres_server: EmbeddedServer, database_name: str
) -> None:
    owner = postgres_server.url(database_name, owner=True)
    with psycopg.connect(owner, autocommit=True, options="-c search_path=penstock,public") as connection:
        connection.execute("UPDATE schema_migrations SET name = 'foundation' WHERE version = 1")
        row = (len(migrations()) + 1,)
        connection.execute("INSERT INTO schema_migrations VALUES (%s, 'chunks_have_contents', 'x')", row)
        assert missing(connection) == ["0001_tenancy_and_tasks"]
    with pytest.raises(
        SchemaError, match=r"0001_foundation where this version has 0001_tenancy.*start again"
    ) as refused:
        upgrade(owner, login=LOGIN)
    assert "move the folder `postgres`" in str(refused.value) and "PENSTOCK_DATABASE_URL" in str(refused.value)


def test_a_database_of_a_newer_version_is_refused(postgres_server: EmbeddedServer, database_name: str) -> None:
    owner = postgres_server.url(database_name, owner=True)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("INSERT INTO penstock.schema_migrations VALUES (99, 'later', 'x')")
    with pytest.raises(SchemaError, match=r"is at migration 0099.*upgrade Penstock"):
        upgrade(owner, login=LOGIN)


def test_a_failing_migration_leaves_no_trace(
    postgres_server: EmbeddedServer, database_name: str, tmp_path: Path
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    number = len(migrations()) + 1
    (tmp_path / f"{number:04d}_bad.sql").write_text("CREATE TABLE half (a int); SELECT no_such_function();")
    with pytest.raises(psycopg.errors.UndefinedFunction):
        upgrade(postgres_server.url(database_name, owner=True), login=LOGIN, folder=tmp_path)
    with psycopg.connect(postgres_server.url(database_name, owner=True)) as connection:
        assert connection.execute("SELECT to_regclass('penstock.half')").fetchone() == (None,)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_second.sql").write_text("SELECT 1;")
    with pytest.raises(SchemaError, match="0001 is missing"):
        migrations(tmp_path)


def test_an_owner_without_superuser_rights_sets_an_empty_server_up(tmp_path: Path) -> None:
    """As on a server of the operator's own: the owner may create roles and databases, and nothing more."""
    server = EmbeddedServer(tmp_path / "server")
    try:
        server.ensure_database("shop")
        with psycopg.connect(server.url("shop", owner=True), autocommit=True) as connection:
            connection.execute("CREATE ROLE admin CREATEROLE CREATEDB; GRANT ALL ON DATABASE shop TO admin")
            connection.execute("ALTER DATABASE shop OWNER TO admin; CREATE EXTENSION vector")
            connection.execute("ALTER SCHEMA public OWNER TO admin; CREATE ROLE penstock LOGIN NOINHERIT")
        owner = f"{server.url('shop', owner=True)}&options=-c%20role%3Dadmin"
        assert len(upgrade(owner, login="penstock")) == len(migrations())
        assert upgrade(owner, login="penstock") == []
        with psycopg.connect(server.url("shop")) as connection:
            connection.execute("SET ROLE penstock_system; SET search_path = penstock, public")
            assert missing(connection) == []
    finally:
        server.release()
