"""Index versions of a source: staged, then made visible by moving one pointer.

A file's row is valid from the version that added it until the one that replaced it, so a version costs only what
changed. A reader selects a version first and then sees only that version.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

KEPT_VERSIONS = 20
"""Replaced versions whose file rows are retained, for readers that started before the pointer moved."""


class IndexConflict(RuntimeError):
    """Another refresh moved the pointer in the meantime, after the lock was lost with its connection. Refresh again."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a source's index; `id` is unique over all sources and never reused. `models` have a vector of
    every chunk."""

    version: int
    id: int
    commit: str
    branch: str
    config: str
    models: Sequence[str]
    files: int
    chunks: int
    skipped: int
    visible_at: datetime | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a version: either indexed under `content_id` or skipped for a reason."""

    path: str
    mode: str
    blob: str
    content_id: int | None
    skipped: str | None


_VERSION = """
SELECT v.version, v.id, v.commit, v.branch, v.config, v.files, v.chunks, v.skipped, v.visible_at,
       ARRAY(SELECT m.identity FROM version_models o JOIN embedding_models m ON m.id = o.model_id
             WHERE (o.team_id, o.source, o.version) = (v.team_id, v.source, v.version) ORDER BY m.id) AS models
FROM source_indexes s JOIN index_versions v USING (team_id, source, version)
WHERE s.team_id = %s AND s.source = %s
"""
LIVE = "team_id = %(team)s AND source = %(source)s AND since <= %(version)s AND (until IS NULL OR until > %(version)s)"
_CLOSE = """
UPDATE source_files SET until = %s
WHERE team_id = %s AND source = %s AND until IS NULL AND since < %s AND path = ANY(%b)
"""
_OPEN = """
INSERT INTO source_files (team_id, source, path, since, mode, blob, content_id, skipped)
SELECT %s, %s, path, %s, mode, blob, nullif(content_id, 0), nullif(skipped, '')
FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::bigint[], %b::text[]) AS f(path, mode, blob, content_id, skipped)
"""
_COUNT = """
SELECT count(content_id), coalesce(sum(cardinality(c.lengths)), 0), count(f.skipped)
FROM source_files f LEFT JOIN contents c ON c.id = f.content_id
WHERE f.team_id = %(team)s AND f.source = %(source)s
  AND f.since <= %(version)s AND (f.until IS NULL OR f.until > %(version)s)
"""


def index_version_name(source: str, version: int) -> str:
    return f"{source}#{version}"


def visible(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> Version | None:
    """The version that queries see, or None before the first refresh."""
    with connection.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(_VERSION, (team_id, source)).fetchone()


def scope(team_id: uuid.UUID, source: str, version: int) -> dict[str, object]:
    """The parameters of `LIVE`."""
    return {"team": team_id, "source": source, "version": version}


def live_files(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int) -> list[FileRow]:
    """The files of one version, including skipped ones, in byte order of their paths."""
    rows = connection.execute(
        f"SELECT path, mode, encode(blob, 'hex'), content_id, skipped FROM source_files WHERE {LIVE} ORDER BY path",  # noqa: S608
        scope(team_id, source, version),
    ).fetchall()
    return [FileRow(*row) for row in rows]


def skipped_files(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int, limit: int = 1000
) -> list[tuple[str, str]]:
    """(path, reason) of at most `limit` files that a version skips, by path."""
    rows = connection.execute(
        f"SELECT path, skipped FROM source_files WHERE {LIVE} AND skipped IS NOT NULL ORDER BY path LIMIT %(limit)s",  # noqa: S608
        {**scope(team_id, source, version), "limit": limit},
    ).fetchall()
    return [(path, reason) for path, reason in rows]


def count_chunks(connection: Connection[TupleRow], contents: Sequence[int]) -> int:
    """The total number of chunks of these contents."""
    row = connection.execute(
        "SELECT coalesce(sum(cardinality(lengths)), 0) FROM contents WHERE id = ANY(%b)", (list(contents),)
    ).fetchone()
    return int(row[0]) if row else 0


def discard_staged(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, after: int) -> None:
    """Removes what a killed refresh staged after version `after`."""
    key = (team_id, source, after)
    connection.execute("DELETE FROM source_files WHERE team_id = %s AND source = %s AND since > %s", key)
    connection.execute("UPDATE source_files SET until = NULL WHERE team_id = %s AND source = %s AND until > %s", key)
    connection.execute("DELETE FROM index_versions WHERE team_id = %s AND source = %s AND version > %s", key)


def stage(
    connection: Connection[TupleRow],
    team_id: uuid.UUID,
    source: str,
    *,
    version: int,
    changed: Sequence[FileRow],
    removed: Sequence[str],
    commit: str,
    branch: str,
    config: str,
    changed_at: datetime | None = None,
) -> None:
    """Writes a version's files and its record; queries don't see them yet."""
    paths = [*removed, *(row.path for row in changed)]
    connection.execute(_CLOSE, (version, team_id, source, version, paths))
    connection.execute(
        _OPEN,
        (
            team_id,
            source,
            version,
            [row.path for row in changed],
            [row.mode for row in changed],
            [bytes.fromhex(row.blob) for row in changed],
            [row.content_id or 0 for row in changed],
            [row.skipped or "" for row in changed],
        ),
    )
    counted = connection.execute(_COUNT, scope(team_id, source, version)).fetchone() or (0, 0, 0)
    connection.execute(
        "INSERT INTO index_versions (team_id, source, version, commit, branch, config, changed_at, files, "
        "chunks, skipped) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (team_id, source, version, commit, branch, config, changed_at, *counted),
    )


def add_models(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int, models: Sequence[int]
) -> None:
    """Records that these models (by id) have a vector of every chunk of a version."""
    connection.execute(
        "INSERT INTO version_models (team_id, source, version, model_id) SELECT %s, %s, %s, unnest(%s::integer[]) "
        "ON CONFLICT DO NOTHING",
        (team_id, source, version, list(models)),
    )


def make_visible(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int) -> None:
    """Moves the pointer from the previous version to `version` and deletes the rows of versions that are no longer
    retained. Raises `IndexConflict` if the pointer is not at the previous version."""
    if version == 1:
        moved = connection.execute(
            "INSERT INTO source_indexes (team_id, source, version) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (team_id, source, version),
        )
    else:
        moved = connection.execute(
            "UPDATE source_indexes SET version = %s, checked_at = now() WHERE team_id = %s AND source = %s "
            "AND version = %s",
            (version, team_id, source, version - 1),
        )
    if moved.rowcount != 1:
        raise IndexConflict(f"another refresh changed the index of {source} in the meantime: refresh it again")
    key = (team_id, source, version)
    connection.execute(
        "UPDATE index_versions SET visible_at = now() WHERE team_id = %s AND source = %s AND version = %s", key
    )
    old = (team_id, source, version - KEPT_VERSIONS)
    connection.execute("DELETE FROM source_files WHERE team_id = %s AND source = %s AND until <= %s", old)
    connection.execute("DELETE FROM index_versions WHERE team_id = %s AND source = %s AND version <= %s", old)


def checked(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> None:
    """Records that the source was checked and had nothing new."""
    connection.execute(
        "UPDATE source_indexes SET checked_at = now() WHERE team_id = %s AND source = %s", (team_id, source)
    )
