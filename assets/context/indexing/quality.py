"""The quality gate: the checks that a staged version must pass before queries may see it.

Runs as SQL over what the version changed, in milliseconds, in every refresh. Afterwards `quality_suites` repeats
the checks with Great Expectations, on the rows of `quality_sample`, to document them.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg import Connection, sql
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from assets.context.store import versions

KEPT_GATES = 50

CHECKS = {
    "no_orphan_chunks": "Every file has its content, and every content has exactly its chunks.",
    "vectors_are_sound": "Each chunk has one vector of each covering model: of the model's width and of length 1, or "
    "zero if the model gives zero for its words.",
    "counts_agree_with_git": "The version has every path of the commit once, and no other path.",
    "no_duplicate_keys": "No path and no chunk occurs twice.",
    "models_are_known": "The covering models are in the catalogue and in use.",
}
"""The checks: name -> what it guarantees."""

ZERO_SHARE = 0.1
ZEROS_ALWAYS = 2
"""A model gives a zero vector for a text without any token it knows, for example in an unknown script. At most
`ZEROS_ALWAYS` chunks with words, or this share of them if that is more, may be such chunks; more mean that the model
or its input is broken. Any other zero vector is an error, but for texts that are set aside
(`assets.context.models.set_aside`)."""

LENGTH_ERROR = 0.01

_ORPHANS = """
SELECT count(*) FILTER (WHERE c.id IS NULL),
       count(*) FILTER (WHERE c.id IS NOT NULL AND (coalesce(k.count, 0) <> cardinality(c.lengths)
                                                    OR coalesce(k.last, -1) <> cardinality(c.lengths) - 1)),
       count(*)
FROM unnest(%(contents)s::bigint[]) AS d(id)
LEFT JOIN contents c ON c.id = d.id
LEFT JOIN (SELECT content_id, count(*) AS count, max(chunk) AS last FROM chunks
           WHERE content_id = ANY(%(contents)s) GROUP BY content_id) k ON k.content_id = d.id
"""
VECTORS = """
FROM chunks k JOIN contents c ON c.id = k.content_id
LEFT JOIN {table} v ON v.content_id = k.content_id AND v.chunk = k.chunk
LEFT JOIN LATERAL (SELECT vector_norm(v.embedding) AS norm, vector_dims(v.embedding) AS width) a ON true
LEFT JOIN set_aside_texts s ON s.model_id = {model} AND s.content_id = k.content_id AND s.chunk = k.chunk
WHERE k.content_id = ANY(%(contents)s)
"""
ZERO = "a.norm = 0 AND s.chunk IS NULL AND c.lengths[k.chunk + 1] > 0"
"""A chunk with words whose vector is zero, but not since its text is set aside."""
_SOUND = f"""
SELECT count(*), count(*) FILTER (WHERE v.content_id IS NULL), count(*) FILTER (WHERE a.width <> %(width)s),
       count(*) FILTER (WHERE a.norm <> 0 AND NOT a.norm BETWEEN 1 - %(error)s AND 1 + %(error)s),
       count(*) FILTER (WHERE c.lengths[k.chunk + 1] > 0),
       count(*) FILTER (WHERE {ZERO})
"""
_MODELS = """
SELECT m.id, m.identity, m.state, m.dimensions, m.table_name, to_regclass(m.table_name) IS NOT NULL
FROM version_models o LEFT JOIN embedding_models m ON m.id = o.model_id
WHERE o.team_id = %(team)s AND o.source = %(source)s AND o.version = %(version)s ORDER BY o.model_id
"""
_DOUBLED = f"""
SELECT path FROM source_files WHERE {versions.LIVE} AND path = ANY(%(paths)s) GROUP BY path HAVING count(*) > 1
"""  # noqa: S608
_PRESENT = f"""
SELECT path FROM source_files WHERE {versions.LIVE} AND path = ANY(%(paths)s)
"""  # noqa: S608
_ZEROS = f"SELECT k.content_id, k.chunk {VECTORS} AND {ZERO} ORDER BY 1, 2"
_HELD = f"SELECT count(*) FROM source_files WHERE {versions.LIVE}"  # noqa: S608
_ALL_DOUBLED = f"SELECT path FROM source_files WHERE {versions.LIVE} GROUP BY path HAVING count(*) > 1 LIMIT 1000"  # noqa: S608
_RECORDED = "SELECT files + skipped FROM index_versions WHERE team_id = %s AND source = %s AND version = %s"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one of `CHECKS`, with the numbers behind it."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate's result for one staged version."""

    source: str
    version: int
    commit: str
    checks: tuple[Check, ...]
    checked_at: datetime | None = None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


