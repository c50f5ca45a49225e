"""Starts queued migration requests, one after the other.

A request that cannot be started now stays queued with the reason: another migration is open, or the model's server
does not answer. Idempotent: a migration is started and its request removed in one transaction.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.plan import make_plan
from assets.migrations.lifecycle.record import Migration, MigrationRefused, Options
from assets.platform import Platform
from core.embedding import EmbedderUnavailable, catalogue, migration_requests
from core.embedding.catalogue import Entry
from core.states import ModelState

TRY_AGAIN = timedelta(minutes=1)
"""How long to wait before retrying a request whose model did not answer."""


def begin_requested(
    platform: Platform, *, options: Options | None = None, tell: Callable[[str], None] = lambda text: None
) -> Migration | None:
    """Starts the first request that can be started; None when none can. `options` are those of the new migration."""
    with platform.database.system() as connection:
        queued = migration_requests.waiting(connection)
        opened = record.current(connection)
    if opened is not None and opened.is_open:
        _refuse_all(platform, queued, _is_open(opened))
        return None
    for request in queued:
        if request.state != ModelState.REGISTERED:
            tell(f"{request.model} is {request.state}: nothing is left to migrate")
            with platform.database.system() as connection:
                migration_requests.forget(connection, request.model_id)
            continue
        try:
            with platform.database.system() as connection:
                new = catalogue.by_id(connection, request.model_id)
                old = _serving(catalogue.entries(connection))
            if old is None:
                raise MigrationRefused("no model is serving: penstock models add NAME --serve is enough")
            plan = make_plan(platform.database, old, new, platform.models.open(new))
            begun = switch.start(
                platform.database,
                old,
                new,
                options or Options(slower=platform.settings.migration_slower),
                plan.as_dict(),
            )
        except (MigrationRefused, EmbedderUnavailable) as error:
            tell(f"{request.model} stays queued: {error}")
            with platform.database.system() as connection:
                migration_requests.refuse(connection, request.model_id, str(error))
            continue
        tell(f"migration {begun.id} from {begun.old_name} to {begun.new_name} has started")
        _refuse_all(platform, [other for other in queued if other.model_id != request.model_id], _is_open(begun))
        return begun
    return None


def due(queued: list[migration_requests.MigrationRequest], now: datetime | None = None) -> bool:
    """Whether any of these requests should be tried now, given that no migration is open."""
    at = now or datetime.now(UTC)
    # A request refused for an open migration need not wait: that migration has ended.
    return any(
        request.tried_at is None or request.tried_at + TRY_AGAIN <= at or (request.reason or "").startswith(_OPEN)
        for request in queued
    )


_OPEN = "migration "


def _is_open(migration: Migration) -> str:
    return f"{_OPEN}{migration.id} from {migration.old_name} to {migration.new_name} is open; it starts after that"


def _refuse_all(platform: Platform, queued: list[migration_requests.MigrationRequest], reason: str) -> None:
    for request in queued:
        if request.reason != reason:
            with platform.database.system() as connection:
                migration_requests.refuse(connection, request.model_id, reason)


def _serving(entries: list[Entry]) -> Entry | None:
    return next((entry for entry in entries if entry.state == ModelState.SERVING), None)
