"""Makes Dagster's storage in PostgreSQL cheap for a process that uses it all the time.

As it comes, it opens a connection for each query and asks again and again whether its tables exist: on a platform that
has nothing to do, sixty connections and a hundred queries a second, a quarter of a core. Uses private APIs of Dagster.
"""

import functools
import os
import select
from typing import Any

from dagster_postgres.event_log import event_log
from dagster_postgres.run_storage import run_storage
from dagster_postgres.schedule_storage import schedule_storage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool

KEPT = 3
"""Connections that a process keeps; more are opened when they are needed, and closed."""
RENEWED_SECONDS = 300
"""Age from which a connection is replaced before its next use: a firewall may have forgotten it."""
ONCE_TRUE = ("_has_instigators_table", "has_instigators_table", "has_built_index")
"""Questions of the schedule storage whose answer stays yes."""


@functools.cache
def pool_connections() -> None:
    """Changes the storage of this process. Call it after a fork, not before. Raises `LookupError` if the installed
    Dagster's storage works in another way."""
    storage, modules = schedule_storage.PostgresScheduleStorage, (run_storage, event_log, schedule_storage)
    asked = [(storage, name) for name in ONCE_TRUE]
    for owner, name in [*((module, "create_pg_engine") for module in modules), *asked]:
        if not callable(getattr(owner, name, None)):
            raise LookupError(f"{owner} has no function {name}")
    for module in modules:
        module.create_pg_engine = _engine  # type: ignore[attr-defined]
    for name in ONCE_TRUE:
        setattr(storage, name, _once_true(getattr(storage, name)))


def _once_true(ask: Any) -> Any:
    known: set[tuple[str, ...]] = set()

    @functools.wraps(ask)
    def asked(self: Any, *arguments: Any) -> bool:
        key = (self.postgres_url, *(one for one in arguments if isinstance(one, str)))
        if key not in known and ask(self, *arguments):
            known.add(key)
        return key in known

    return asked


def _engine(url: str, token_provider: Any = None, **options: Any) -> Engine:
    """What a storage asks for, unless it asks for a pool itself, as the webserver does."""
    if token_provider is not None or options.get("poolclass") is not NullPool:
        return create_pg_engine(url, token_provider, **options)
    return _shared_engine(url, options.get("isolation_level"), os.getpid())


@functools.lru_cache(maxsize=8)
def _shared_engine(url: str, isolation_level: Any, _process: int) -> Engine:
    """One for all parts of the storage, and for all instances that a process opens."""
    engine = create_pg_engine(
        url,
        None,
        isolation_level=isolation_level,
        pool_size=KEPT,
        max_overflow=-1,
        pool_use_lifo=True,
        pool_recycle=RENEWED_SECONDS,
    )
    event.listen(engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """A server that has ended or restarted has closed its end, which can be seen without asking. SQLAlchemy then opens
    another connection."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    if poll.poll(0):
        raise DisconnectionError("the server has closed the connection")
