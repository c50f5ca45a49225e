"""Brings the schema up to date: roles, extension, and numbered forward-only SQL files, under one lock.

Each file runs once, in a transaction of its own, as the role that owns the tables. A file that
changed after it was applied is an error, since existing databases hold the old one.
"""

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql

from core.states import TRANSITIONS

MIGRATIONS = Path(__file__).with_name("migrations")

OLDEST_SERVER = 160_000
"""As PostgreSQL numbers its versions."""
_LOCK = 0x70656E7374  # "penst": any constant, the same in every version
_ROLES = ("penstock_owner", "penstock_app", "penstock_system", "penstock_member")


class SchemaError(RuntimeError):
    """The schema cannot be brought up to date; the message says which file and why."""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    statements: str

    @property
    def file(self) -> str:
        return f"{self.version:04d}_{self.name}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.statements.encode()).hexdigest()


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The numbered files in order. Raises `SchemaError` for a gap, a duplicate number or a bad name."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if not match:
            raise SchemaError(f"{path.name}: a migration is named NNNN_words.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise SchemaError(f"migration {expected:04d} is missing or duplicated (found {migration.version:04d})")
    return found


def upgrade(owner_url: str, *, login: str, folder: Path = MIGRATIONS) -> list[str]:
    """Applies the missing migrations and returns their names.

    `login` is the runtime login role; it is created if it is missing (without a password: it
    connects by peer authentication or gets one from the operator). Raises `SchemaError`.
    """
    wanted = migrations(folder)
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
        if connection.info.server_version < OLDEST_SERVER:
            raise SchemaError(
                f"the database runs on PostgreSQL {connection.info.server_version // 10_000}: Penstock needs "
                f"{OLDEST_SERVER // 10_000} or newer, with pgvector"
            )
        connection.execute("SET lock_timeout = '30s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            create_roles(connection, login)
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
            connection.execute("CREATE SCHEMA IF NOT EXISTS penstock AUTHORIZATION penstock_owner")
            connection.execute("GRANT USAGE ON SCHEMA penstock TO penstock_app, penstock_system")
            connection.execute("SET search_path = penstock, public")
            return _apply(connection, wanted)
        except (errors.InsufficientPrivilege, errors.FeatureNotSupported, errors.UndefinedFile) as error:
            raise SchemaError(
                f"the database {connection.info.dbname!r} cannot be set up: {str(error).splitlines()[0]}. It needs "
                "pgvector on its server, and PENSTOCK_DATABASE_OWNER_URL of a user who may create roles and extensions"
            ) from error
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def missing(connection: psycopg.Connection[Any], folder: Path = MIGRATIONS) -> list[str]:
    """The names of the migrations that the database lacks; the runtime login may query this."""
    applied = set(connection.execute("SELECT version, name FROM schema_migrations").fetchall())
    return [m.file for m in migrations(folder) if (m.version, m.name) not in applied]


def is_current(url: str, folder: Path = MIGRATIONS) -> bool:
    """Whether exactly these migrations are applied, as the runtime login of `url` sees it; False if it sees nothing."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        try:
            connection.execute("SET ROLE penstock_system")
            rows = connection.execute("SELECT version, name, sha256 FROM penstock.schema_migrations").fetchall()
        except (psycopg.ProgrammingError, psycopg.DataError):
            return False
    return set(rows) == {(m.version, m.name, m.sha256) for m in migrations(folder)}


def create_roles(connection: psycopg.Connection[Any], login: str) -> None:
    """Creates the roles that the schema names where they are missing, and lets them use the connection's database."""
    for role, kind in (*((role, "NOLOGIN") for role in _ROLES), (login, "LOGIN NOINHERIT")):
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None:
            continue
        for attempt in range(5):
            try:
                connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), sql.SQL(kind)))
                break
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                break  # another database of the same server was set up at the same moment
            except psycopg.errors.InternalError:
                time.sleep(0.05 * (attempt + 1))
    me = connection.execute("SELECT current_user").fetchone()
    owner = str(me[0]) if me else ""
    grants = [("penstock_owner", owner)] + [(role, login) for role in _ROLES[1:]]
    for role, member in grants:
        # Not membership: whoever creates a role is a member that may grant it, but not yet take it on (PostgreSQL 16).
        assumed = connection.execute("SELECT pg_has_role(%s, %s, 'SET')", (member, role)).fetchone()
        if assumed != (True,):
            grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member))
            for attempt in range(5):
                try:
                    connection.execute(grant)
                    break
                except psycopg.errors.InternalError:  # "tuple concurrently updated"
                    time.sleep(0.05 * (attempt + 1))
    database = connection.info.dbname
    connection.execute(
        sql.SQL("GRANT CONNECT, CREATE ON DATABASE {} TO penstock_owner").format(sql.Identifier(database))
    )


def _apply(connection: psycopg.Connection[tuple[object, ...]], wanted: list[Migration]) -> list[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    connection.execute("GRANT SELECT ON schema_migrations TO penstock_app, penstock_system")
    rows = connection.execute("SELECT version, name, sha256 FROM schema_migrations").fetchall()
    names = {int(str(version)): str(name) for version, name, _ in rows}
    applied = {int(str(version)): str(digest) for version, _, digest in rows}
    for migration in wanted:
        if names.get(migration.version, migration.name) != migration.name:
            raise SchemaError(
                f"the database {connection.info.dbname!r} has migration {migration.version:04d}_"
                f"{names[migration.version]} where this version has {migration.file}: it was made before the first "
                "release and cannot be brought up to date. Keep it under another name or drop it, and start again "
                "with an empty one: for the embedded server, stop the platform and move the folder `postgres` of "
                "PENSTOCK_HOME away; for a server of your own, set PENSTOCK_DATABASE_URL (and "
                "PENSTOCK_DATABASE_OWNER_URL) to a new database"
            )
    if applied and max(applied) > len(wanted):
        raise SchemaError(
            f"the database is at migration {max(applied):04d}, this version ends at {len(wanted):04d}: upgrade Penstock"
        )
    done = []
    for migration in wanted:
        known = applied.get(migration.version)
        if known is not None:
            if known != migration.sha256:
                raise SchemaError(
                    f"the database was set up by another edition of {migration.file}: run the version of Penstock that "
                    "set it up, or a new database (developers: applied files never change, add a new one)"
                )
            continue
        with connection.transaction():
            connection.execute("SET LOCAL ROLE penstock_owner")
            connection.execute("SET LOCAL lock_timeout = '10s'")
            connection.execute(migration.statements.encode())
            connection.execute("RESET ROLE")
            connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
        done.append(migration.file)
    with connection.transaction():
        connection.execute("SET LOCAL ROLE penstock_owner")
        legal = [(entity, *move) for entity, moves in TRANSITIONS.items() for move in sorted(moves)]
        connection.execute("DELETE FROM legal_transitions")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO legal_transitions VALUES (%s, %s, %s)", legal)
    return done