class GateFailed(RuntimeError):
    """A staged version was discarded; the visible one stays. `gate` holds the failed checks."""

    def __init__(self, gate: Gate) -> None:
        wrong = "; ".join(f"{check.name}: {check.detail}" for check in gate.checks if not check.passed)
        super().__init__(
            f"version {gate.version} of {gate.source} (commit {gate.commit[:12]}) did not pass the quality gate and "
            f"was discarded; the previous version stays searchable: {wrong}"
        )
        self.gate = gate


ZeroVector = tuple[str, int, int]
"""A zero vector of a chunk with words: the model's identity, the content id and the chunk's number."""


@dataclass(frozen=True)
class Staged:
    """The input of the gate: a staged version, the contents and paths that it changed, and the paths in git (in the
    form stored in `source_files`). `confirmed_zeros` are the zero vectors that their models confirmed."""

    team_id: uuid.UUID
    source: str
    version: int
    commit: str
    contents: Sequence[int]
    changed: Sequence[str]
    removed: Sequence[str]
    in_git: Collection[str]
    confirmed_zeros: Collection[ZeroVector] = frozenset()

    @property
    def scope(self) -> dict[str, object]:
        return versions.scope(self.team_id, self.source, self.version)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """The catalogue's row of a model that covers the staged version; fields are None if it is not in the catalogue."""

    id: int | None
    identity: str | None
    state: str | None
    width: int | None
    table: str | None
    has_table: bool


def check_staged(connection: Connection[TupleRow], staged: Staged) -> Gate:
    """Checks a staged version, at a cost proportional to what it changed, plus counting its files."""
    covering = covering_models(connection, staged)
    known = [model for model in covering if model.has_table and model.state != "retired"]
    checks = (
        _no_orphan_chunks(connection, staged),
        vectors_are_sound(connection, staged.contents, known, staged.confirmed_zeros),
        _counts_agree(connection, staged),
        _no_duplicates(connection, staged),
        _models_known(covering, known),
    )
    return Gate(staged.source, staged.version, staged.commit, checks)


def unconfirmed_zeros_of(connection: Connection[TupleRow], staged: Staged) -> list[ZeroVector]:
    """The zero vectors of a staged version that their models should confirm."""
    known = [model for model in covering_models(connection, staged) if model.has_table]
    return unconfirmed_zeros(connection, staged.contents, known, staged.confirmed_zeros)


def covering_models(connection: Connection[TupleRow], staged: Staged) -> list[ModelRow]:
    """The models that are recorded as covering the staged version."""
    return [ModelRow(*row) for row in connection.execute(_MODELS, staged.scope).fetchall()]


def model_row(connection: Connection[TupleRow], identity: str) -> list[ModelRow]:
    """The catalogue's row of a model; empty if there is none."""
    rows = connection.execute(
        "SELECT id, identity, state, dimensions, table_name, to_regclass(table_name) IS NOT NULL "
        "FROM embedding_models WHERE identity = %s",
        (identity,),
    ).fetchall()
    return [ModelRow(*row) for row in rows]


