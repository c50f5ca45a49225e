"""The stage `building`: embeds stored content with the new model and records time, tokens and money.

These add up in the migration's progress, since a killed driver is followed by another. `build` makes the vectors, and
`pace` lets it rest.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from assets.context.models import model_vectors, set_aside
from assets.migrations.backfill.build import Progress, build
from assets.migrations.backfill.spot_check import check_stored
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration
from assets.platform import Platform
from core.embedding import Embedder, catalogue
from core.embedding.account import cost_of
from core.states import MigrationState

SAVE_SECONDS = 1.0
"""The time between two writes of progress."""


def backfill(platform: Platform, migration: Migration, check: Callable[[], None], tell: Callable[[str], None]) -> None:
    """Embeds what lacks vectors, verifies a sample of what is stored, and moves the migration to `shadowing`.

    `check` may raise `Stopped`. Raises like `build`, `WrongAnswer` for stored vectors that differ from the model's
    answers now, and `MigrationRefused` when the migration was moved meanwhile.
    """
    options, database = migration.chosen, platform.database
    # Not the cached one: threads of a local model inherit the niceness of the thread that creates them.
    with database.system() as connection:
        entry = catalogue.by_id(connection, migration.new_model)
    embedder = catalogue.opened(entry, threads=options.threads or platform.settings.embedding_threads)
    saved = time.monotonic()

    def on_progress(progress: Progress) -> None:
        nonlocal saved
        if time.monotonic() - saved < SAVE_SECONDS and progress.chunks < progress.total:
            return
        saved = time.monotonic()
        body = _body(migration, progress, embedder)
        with database.system() as connection:
            record.write(connection, migration.id, progress=body)
            record.note(connection, migration.id, "progress", body)
        left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left else ""
        share = f", {options.share:.0%} of the time" if options.share < 1 else ""
        tell(f"built {body['chunks']} of {body['total']} chunks, {progress.rate:.0f} a second{share}{left}")

    done = build(
        database,
        embedder,
        batch_chunks=options.batch_chunks,
        share=options.share,
        nice=options.nice,
        check=check,
        on_progress=on_progress,
    )
    compared = check_stored(database, embedder, entry)
    body = _body(migration, done, embedder)
    copied = ("chunks", "seconds", "model_seconds", "tokens", "money")
    built = {name: body[name] for name in copied} | {"compared_anew": compared}
    with database.system() as connection:
        model_vectors.note_complete(connection, migration.new_model)
        if (aside := set_aside.read(connection, migration.new_model)).count:
            built["set_aside"] = {"texts": aside.count, "reason": aside.reason}
            tell(f"{migration.new_name}: {aside}")
        record.get(connection, migration.id, lock=True)
        record.note(connection, migration.id, "built", built)
        record.move(connection, migration, MigrationState.SHADOWING)


def _body(migration: Migration, progress: Progress, embedder: Embedder) -> dict[str, Any]:
    """Progress including what earlier drivers did, except `rate` and `seconds_left`, which are of this one."""
    before, cost = migration.progress, cost_of(embedder)
    # Chunks written just before a stop are not in the saved progress, but no longer lacking either.
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
    }
