"""Reads the rows of a staged version that Great Expectations validates: a bounded part of what it changed, broken
rows first.

They are read while the version is staged, as plain Python values, so that they can be validated after the version
became visible or was discarded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.indexing import quality
from assets.context.indexing.quality import Gate, ModelRow, Staged
from assets.context.store import versions

MOST_ROWS = 2000

Row = tuple[object, ...]

_FILES = f"""
SELECT path, mode, encode(blob, 'hex'), content_id IS NOT NULL, skipped,
       (SELECT count(*) FROM source_files o WHERE o.team_id = f.team_id AND o.source = f.source AND o.path = f.path
        AND o.since <= %(version)s AND (o.until IS NULL OR o.until > %(version)s))
FROM source_files f WHERE {versions.LIVE} AND path = ANY(%(paths)s) ORDER BY 6 DESC, path LIMIT %(most)s
"""  # noqa: S608
_CONTENTS = """
SELECT d.id, c.id IS NOT NULL, cardinality(c.lengths), coalesce(k.count, 0), coalesce(k.last + 1, 0)
FROM unnest(%(contents)s::bigint[]) AS d(id) LEFT JOIN contents c ON c.id = d.id
LEFT JOIN (SELECT content_id, count(*) AS count, max(chunk) AS last FROM chunks
           WHERE content_id = ANY(%(contents)s) GROUP BY content_id) k ON k.content_id = d.id
ORDER BY c.id IS NOT NULL, cardinality(c.lengths) = coalesce(k.count, 0), d.id LIMIT %(most)s
"""
_VECTORS = """
SELECT %(model)s, k.content_id, k.chunk, %(width)s::integer, a.width, a.norm, c.lengths[k.chunk + 1] {vectors}
ORDER BY v.content_id IS NOT NULL, a.width = %(width)s, abs(a.norm - 1) <= %(error)s, k.content_id, k.chunk
LIMIT %(most)s
"""
_ZEROS = """
SELECT count(*) FILTER (WHERE c.lengths[k.chunk + 1] > 0),
       count(*) FILTER (WHERE {zero}) {vectors}
"""


@dataclass(frozen=True)
class Sample:
    """Tables by name: their columns and rows, at most `MOST_ROWS` per query; `gate` is the gate's result."""

    gate: Gate
    tables: dict[str, tuple[tuple[str, ...], list[Row]]]


COLUMNS: dict[str, tuple[str, ...]] = {
    "files": ("path", "mode", "blob", "has_content", "skipped", "rows_of_path"),
    "contents": ("content", "found", "chunks_wanted", "chunks_found", "chunks_numbered"),
    "vectors": ("model", "content", "chunk", "width_wanted", "width", "length", "words"),
    "models": ("model", "state", "width"),
    "counts": ("what", "wanted", "found"),
    "zeros": ("model", "allowed", "found", "confirmed"),
}


def take_sample(connection: Connection[TupleRow], staged: Staged, gate: Gate) -> Sample:
    """Reads the sample of a staged version and adds `gate` to it."""
    models = quality.covering_models(connection, staged)
    paths = [*staged.changed, *quality.doubled_paths(connection, staged)]
    rows: dict[str, list[Row]] = {
        "files": _rows(connection, _FILES, {**staged.scope, "paths": paths, "most": MOST_ROWS}),
        "contents": _rows(connection, _CONTENTS, {"contents": list(staged.contents), "most": MOST_ROWS}),
        "vectors": [],
        "models": [(model.identity, model.state, model.width) for model in models],
        "counts": _counts(connection, staged),
        "zeros": [],
    }
    for model in models:
        if model.has_table and model.table:
            vectors, zeros = _vectors(connection, staged, model)
            rows["vectors"] += vectors
            rows["zeros"].append(zeros)
    return Sample(gate, {name: (columns, rows[name]) for name, columns in COLUMNS.items()})


def _rows(connection: Connection[TupleRow], statement: str, parameters: dict[str, object]) -> list[Row]:
    return connection.execute(statement.encode(), parameters).fetchall()


def _vectors(connection: Connection[TupleRow], staged: Staged, model: ModelRow) -> tuple[Sequence[Row], Row]:
    parameters = {
        "contents": list(staged.contents),
        "model": model.identity,
        "width": model.width,
        "error": quality.LENGTH_ERROR,
        "most": MOST_ROWS,
    }
    vectors = sql.SQL(quality.VECTORS).format(table=sql.Identifier(model.table or ""), model=sql.Literal(model.id))
    found = connection.execute(sql.SQL(_VECTORS).format(vectors=vectors), parameters).fetchall()
    counted = connection.execute(
        sql.SQL(_ZEROS).format(vectors=vectors, zero=sql.SQL(quality.ZERO)), parameters
    ).fetchone() or (0, 0)
    confirmed = sum(identity == model.identity for identity, _, _ in staged.confirmed_zeros)
    return found, (model.identity, quality.zeros_allowed(int(counted[0])), int(counted[1]), confirmed)


def _counts(connection: Connection[TupleRow], staged: Staged) -> list[Row]:
    held, recorded = quality.paths_held(connection, staged)
    asked = [*staged.changed, *staged.removed]
    present = connection.execute(
        f"SELECT DISTINCT path FROM source_files WHERE {versions.LIVE} AND path = ANY(%(paths)s)",  # noqa: S608
        {**staged.scope, "paths": asked},
    ).fetchall()
    in_git = {path for path in asked if path in staged.in_git}
    return [
        ("paths of the commit", len(staged.in_git), recorded),
        ("stored paths", recorded, held),
        ("changed paths", len(in_git), len({path for (path,) in present} & in_git)),
        ("paths not in the commit", 0, len({path for (path,) in present} - in_git)),
    ]
