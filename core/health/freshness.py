"""How fresh the context index of each source is, for commands, assets and metrics.

Only reads; the context stage writes the tables under the views. Times are by the database's clock.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

UNCHECKED_SECONDS = 3600.0
"""An index of which nobody has looked for so long whether its source has moved on is not called fresh."""


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
    a refresh last succeeded or failed. `looked_at`, `look_seconds` ago: when the head of the branch was last compared
    with the index, by a refresh or a sweep; `look_error` says why the sweep after that could not."""

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
    looked_at: datetime | None = None
    look_seconds: float | None = None
    look_error: str | None = None
    models: tuple[ModelFreshness, ...] = ()

    @property
    def state(self) -> str:
        """`not indexed`, `failing`, `behind`, `unchecked` or `fresh`."""
        if self.failures:
            return "failing"
        if self.version is None:
            return "not indexed"
        if self.waiting:
            return "behind"
        looked = self.look_seconds is not None and self.look_seconds <= UNCHECKED_SECONDS
        return "fresh" if looked else "unchecked"


_SOURCES = """
SELECT f.team_id, f.source, f.version, f.commit, f.visible_at, f.checked_at, f.lag_seconds, f.waiting,
       coalesce(greatest(extract(epoch FROM clock_timestamp() - f.waiting_since), 0)::double precision, 0.0),
       f.failures, f.failed_at, f.error, f.tried_at, greatest(f.checked_at, w.swept_at),
       greatest(extract(epoch FROM clock_timestamp() - greatest(f.checked_at, w.swept_at)), 0)::double precision,
       w.error
FROM source_freshness f LEFT JOIN sweeps w ON (w.team_id, w.service, w.project) = (f.team_id, 'git', f.source)
WHERE %(source)s::text IS NULL OR f.source = %(source)s ORDER BY f.team_id, f.source
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