def unconfirmed_zeros(
    connection: Connection[TupleRow],
    contents: Sequence[int],
    models: Sequence[ModelRow],
    confirmed_zeros: Collection[ZeroVector] = frozenset(),
) -> list[ZeroVector]:
    """The zero vectors of chunks with words that their models should confirm, sorted.

    Leaves out models with more of them than `zeros_allowed`, which fail the check anyway.
    """
    found = []
    for model in models:
        zeros = _zeros(connection, contents, model)
        if zeros and len(zeros) <= zeros_allowed(_measure(connection, contents, model).with_words):
            found += [(model.identity or "", *place) for place in zeros]
    return sorted(set(found).difference(confirmed_zeros))


def zeros_allowed(with_words: int) -> int:
    """How many zero vectors are acceptable for `with_words` chunks with words."""
    return max(ZEROS_ALWAYS, int(ZERO_SHARE * with_words))


def vectors_are_sound(
    connection: Connection[TupleRow],
    contents: Sequence[int],
    models: Sequence[ModelRow],
    confirmed_zeros: Collection[ZeroVector] = frozenset(),
) -> Check:
    """Checks that each chunk of these contents has a usable vector of each of these models. Zero vectors of chunks with
    words are usable if they are in `confirmed_zeros` and there are at most `zeros_allowed`."""
    wrong, looked_at = [], 0
    for model in models:
        seen = _measure(connection, contents, model)
        looked_at += seen.total
        if seen.missing:
            wrong.append(f"{seen.missing} of {seen.total} chunks have no vector of {model.identity}")
        if seen.width:
            wrong.append(f"{seen.width} vectors of {model.identity} are not {model.width} wide")
        if seen.length:
            wrong.append(f"{seen.length} vectors of {model.identity} are not of length 1")
        if seen.zeros > zeros_allowed(seen.with_words):
            wrong.append(f"{seen.zeros} of {seen.with_words} chunks with words have a zero vector of {model.identity}")
        elif seen.zeros:
            places = {(model.identity, *place) for place in _zeros(connection, contents, model)}
            if lost := len(places.difference(confirmed_zeros)):
                wrong.append(
                    f"{lost} of {seen.with_words} chunks have a zero vector that {model.identity} did not give"
                )
    return Check("vectors_are_sound", not wrong, "; ".join(wrong) or f"{looked_at} vectors")


@dataclass(frozen=True, slots=True)
class _Seen:
    """Numbers of: chunks; missing vectors; vectors of the wrong width; vectors of a length other than 0 or 1; chunks
    with words; zero vectors of chunks with words."""

    total: int
    missing: int
    width: int
    length: int
    with_words: int
    zeros: int


def _measure(connection: Connection[TupleRow], contents: Sequence[int], model: ModelRow) -> _Seen:
    statement = sql.SQL(_SOUND + VECTORS).format(table=sql.Identifier(model.table or ""), model=sql.Literal(model.id))
    parameters = {"contents": list(contents), "width": model.width, "error": LENGTH_ERROR}
    return _Seen(*(connection.execute(statement, parameters).fetchone() or (0,) * 6))


def _zeros(connection: Connection[TupleRow], contents: Sequence[int], model: ModelRow) -> list[tuple[int, int]]:
    statement = sql.SQL(_ZEROS).format(table=sql.Identifier(model.table or ""), model=sql.Literal(model.id))
    return [(row[0], row[1]) for row in connection.execute(statement, {"contents": list(contents)}).fetchall()]


def _no_orphan_chunks(connection: Connection[TupleRow], staged: Staged) -> Check:
    row = connection.execute(_ORPHANS, {"contents": list(staged.contents)}).fetchone() or (0, 0, 0)
    missing, torn, total = (int(number) for number in row)
    wrong = []
    if missing:
        wrong.append(f"{missing} of {total} contents are missing")
    if torn:
        wrong.append(f"{torn} of {total} contents have missing or extra chunks")
    return Check("no_orphan_chunks", not wrong, "; ".join(wrong) or f"{total} contents")


