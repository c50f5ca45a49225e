"""The context stage's interface for other rooms: search a source, find a task's context, report an index's state."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from assets.context.indexing.quality import Gate, last_gate
from assets.context.models.set_aside import AsideText, of_source
from assets.context.pack.context_pack import MOST_LOCATIONS, build_pack
from assets.context.pack.spans import ContextPack, Quote
from assets.context.ranking.rank import build_task_context, rank, rank_files
from assets.context.source.sources import find_source
from assets.context.store import versions
from assets.context.store.postgres import open_index
from core.database import Database
from core.embedding import Embedder
from core.health.freshness import SourceFreshness, read_freshness
from core.work import Location, TaskContext


@dataclass(frozen=True)
class IndexStatus:
    """State of a source's index; the fields from `index_version` on are empty before the first refresh."""

    source: str
    location: str
    branch: str | None
    repository: str | None
    index_version: str | None = None
    commit: str | None = None
    models: tuple[str, ...] = ()
    files: int = 0
    chunks: int = 0
    skipped_count: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    visible_at: datetime | None = None
    checked_at: datetime | None = None
    freshness: SourceFreshness | None = None
    gate: Gate | None = None
    set_aside: tuple[AsideText, ...] = ()
    """Places that a model has no vector of, so that only their words find them; at most a thousand."""

    @property
    def state(self) -> str:
        """`not indexed`, `failing`, `behind`, `unchecked` or `fresh`."""
        return self.freshness.state if self.freshness else "not indexed"


def search(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    query: str,
    k: int = 10,
    *,
    embedders: Sequence[Embedder] = (),
    fallback: Sequence[Embedder] = (),
) -> list[Location]:
    """The `k` places that best match a text, best first. The `fallback` models are searched as well if none of
    `embedders` has a vector of every chunk. Raises `NotIndexed`, and `EmbedderUnavailable` when the weights of a model
    are missing."""
    with open_index(database, team_id, source, embedders, fallback) as index:
        return rank(index, query, k)


def search_files(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    query: str,
    k: int = 10,
    *,
    embedders: Sequence[Embedder] = (),
    fallback: Sequence[Embedder] = (),
) -> list[Location]:
    """As `search`, for files: the best place in each of the `k` best files."""
    with open_index(database, team_id, source, embedders, fallback) as index:
        return rank_files(index, query, k)


def task_context(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    text: str,
    k: int = 20,
    *,
    embedders: Sequence[Embedder] = (),
    fallback: Sequence[Embedder] = (),
) -> TaskContext:
    """The context of a task with this text, from the visible index. Raises the same errors as `search`."""
    with open_index(database, team_id, source, embedders, fallback) as index:
        return build_task_context(index, text, k)


def context_pack(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    text: str,
    budget: int,
    *,
    quotes: Sequence[Quote] = (),
    embedders: Sequence[Embedder] = (),
    fallback: Sequence[Embedder] = (),
) -> ContextPack:
    """The code and quotes to show a model about a text, in at most `budget` tokens: see `build_pack`. Raises the same
    errors as `search`, and `ValueError` for a budget that cannot hold the heading."""
    with open_index(database, team_id, source, embedders, fallback) as index:
        return build_pack(index, rank(index, text, MOST_LOCATIONS), budget, quotes)


def status(database: Database, team_id: uuid.UUID, source: str) -> IndexStatus:
    """Raises `SourceError` when there is no such source."""
    found = find_source(database, team_id, source)
    with database.team(team_id) as connection:
        fresh = next(iter(read_freshness(connection, found.name)), None)
        gate = last_gate(connection, team_id, found.name)
        version = versions.visible(connection, team_id, found.name)
        if version is None:
            empty = IndexStatus(found.name, found.shown, found.branch, found.repository)
            return replace(empty, freshness=fresh, gate=gate)
        row = connection.execute(
            "SELECT checked_at FROM source_indexes WHERE team_id = %s AND source = %s", (team_id, found.name)
        ).fetchone()
        skipped = versions.skipped_files(connection, team_id, found.name, version.version)
        aside = of_source(connection, team_id, found.name, version.version)
    return IndexStatus(
        found.name,
        found.shown,
        version.branch,
        found.repository,
        versions.index_version_name(found.name, version.version),
        version.commit,
        tuple(version.models),
        version.files,
        version.chunks,
        version.skipped,
        tuple(skipped),
        version.visible_at,
        row[0] if row else None,
        fresh,
        gate,
        tuple(aside),
    )
