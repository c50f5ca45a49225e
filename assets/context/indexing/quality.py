"""The quality gate: what must hold of a staged version before queries may see it.

Runs as SQL over what the version changed, in milliseconds, within every refresh. Great Expectations
shows the same to people afterwards (`quality_suites`), on the rows of `quality_sample`.
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
    "no_orphan_chunks": "Every file has its content, and every content exactly its chunks.",
    "vectors_are_sound": "Each chunk has one vector of each covering model: of its width, of length 1, and zero only "
    "where the model gives zero for its words.",
    "counts_agree_with_git": "The version has every path of the commit once, and no other.",
    "no_duplicate_keys": "No path, and no chunk, is there twice.",
    "models_are_known": "The covering models are in the catalogue and in use.",
}
"""The names of the checks, with what they promise."""

ZERO_SHARE = 0.1
ZEROS_ALWAYS = 2
"""A model gives a zero vector for a text without any token it knows, as for a script that it never saw. So many
such chunks may be among those with words; more mean that the model, or what it was sent, is broken. Any other zero
vector is a fault, however few there are."""

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
WHERE k.content_id = ANY(%(contents)s)
"""
_SOUND = """
SELECT count(*), count(*) FILTER (WHERE v.content_id IS NULL), count(*) FILTER (WHERE a.width <> %(width)s),
       count(*) FILTER (WHERE a.norm <> 0 AND NOT a.norm BETWEEN 1 - %(error)s AND 1 + %(error)s),
       count(*) FILTER (WHERE c.lengths[k.chunk + 1] > 0),
       count(*) FILTER (WHERE a.norm = 0 AND c.lengths[k.chunk + 1] > 0)
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
_ZEROS = "SELECT k.content_id, k.chunk " + VECTORS + "AND a.norm = 0 AND c.lengths[k.chunk + 1] > 0 ORDER BY 1, 2"
_HELD = f"SELECT count(*) FROM source_files WHERE {versions.LIVE}"  # noqa: S608
_ALL_DOUBLED = f"SELECT path FROM source_files WHERE {versions.LIVE} GROUP BY path HAVING count(*) > 1 LIMIT 1000"  # noqa: S608
_RECORDED = "SELECT files + skipped FROM index_versions WHERE team_id = %s AND source = %s AND version = %s"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of `CHECKS`, whether it was kept, and the numbers behind that."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate saw of one staged version."""

    source: str
    version: int
    commit: str
    checks: tuple[Check, ...]
    checked_at: datetime | None = None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


class GateFailed(RuntimeError):
    """A staged version was discarded; the visible one stays. `gate` tells what was wrong."""

    def __init__(self, gate: Gate) -> None:
        wrong = "; ".join(f"{check.name}: {check.detail}" for check in gate.checks if not check.passed)
        super().__init__(
            f"version {gate.version} of {gate.source} (commit {gate.commit[:12]}) did not pass the quality gate and "
            f"was discarded, the version before stays searchable: {wrong}"
        )
        self.gate = gate


Silent = tuple[str, int, int]
"""A model's identity, and the content and number of a chunk for whose words it gives a zero vector."""


@dataclass(frozen=True)
class Staged:
    """What the gate looks at: a staged version, the contents and paths that it changed, and git's own list of paths
    (as `source_files` has them). `silent` are the chunks whose zero vectors their models have confirmed."""

    team_id: uuid.UUID
    source: str
    version: int
    commit: str
    contents: Sequence[int]
    changed: Sequence[str]
    removed: Sequence[str]
    in_git: Collection[str]
    silent: Collection[Silent] = frozenset()

    @property
    def scope(self) -> dict[str, object]:
        return versions.scope(self.team_id, self.source, self.version)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that covers the staged version, as the catalogue has it (all None: it is not there)."""

    id: int | None
    identity: str | None
    state: str | None
    width: int | None
    table: str | None
    has_table: bool


def check_staged(connection: Connection[TupleRow], staged: Staged) -> Gate:
    """Checks a staged version. Costs what it changed, and one look at the number of its files."""
    covering = covering_models(connection, staged)
    known = [model for model in covering if model.has_table and model.state != "retired"]
    checks = (
        _no_orphan_chunks(connection, staged),
        vectors_are_sound(connection, staged.contents, known, staged.silent),
        _counts_agree(connection, staged),
        _no_duplicates(connection, staged),
        _models_known(covering, known),
    )
    return Gate(staged.source, staged.version, staged.commit, checks)


def unsure_staged(connection: Connection[TupleRow], staged: Staged) -> list[Silent]:
    """The zero vectors of a staged version that their models should be asked about."""
    known = [model for model in covering_models(connection, staged) if model.has_table]
    return unsure_zeros(connection, staged.contents, known, staged.silent)


def covering_models(connection: Connection[TupleRow], staged: Staged) -> list[ModelRow]:
    """The models that the staged version says it is covered by."""
    return [ModelRow(*row) for row in connection.execute(_MODELS, staged.scope).fetchall()]


def model_row(connection: Connection[TupleRow], identity: str) -> list[ModelRow]:
    """The catalogue's row of a model, if it has one."""
    rows = connection.execute(
        "SELECT id, identity, state, dimensions, table_name, to_regclass(table_name) IS NOT NULL "
        "FROM embedding_models WHERE identity = %s",
        (identity,),
    ).fetchall()
    return [ModelRow(*row) for row in rows]


