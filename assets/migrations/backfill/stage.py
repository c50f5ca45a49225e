"""The stage `building`: stored content gets the new model's vectors, and what that took is written down.

A driver may be killed and another goes on, so time, tokens and money add up in the migration's progress. How
vectors are made and how fast is `build`'s and `throttle`'s.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from assets.context.models import model_vectors
from assets.migrations.backfill.build import Progress, build
from assets.migrations.backfill.spot_check import check_stored
from assets.migrations.backfill.throttle import Throttle
from assets.migrations.backfill.watch import watched
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration
from assets.platform import Platform
from core.embedding import Embedder, catalogue
from core.embedding.account import cost_of
from core.states import MigrationState

SAVE_SECONDS = 1.0
"""How often progress is written."""


def backfill(platform: Platform, migration: Migration, check: Callable[[], None], tell: Callable[[str], None]) -> None:
    """Embeds what lacks vectors, looks at a sample of what is stored, and moves the migration to `shadowing`.

    `check` may raise `Stopped`. Raises as `build` does, and `MigrationRefused` when somebody moved it meanwhile.
    """
    options, database = migration.chosen, platform.database
    # Opened anew, so that the threads of a local model are made by the one that gives way.
    with database.system() as connection:
        entry = catalogue.by_id(connection, migration.new_model)
    embedder = catalogue.opened(entry, threads=options.threads or platform.settings.embedding_threads)
    saved = time.monotonic()
    throttle = Throttle(options.limits)

    def on_progress(progress: Progress) -> None:
        nonlocal saved
        if time.monotonic() - saved < SAVE_SECONDS and progress.chunks < progress.total:
            return
        saved = time.monotonic()
        body = _body(migration, progress, embedder, throttle)
        with database.system() as connection:
            record.write(connection, migration.id, progress=body)
            record.note(connection, migration.id, "progress", body)
        left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left else ""
        share = f", {throttle.share:.0%} of the time" if throttle.share < 1 else ""
        tell(f"built {body['chunks']} of {body['total']} chunks, {progress.rate:.0f} a second{share}{left}")

    with watched(platform, throttle, embedder.identity):
        done = build(
            database,
            embedder,
            batch_chunks=options.batch_chunks,
            throttle=throttle,
            nice=options.nice,
            check=check,
            on_progress=on_progress,
        )
    compared = check_stored(database, embedder, entry)
    body = _body(migration, done, embedder, throttle)
    kept = ("chunks", "seconds", "model_seconds", "tokens", "money")
    built = {name: body[name] for name in kept} | {"compared_anew": compared, **throttle.seen()}
    with database.system() as connection:
        model_vectors.note_complete(connection, migration.new_model)
        record.get(connection, migration.id, lock=True)
        record.note(connection, migration.id, "built", built)
        record.move(connection, migration, MigrationState.SHADOWING)


def _body(migration: Migration, progress: Progress, embedder: Embedder, throttle: Throttle) -> dict[str, Any]:
    """Progress with what earlier drivers did; `rate` and `seconds_left` are this one's."""
    before, cost = migration.progress, cost_of(embedder)
    # What was written just before a stop is in no note, but no longer lacking either.
    earlier = max(int(before.get("chunks", 0)), int(before.get("total", 0)) - progress.total)
    return {
        "chunks": earlier + progress.chunks,
        "total": earlier + progress.total,
        "seconds": round(float(before.get("seconds", 0.0)) + progress.seconds, 2),
        "model_seconds": round(float(before.get("model_seconds", 0.0)) + progress.model_seconds, 2),
        "tokens": int(before.get("tokens", 0)) + cost.tokens,
        "money": round(float(before.get("money", 0.0)) + cost.money, 6),
        "rate": round(progress.rate, 1),
        "seconds_left": progress.seconds_left and round(progress.seconds_left),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "live": throttle.seen(),
    }
