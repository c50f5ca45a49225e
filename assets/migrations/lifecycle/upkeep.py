"""Maintenance of models between migrations: embeds content that a serving model lacks, and retires models.

A serving model lacks content that was indexed while its server was away, or before it was added beside another model.
Idempotent; a model whose server does not answer is skipped until the next call.
"""

from collections.abc import Callable
from dataclasses import dataclass

from assets.context.models import model_vectors, set_aside
from assets.migrations.backfill.build import build
from assets.migrations.lifecycle import record
from assets.migrations.retirement.archive import ArchiveFailed
from assets.migrations.retirement.deadlines import Deadline, deadlines
from assets.migrations.retirement.retire import FOLDER, retire_model
from assets.platform import Platform
from core.embedding import EmbedderUnavailable, catalogue
from core.embedding.catalogue import Entry, ModelConflict
from core.states import ModelState

NICE = 10
"""Niceness of the embedding threads."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one call did: (model, chunks embedded), models retired, and (model, reason) of models skipped. `deadlines`:
    those of the remaining models."""

    embedded: tuple[tuple[str, int], ...]
    retired: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    deadlines: tuple[Deadline, ...] = ()


def keep_models(platform: Platform, *, tell: Callable[[str], None] = lambda text: None) -> Kept:
    """Embeds what serving models lack, then retires models that nothing needs any more: draining ones, and those whose
    deadline has passed. `Kept.deadlines` says what still needs a model with a deadline."""
    embedded: list[tuple[str, int]] = []
    retired: list[str] = []
    left: list[tuple[str, str]] = []
    with platform.database.system() as connection:
        found = catalogue.entries(connection)
        migration = record.current(connection)
    for entry in found:
        if entry.state != ModelState.SERVING:
            continue
        try:
            # Not the cached one: threads of a local model inherit the niceness of the thread that creates them.
            embedder = catalogue.opened(entry, threads=platform.settings.embedding_threads)
            done = build(platform.database, embedder, nice=NICE)
            tried, rest = set_aside.try_again(platform.database, embedder)
        except EmbedderUnavailable as error:
            left.append((entry.name, str(error)))
            continue
        with platform.database.system() as connection:
            model_vectors.note_complete(connection, entry.id)
        if done.chunks:
            tell(f"{entry.name}: embedded {done.chunks} chunks that it lacked")
            embedded.append((entry.name, done.chunks))
        if tried or rest.count:
            tell(f"{entry.name}: {tried} texts that were set aside have vectors now; {rest or 'none is left'}")
    busy = {migration.old_model, migration.new_model} if migration and migration.is_open else set()
    for entry in _leaving(platform):
        if entry.id in busy:
            continue
        try:
            retire_model(platform.database, entry.id, platform.settings.home / FOLDER, tell=tell)
        except (ModelConflict, ArchiveFailed) as error:
            left.append((entry.name, str(error)))
            continue
        tell(f"{entry.name}: retired")
        retired.append(entry.name)
    with platform.database.system() as connection:
        return Kept(tuple(embedded), tuple(retired), tuple(left), tuple(deadlines(connection)))


def _leaving(platform: Platform) -> list[Entry]:
    """The draining models, and those past their deadline that nothing needs. Serving ones of these become draining."""
    with platform.database.system() as connection:
        for one in deadlines(connection):
            if one.days_left <= 0 and not one.needs and one.state == ModelState.SERVING:
                catalogue.move(connection, one.model_id, ModelState.DRAINING)
        due = {one.model_id for one in deadlines(connection) if one.days_left <= 0 and not one.needs}
        return [
            entry for entry in catalogue.entries(connection) if entry.state == ModelState.DRAINING or entry.id in due
        ]
