"""How fresh the context index of each source is, for commands, assets and metrics.

Only reads; the context stage writes the tables under the views. Times are by the database's clock.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow


@dataclass(frozen=True, slots=True)
class ModelFreshness:
    """`lag_seconds`: the time from the acceptance of the last announced change that the model covers until the model
    could find it. `behind_seconds`: how long a newer version has been visible that the model does not cover yet."""

    model: str
    complete: bool
    lag_seconds: float | None
    behind_seconds: float


@dataclass(frozen=True, slots=True)
class SourceFreshness:
    """`lag_seconds`: the time from the acceptance of the last announced change until it was searchable (None: no
    change was announced yet). `waiting`: changes that are announced and not indexed, the oldest for `waiting_seconds`.
    `failures`: refreshes that failed in a row since `failing_since`, the last one because of `error`. `tried_at`: when
    a refresh last succeeded or failed."""

    team_id: uuid.UUID
    source: str
    version: int | None
    commit: str | None
    visible_at: datetime | None
    checked_at: datetime | None
    lag_seconds: float | None
    waiting: int
    waiting_seconds: float
    failures: int
    failing_since: datetime | None
    error: str | None
    tried_at: datetime | None = None
    models: tuple[ModelFreshness, ...] = ()

    @property
    def state(self) -> str:
        """`not indexed`, `failing`, `behind` or `fresh`."""
        if self.failures:
            return "failing"
        if self.version is None:
            return "not indexed"
        return "behind" if self.waiting else "fresh"


_SOURCES = """
SELECT team_id, source, version, commit, visible_at, checked_at, lag_seconds, waiting,
       coalesce(greatest(extract(epoch FROM clock_timestamp() - waiting_since), 0)::double precision, 0.0),
       failures, failed_at, error, tried_at
FROM source_freshness WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY team_id, source
"""
_MODELS = """
SELECT team_id, source, model, complete, lag_seconds,
       coalesce(greatest(extract(epoch FROM clock_timestamp() - behind_since), 0)::double precision, 0.0)
FROM model_freshness WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY team_id, source, model
"""


def read_freshness(connection: Connection[TupleRow], source: str | None = None) -> list[SourceFreshness]:
    """The freshness of every source that the connection may see, or of the sources of one name."""
    models: dict[tuple[uuid.UUID, str], list[ModelFreshness]] = {}
    for team_id, name, *row in connection.execute(_MODELS, {"source": source}).fetchall():
        models.setdefault((team_id, name), []).append(ModelFreshness(*row))
    rows = connection.execute(_SOURCES, {"source": source}).fetchall()
    return [SourceFreshness(*(*row, tuple(models.get((row[0], row[1]), ())))) for row in rows]