def unsure_zeros(
    connection: Connection[TupleRow],
    contents: Sequence[int],
    models: Sequence[ModelRow],
    silent: Collection[Silent] = frozenset(),
) -> list[Silent]:
    """The zero vectors of chunks with words that their models should be asked about, by model and chunk.

    None of a model that has more of them than any model may have: then the vectors are wrong.
    """
    found = []
    for model in models:
        zeros = _zeros(connection, contents, model)
        if zeros and len(zeros) <= zeros_allowed(_measure(connection, contents, model).with_words):
            found += [(model.identity or "", *place) for place in zeros]
    return sorted(set(found).difference(silent))


def zeros_allowed(with_words: int) -> int:
    """How many zero vectors among so many chunks with words are no sign of a broken model."""
    return max(ZEROS_ALWAYS, int(ZERO_SHARE * with_words))


def vectors_are_sound(
    connection: Connection[TupleRow],
    contents: Sequence[int],
    models: Sequence[ModelRow],
    silent: Collection[Silent] = frozenset(),
) -> Check:
    """Whether each chunk of these contents has a usable vector of each of these models. A zero vector of a chunk with
    words is one where it is `silent`, and there are few."""
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
            if lost := len(places.difference(silent)):
                wrong.append(
                    f"{lost} of {seen.with_words} chunks have a zero vector that {model.identity} did not give"
                )
    return Check("vectors_are_sound", not wrong, "; ".join(wrong) or f"{looked_at} vectors")


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many chunks there are, and of their vectors how many are missing, of another width, of another length than
    0 or 1, of chunks with words, and zero for those."""

    total: int
    missing: int
    width: int
    length: int
    with_words: int
    zeros: int


def _measure(connection: Connection[TupleRow], contents: Sequence[int], model: ModelRow) -> _Seen:
    statement = sql.SQL(_SOUND + VECTORS).format(table=sql.Identifier(model.table or ""))
    parameters = {"contents": list(contents), "width": model.width, "error": LENGTH_ERROR}
    return _Seen(*(connection.execute(statement, parameters).fetchone() or (0,) * 6))


def _zeros(connection: Connection[TupleRow], contents: Sequence[int], model: ModelRow) -> list[tuple[int, int]]:
    statement = sql.SQL(_ZEROS).format(table=sql.Identifier(model.table or ""))
    return [(row[0], row[1]) for row in connection.execute(statement, {"contents": list(contents)}).fetchall()]


def _no_orphan_chunks(connection: Connection[TupleRow], staged: Staged) -> Check:
    row = connection.execute(_ORPHANS, {"contents": list(staged.contents)}).fetchone() or (0, 0, 0)
    missing, torn, total = (int(number) for number in row)
    wrong = []
    if missing:
        wrong.append(f"{missing} of {total} contents are not there")
    if torn:
        wrong.append(f"{torn} of {total} contents do not have the chunks that they should")
    return Check("no_orphan_chunks", not wrong, "; ".join(wrong) or f"{total} contents")


def paths_held(connection: Connection[TupleRow], staged: Staged) -> tuple[int, int]:
    """How many paths the staged version has, and how many it says that it has."""
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
        wrong.append(f"{held} paths are there, of {recorded}")
    if missing := wanted - present:
        wrong.append(f"{len(missing)} changed paths are missing, such as {min(missing)[:100]!r}")
    if extra := present - set(staged.in_git):
        wrong.append(f"{len(extra)} paths are not in the commit, such as {min(extra)[:100]!r}")
    return Check("counts_agree_with_git", not wrong, "; ".join(wrong) or f"{recorded} paths")


def doubled_paths(connection: Connection[TupleRow], staged: Staged) -> list[str]:
    """Paths that the staged version has twice: looked for among those that it changed, and among all (at most 1,000)
    where their number is wrong."""
    changed = connection.execute(_DOUBLED, {**staged.scope, "paths": list(staged.changed)}).fetchall()
    held, _ = paths_held(connection, staged)
    every = connection.execute(_ALL_DOUBLED, staged.scope).fetchall() if held != len(staged.in_git) else []
    return sorted({path for (path,) in changed + every})


def _no_duplicates(connection: Connection[TupleRow], staged: Staged) -> Check:
    doubled = doubled_paths(connection, staged)
    detail = f"{len(staged.changed)} changed paths"
    if doubled:
        detail = f"{len(doubled)} paths are there twice, such as {doubled[0][:100]!r}"
    return Check("no_duplicate_keys", not doubled, detail)


def _models_known(covering: Sequence[ModelRow], known: Sequence[ModelRow]) -> Check:
    wrong = [f"{model.identity or 'a model'} ({model.state or 'not registered'})" for model in covering]
    for model in known:
        wrong.remove(f"{model.identity or 'a model'} ({model.state or 'not registered'})")
    names = ", ".join(str(model.identity) for model in known) or "none"
    detail = f"not in use: {', '.join(wrong)}" if wrong else names
    return Check("models_are_known", not wrong, detail)


def record(connection: Connection[TupleRow], team_id: uuid.UUID, gate: Gate) -> None:
    """Keeps what a gate saw; of each source the last `KEPT_GATES`."""
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
    """What the gate saw when it last looked at a version of this source, or None."""
    row = connection.execute(
        "SELECT source, version, commit, checks, checked_at FROM index_gates WHERE team_id = %s AND source = %s "
        "ORDER BY id DESC LIMIT 1",
        (team_id, source),
    ).fetchone()
    return Gate(row[0], row[1], row[2], tuple(Check(**check) for check in row[3]), row[4]) if row else None
