"""Begins the migrations that were asked for when a model was registered, one after the other.

A wish that cannot be fulfilled now stays, with the reason: another migration is open, the model's server does
not answer. Idempotent: a migration that begins and the wish that ends are one transaction.
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
"""A wish whose model did not answer is looked at again after so long."""


def begin_requested(
    platform: Platform, *, options: Options | None = None, tell: Callable[[str], None] = lambda text: None
) -> Migration | None:
    """Begins the first wish that can be fulfilled; None when none can. `options` are those of the migration."""
    with platform.database.system() as connection:
        wishes = migration_requests.waiting(connection)
        opened = record.current(connection)
    if opened is not None and opened.is_open:
        _refuse_all(platform, wishes, _is_open(opened))
        return None
    for wish in wishes:
        if wish.state != ModelState.REGISTERED:
            tell(f"{wish.model} is {wish.state}: nothing is left to migrate")
            with platform.database.system() as connection:
                migration_requests.forget(connection, wish.model_id)
            continue
        try:
            with platform.database.system() as connection:
                new = catalogue.by_id(connection, wish.model_id)
                old = _serving(catalogue.entries(connection))
            if old is None:
                raise MigrationRefused("no model serves: penstock models add NAME --serve is enough")
            plan = make_plan(platform.database, old, new, platform.models.open(new))
            begun = switch.start(platform.database, old, new, options or Options(), plan.as_dict())
        except (MigrationRefused, EmbedderUnavailable) as error:
            tell(f"{wish.model} waits: {error}")
            with platform.database.system() as connection:
                migration_requests.refuse(connection, wish.model_id, str(error))
            continue
        tell(f"migration {begun.id} from {begun.old_name} to {begun.new_name} has begun")
        _refuse_all(platform, [other for other in wishes if other.model_id != wish.model_id], _is_open(begun))
        return begun
    return None


def due(wishes: list[migration_requests.MigrationRequest], now: datetime | None = None) -> bool:
    """Whether any of these wishes is to be looked at now, when no migration is open."""
    at = now or datetime.now(UTC)
    # One that waited for another migration has no time to keep: that has ended.
    return any(
        wish.tried_at is None or wish.tried_at + TRY_AGAIN <= at or (wish.reason or "").startswith(_OPEN)
        for wish in wishes
    )


_OPEN = "migration "


def _is_open(migration: Migration) -> str:
    return f"{_OPEN}{migration.id} from {migration.old_name} to {migration.new_name} is open; it begins after that"


def _refuse_all(platform: Platform, wishes: list[migration_requests.MigrationRequest], reason: str) -> None:
    for wish in wishes:
        if wish.reason != reason:
            with platform.database.system() as connection:
                migration_requests.refuse(connection, wish.model_id, reason)


def _serving(entries: list[Entry]) -> Entry | None:
    return next((entry for entry in entries if entry.state == ModelState.SERVING), None)
