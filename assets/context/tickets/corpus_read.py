"""Reads the visible texts of a source's tickets: all of them, or those that changed since a moment.

A moment is the oldest transaction that was still open in a snapshot (`xmin`): every change that the snapshot did
not see has that number or a higher one. Columns are read as arrays, since creating a tuple per row takes most of
the time.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.context.ranking.index import Floats, Ints
from assets.context.store import binary
from assets.context.tickets.columns import NAMES, Contents, TicketKey, Tickets

MOST_TOUCHED = 2000
"""If more tickets than this changed, reading all of them takes no longer."""

_VISIBLE = """
    SELECT t.service, t.project, t.key, t.state, t.kind, t.url, t.created_at, p.part, p.content_id
    FROM tickets t JOIN ticket_parts p USING (team_id, source, service, project, key)
    WHERE t.team_id = %(team)s AND t.source = %(source)s AND p.team_id = %(team)s AND p.source = %(source)s
      AND t.deleted_at IS NULL AND NOT t.hidden AND p.content_id IS NOT NULL"""
_ALL = f"({_VISIBLE}) v"

# Forces a lookup by the few keys, even if Postgres has no statistics of the tables yet.
_TOUCHED = f"""touched CROSS JOIN LATERAL ({_VISIBLE}
      AND (t.service, t.project, t.key) = (touched.service, touched.project, touched.key)
      AND (p.service, p.project, p.key) = (touched.service, touched.project, touched.key) OFFSET 0) v"""

_READ = """
WITH touched AS MATERIALIZED (
    SELECT service, project, key FROM touched_tickets
    WHERE team_id = %(team)s AND source = %(source)s AND xid >= %(since)s::text::xid8 LIMIT %(most)s
), numbered AS (
    SELECT v.*, row_number() OVER (PARTITION BY v.service, v.project, v.key ORDER BY v.part) = 1 AS first
    FROM {}
), ordered AS (SELECT * FROM numbered ORDER BY service, project, key, part)
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       (SELECT extract(epoch FROM created_at)::float8 FROM sources
        WHERE team_id = %(team)s AND name = %(source)s) AS source_created,
       (SELECT array_agg(segment) FROM replaced_segments WHERE segment = ANY(%(segments)s)) AS replaced,
       (SELECT array_agg(service) FROM touched) AS touched_services,
       (SELECT array_agg(project) FROM touched) AS touched_projects,
       (SELECT array_agg(key) FROM touched) AS touched_keys,
       array_agg(service) FILTER (WHERE first) AS services, array_agg(project) FILTER (WHERE first) AS projects,
       array_agg(key) FILTER (WHERE first) AS keys, array_agg(state) FILTER (WHERE first) AS states,
       array_agg(kind) FILTER (WHERE first) AS kinds, array_agg(url) FILTER (WHERE first) AS urls,
       array_send(array_agg(coalesce(extract(epoch FROM created_at)::float8, 'NaN')) FILTER (WHERE first)) AS created,
       array_send(array_agg(first::integer::bigint)) AS first, array_agg(part) AS parts,
       array_send(array_agg(content_id)) AS contents
FROM ordered
"""
_CONTENTS = """
WITH found AS MATERIALIZED (SELECT id, segment, first_slot, lengths FROM contents WHERE id = ANY(%b))
SELECT array_send(array_agg(id)), array_send(array_agg(segment)), array_send(array_agg(first_slot::bigint)),
       array_send(array_agg(cardinality(lengths)::bigint)),
       (SELECT array_send(array_agg(l::bigint)) FROM (
            SELECT l FROM found CROSS JOIN LATERAL unnest(lengths) WITH ORDINALITY AS u(l, n) ORDER BY id, n) lengths)
FROM (SELECT * FROM found ORDER BY id) found
"""


@dataclass(frozen=True)
class Moment:
    """What a reader has seen: all transactions before `xmin`. `at` is the database's time and `added` the source's time
    of creation, in seconds since 1970; `added` is None if there is no such source."""

    xmin: int
    at: float
    added: float | None


@dataclass(frozen=True)
class Delta:
    """The changes up to `moment`: the keys of touched tickets (None if there are more than `MOST_TOUCHED`), those of
    them that are visible now, and the segments that were replaced."""

    moment: Moment
    touched: list[TicketKey] | None
    tickets: Tickets
    replaced: list[int]


def read_all(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> tuple[Moment, Tickets]:
    """All visible tickets with their texts, and the moment of the snapshot."""
    hash_joins(connection)
    row = _read(connection, _ALL, team_id, source, since=0, most=0, segments=())
    hash_joins(connection, only=False)
    return _moment(row), _tickets(row)


def read_since(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, last: Moment, segments: Sequence[int]
) -> Delta:
    """What changed after `last`, a moment in the same database; `segments` are those that the reader refers to."""
    most = MOST_TOUCHED + 1
    row = _read(connection, _TOUCHED, team_id, source, since=last.xmin, most=most, segments=segments)
    columns = (row["touched_services"] or [], row["touched_projects"] or [], row["touched_keys"] or [])
    touched = list(zip(*columns, strict=True))
    return Delta(_moment(row), touched if len(touched) < most else None, _tickets(row), row["replaced"] or [])


def read_contents(connection: Connection[TupleRow], ids: Ints) -> Contents:
    """Those of these contents that exist."""
    none = np.zeros(0, dtype=np.int64)
    if not len(ids):
        return Contents(none, none, none, none, none)
    binary.register(connection)
    row = connection.execute(_CONTENTS, (binary.bigints(ids),), binary=True).fetchone()
    return Contents(*map(_bigints, row or (None,) * 5))


def hash_joins(connection: Connection[TupleRow], *, only: bool = True) -> None:
    """Forbids nested loops in the rest of the transaction, or allows them again. Without statistics of tables that were
    just filled, Postgres would compare every row with every other."""
    connection.execute("SELECT set_config('enable_nestloop', %s, true)", ("off" if only else "on",))


def _read(
    connection: Connection[TupleRow],
    visible: str,
    team_id: uuid.UUID,
    source: str,
    *,
    since: int,
    most: int,
    segments: Sequence[int],
) -> dict[str, Any]:
    given = {"team": team_id, "source": source, "since": str(since), "most": most, "segments": list(segments)}
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        row = cursor.execute(_READ.format(visible).encode(), given).fetchone()
    if row is None:
        raise LookupError("an aggregate query returned no row")
    return row


def _moment(row: dict[str, Any]) -> Moment:
    return Moment(row["xmin"], row["now"], row["source_created"])


def _tickets(row: dict[str, Any]) -> Tickets:
    keys = list(zip(row["services"] or [], row["projects"] or [], row["keys"] or [], strict=True))
    return Tickets(
        keys,
        np.array(row["states"] or [], dtype=NAMES),
        np.array(row["kinds"] or [], dtype=NAMES),
        _floats(row["created"]),
        row["urls"] or [],
        np.asarray(np.cumsum(_bigints(row["first"])) - 1),
        row["parts"] or [],
        _bigints(row["contents"]),
    )


def _bigints(sent: bytes | None) -> Ints:
    return binary.received(sent, ">i8").astype(np.int64)


def _floats(sent: bytes | None) -> Floats:
    return binary.received(sent, ">f8").astype(np.float64)
