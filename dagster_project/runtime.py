"""Opens the platform for a process: finds its databases and upgrades their schema.

The supervisor and single commands call `open_runtime`. Processes started by the supervisor get the addresses by
environment variables and call `worker_platform`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from core import home_checks
from core.database import schema
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.start_faults import explained
from core.secret_files import SUFFIX
from core.settings import Settings, load_settings

if TYPE_CHECKING:  # the supervisor uses this module too, and none of what a platform's work needs
    from assets.platform import Platform

DATABASE = "penstock"


@dataclass(frozen=True)
class Runtime:
    """An opened platform: its settings and the addresses of its databases."""

    settings: Settings
    database_url: str
    owner_url: str
    dagster_url: str
    embedded: bool
    server: EmbeddedServer | None = None
    """The embedded server, which this process holds."""

    def environment(self) -> dict[str, str]:
        """The environment variables of a worker process, in addition to the settings that it inherits."""
        addresses = {
            "PENSTOCK_DATABASE_URL": self.database_url,
            # The embedded server also admits its user as the owner; elsewhere the operator decides.
            **({"PENSTOCK_DATABASE_OWNER_URL": self.owner_url} if self.embedded else {}),
            "PENSTOCK_DAGSTER_DATABASE_URL": self.dagster_url,
        }
        # An address may have come from a file, and a variable and its file must not both be set.
        files = {f"{name}{SUFFIX}": "" for name in addresses}
        return {**addresses, **files, "DAGSTER_HOME": str(self.settings.home / "dagster")}


@contextmanager
def open_runtime(settings: Settings) -> Iterator[Runtime]:
    """Starts or joins the embedded server if no database is set, and upgrades the schema. Without the owner's address
    a schema that is up to date is enough.

    Raises `core.home_checks.UnusableHome`, `core.database.embedded.DatabaseNotStarted` and
    `core.database.schema.SchemaError`, or `psycopg.OperationalError` when the database cannot be reached.
    """
    home_checks.require(settings.home, database=settings.database_url is None)
    server = None
    login = LOGIN
    if settings.database_url is None:
        with explained(settings.home / "postgres"):
            server = EmbeddedServer(settings.home / "postgres")
        server.ensure_database(DATABASE)
        # Dagster commits about forty times per run. If a crash loses some of these commits, the lease repeats the work
        # and event ids drop duplicates; data that must not be lost is in Penstock's own database.
        server.ensure_database(f"{DATABASE}_dagster", wait_for_disk=False)
        runtime = Runtime(
            settings,
            server.url(DATABASE),
            server.url(DATABASE, owner=True),
            server.url(f"{DATABASE}_dagster", owner=True),
            embedded=True,
            server=server,
        )
    else:
        url = settings.database_url.get_secret_value()
        owner = settings.database_owner_url.get_secret_value() if settings.database_owner_url else url
        dagster = settings.dagster_database_url
        runtime = Runtime(
            settings, url, owner, dagster.get_secret_value() if dagster else _beside(owner), embedded=False
        )
        login = str(psycopg.conninfo.conninfo_to_dict(url).get("user") or LOGIN)
    try:
        # A process that is not given the owner's address, such as a command in a pod, needs it only for an upgrade.
        if settings.database_owner_url or runtime.embedded or not schema.is_current(runtime.database_url):
            schema.upgrade(runtime.owner_url, login=login)
        yield runtime
    finally:
        if server is not None:
            server.release()


def _beside(url: str) -> str:
    """The URL of Dagster's database on the same server, which is created if it is missing."""
    parts = urlsplit(url)
    name = f"{parts.path.lstrip('/') or DATABASE}_dagster"
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(parts._replace(path=f"/{quote(name)}"))


class NotStarted(RuntimeError):
    """A worker process was started without the database addresses that the supervisor passes on."""


@lru_cache(maxsize=1)
def worker_platform() -> "Platform":
    """The platform of a worker process, created once. A forked child opens its own connections."""
    from assets.platform import Platform
    from dagster_project.migration_evidence import model_evals

    settings = load_settings()
    if settings.database_url is None:
        raise NotStarted(
            f"PENSTOCK_DATABASE_URL is not set in process {os.getpid()}: start the platform with `penstock up`, "
            "which sets it, or set it to the address of your PostgreSQL"
        )
    return Platform(settings, settings.database_url.get_secret_value(), model_evals)
