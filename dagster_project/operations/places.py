"""Where a home's databases are, for a backup or a restore: as somebody who sees all rows, with the schema as it is.

`runtime.open_runtime` would bring the schema up to date, and what is backed up before an upgrade must stay as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from core import home_checks
from core.database.embedded import LOGIN, OWNER, EmbeddedServer
from core.database.start_faults import explained
from dagster_project.operations.dumps import database_of, named
from dagster_project.runtime import DATABASE

if TYPE_CHECKING:
    from core.settings import Settings


class NotAllowed(RuntimeError):
    """The database does not show all rows to this role; the message says what to set."""


@dataclass(frozen=True)
class Places:
    """Addresses of both databases for a role that sees everything. `login` is the runtime login's name, `owner` and
    `dagster_user` are the roles that own the databases."""

    penstock: str
    dagster: str
    login: str
    owner: str
    dagster_user: str


@contextmanager
def open_places(settings: "Settings") -> Iterator[Places]:
    """Starts or joins the embedded server if no database is set. Raises `NotAllowed`, `psycopg.OperationalError`
    and what `EmbeddedServer` raises."""
    url = settings.database_url
    if url is None:
        home_checks.require(settings.home, database=True)
        with explained(settings.home / "postgres"):
            server = EmbeddedServer(settings.home / "postgres")
        try:
            address = server.url(DATABASE, owner=True)
            yield Places(address, named(address, f"{DATABASE}_dagster"), LOGIN, OWNER, OWNER)
        finally:
            server.release()
        return
    given = settings.backup_database_url or settings.database_owner_url or url
    address = given.get_secret_value()
    dagster = settings.dagster_database_url
    place = dagster.get_secret_value() if dagster else named(address, f"{database_of(address) or DATABASE}_dagster")
    here, there = conninfo_to_dict(address), conninfo_to_dict(place)
    if all(here.get(part) == there.get(part) for part in ("host", "port")):
        place = named(address, database_of(place))
    login = _user(url)
    _check_rights(address)
    owner = settings.database_owner_url or url
    yield Places(address, place, login, _user(owner), _user(dagster or owner))


def _user(url: SecretStr) -> str:
    return str(conninfo_to_dict(url.get_secret_value()).get("user") or LOGIN)


def _check_rights(address: str) -> None:
    with psycopg.connect(named(address, "postgres"), connect_timeout=10) as connection:
        row = connection.execute(
            "SELECT rolsuper OR rolbypassrls, rolname FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    if row is None or not row[0]:
        raise NotAllowed(
            f"the role {row[1] if row else '?'} does not see the rows of all teams: set "
            "PENSTOCK_BACKUP_DATABASE_URL_FILE to a file with the address of the same database for a superuser "
            "or a role with BYPASSRLS"
        )