def paths_held(connection: Connection[TupleRow], staged: Staged) -> tuple[int, int]:
    """The number of paths that the staged version has, and the number recorded for it."""
    row = connection.execute(_RECORDED, (staged.team_id, staged.source, staged.version)).fetchone()
    held = connection.execute(_HELD, staged.scope).fetchone()
    return int(held[0]) if held else 0, int(row[0]) if row else 0


def _counts_agree(connection: Connection[TupleRow], staged: Staged) -> Check:
    held, recorded = paths_held(connection, staged)
    wanted = {path for path in staged.changed if path in staged.in_git}
    asked = [*staged.changed, *staged.removed]
    present = {path for (path,) in connection.execute(_PRESENT, {**staged.scope, "paths": asked}).fetchall()}
    wrong = []
    if recorded != len(staged.in_git):
        wrong.append(f"the version has {recorded} paths, the commit {len(staged.in_git)}")
    if held != recorded:
        wrong.append(f"{held} paths are stored, but {recorded} recorded")
    if missing := wanted - present:
        wrong.append(f"{len(missing)} changed paths are missing, such as {min(missing)[:100]!r}")
    if extra := present - set(staged.in_git):
        wrong.append(f"{len(extra)} paths are not in the commit, such as {min(extra)[:100]!r}")
    return Check("counts_agree_with_git", not wrong, "; ".join(wrong) or f"{recorded} paths")


def doubled_paths(connection: Connection[TupleRow], staged: Staged) -> list[str]:
    """Paths that the staged version has twice: among those that it changed and, if the number of all paths is wrong,
    among all (at most 1,000)."""
    changed = connection.execute(_DOUBLED, {**staged.scope, "paths": list(staged.changed)}).fetchall()
    held, _ = paths_held(connection, staged)
    every = connection.execute(_ALL_DOUBLED, staged.scope).fetchall() if held != len(staged.in_git) else []
    return sorted({path for (path,) in changed + every})


def _no_duplicates(connection: Connection[TupleRow], staged: Staged) -> Check:
    doubled = doubled_paths(connection, staged)
    detail = f"{len(staged.changed)} changed paths"
    if doubled:
        detail = f"{len(doubled)} paths occur twice, such as {doubled[0][:100]!r}"
    return Check("no_duplicate_keys", not doubled, detail)


def _models_known(covering: Sequence[ModelRow], known: Sequence[ModelRow]) -> Check:
    wrong = [f"{model.identity or 'a model'} ({model.state or 'not registered'})" for model in covering]
    for model in known:
        wrong.remove(f"{model.identity or 'a model'} ({model.state or 'not registered'})")
    names = ", ".join(str(model.identity) for model in known) or "none"
    detail = f"not in use: {', '.join(wrong)}" if wrong else names
    return Check("models_are_known", not wrong, detail)


def record(connection: Connection[TupleRow], team_id: uuid.UUID, gate: Gate) -> None:
    """Stores a gate's result and deletes all but the last `KEPT_GATES` of the source."""
    connection.execute(
        "INSERT INTO index_gates (team_id, source, version, commit, passed, checks) VALUES (%s, %s, %s, %s, %s, %s)",
        (team_id, gate.source, gate.version, gate.commit, gate.passed, Jsonb([asdict(check) for check in gate.checks])),
    )
    connection.execute(
        "DELETE FROM index_gates WHERE team_id = %s AND source = %s AND id <= (SELECT id FROM index_gates "
        "WHERE team_id = %s AND source = %s ORDER BY id DESC OFFSET %s LIMIT 1)",
        (team_id, gate.source, team_id, gate.source, KEPT_GATES),
    )


def last_gate(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> Gate | None:
    """The latest gate's result for this source, or None."""
    row = connection.execute(
        "SELECT source, version, commit, checks, checked_at FROM index_gates WHERE team_id = %s AND source = %s "
        "ORDER BY id DESC LIMIT 1",
        (team_id, source),
    ).fetchone()
    return Gate(row[0], row[1], row[2], tuple(Check(**check) for check in row[3]), row[4]) if row else None
