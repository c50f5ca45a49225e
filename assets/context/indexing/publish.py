"""Makes a staged version visible if it passes the quality gate; else discards it and says why.

The checks and the move of the pointer are one transaction, so that what was checked is what is seen.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.indexing import freshness, quality
from assets.context.indexing.freshness import Announced
from assets.context.indexing.quality import Gate, GateFailed, Silent, Staged
from assets.context.store import commit_table, versions
from core.database import Database

Look = Callable[[Connection[TupleRow], Staged, Gate], None]
"""Is shown a staged version, and what the gate says of it, before it is visible or gone."""

Ask = Callable[[Sequence[Silent]], Collection[Silent]]
"""Asks models again about chunks whose vectors are zero, and returns those for which they do give zero."""

_TORN = """
DELETE FROM contents c WHERE id = ANY(%(contents)s)
AND (SELECT count(*) FROM chunks k WHERE k.content_id = c.id) <> cardinality(c.lengths)
AND NOT EXISTS (SELECT FROM source_files f WHERE f.content_id = c.id)
"""
_UNSOUND = """
DELETE FROM {table} WHERE content_id IN (SELECT k.content_id {vectors}
AND (v.content_id IS NULL OR a.width <> %(width)s OR NOT a.norm BETWEEN 1 - %(error)s AND 1 + %(error)s))
"""


def publish(
    database: Database, staged: Staged, announced: Announced, look: Look | None = None, ask: Ask | None = None
) -> Gate:
    """Returns what the gate saw. Raises `GateFailed`, `IndexConflict` when the pointer has moved meanwhile, and what
    `ask` raises."""
    with database.team(staged.team_id) as connection:
        gate = quality.check_staged(connection, staged)
        unsure = [] if gate.passed or ask is None else quality.unsure_staged(connection, staged)
        if look and not unsure:
            look(connection, staged, gate)
        if gate.passed:
            quality.record(connection, staged.team_id, gate)
            versions.make_visible(connection, staged.team_id, staged.source, staged.version)
            kept = staged.version - versions.KEPT_VERSIONS
            commit_table.forget(connection, staged.team_id, staged.source, kept)
            freshness.succeeded(connection, staged.team_id, staged.source, announced)
            return gate
    if unsure and ask:
        return publish(database, replace(staged, silent=frozenset(ask(unsure))), announced, look)
    _discard(database, staged, gate)
    raise GateFailed(gate)


def _discard(database: Database, staged: Staged, gate: Gate) -> None:
    """Takes the version back, with what is broken of its contents, so that the next refresh makes that anew."""
    with database.team(staged.team_id) as connection:
        models = quality.covering_models(connection, staged)
        # Of every file: the next refresh looks at all of them again.
        live = versions.live_files(connection, staged.team_id, staged.source, staged.version)
        contents = sorted({row.content_id for row in live if row.content_id is not None})
        versions.discard_staged(connection, staged.team_id, staged.source, staged.version - 1)
        commit_table.discard_staged(connection, staged.team_id, staged.source, staged.version - 1)
        connection.execute(_TORN, {"contents": contents})
        for model in models:
            if model.has_table and model.table:
                table = sql.Identifier(model.table)
                vectors = sql.SQL(quality.VECTORS).format(table=table)
                connection.execute(
                    sql.SQL(_UNSOUND).format(table=table, vectors=vectors),
                    {"contents": contents, "width": model.width, "error": quality.LENGTH_ERROR},
                )
        quality.record(connection, staged.team_id, gate)
