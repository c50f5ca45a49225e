"""Makes a staged version visible if it passes the quality gate; otherwise discards it with the reason.

The checks and the move of the pointer are one transaction, so exactly the checked version becomes visible.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.indexing import freshness, quality
from assets.context.indexing.freshness import Announced
from assets.context.indexing.quality import Gate, GateFailed, Staged, ZeroVector
from assets.context.store import commit_table, versions
from core.database import Database

Look = Callable[[Connection[TupleRow], Staged, Gate], None]
"""Called with a staged version and the gate's result, before the version becomes visible or is discarded."""

ConfirmZeros = Callable[[Sequence[ZeroVector]], Collection[ZeroVector]]
"""Embeds chunks with zero vectors again and returns those for which the model gives zero again."""

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
    database: Database,
    staged: Staged,
    announced: Announced,
    look: Look | None = None,
    confirm: ConfirmZeros | None = None,
) -> Gate:
    """Returns the gate's result. Raises `GateFailed`, `IndexConflict` if the pointer was moved by another refresh, and
    the errors of `confirm`."""
    with database.team(staged.team_id) as connection:
        gate = quality.check_staged(connection, staged)
        unconfirmed = [] if gate.passed or confirm is None else quality.unconfirmed_zeros_of(connection, staged)
        if look and not unconfirmed:
            look(connection, staged, gate)
        if gate.passed:
            quality.record(connection, staged.team_id, gate)
            versions.make_visible(connection, staged.team_id, staged.source, staged.version)
            kept = staged.version - versions.KEPT_VERSIONS
            commit_table.forget(connection, staged.team_id, staged.source, kept)
            freshness.succeeded(connection, staged.team_id, staged.source, announced)
            return gate
    if unconfirmed and confirm:
        return publish(database, replace(staged, confirmed_zeros=frozenset(confirm(unconfirmed))), announced, look)
    _discard(database, staged, gate)
    raise GateFailed(gate)


def _discard(database: Database, staged: Staged, gate: Gate) -> None:
    """Removes the version, and its broken contents and vectors, so that the next refresh creates them again."""
    with database.team(staged.team_id) as connection:
        models = quality.covering_models(connection, staged)
        # Of all files, since the next refresh checks all of them again.
        live = versions.live_files(connection, staged.team_id, staged.source, staged.version)
        contents = sorted({row.content_id for row in live if row.content_id is not None})
        versions.discard_staged(connection, staged.team_id, staged.source, staged.version - 1)
        commit_table.discard_staged(connection, staged.team_id, staged.source, staged.version - 1)
        connection.execute(_TORN, {"contents": contents})
        for model in models:
            if model.has_table and model.table:
                table = sql.Identifier(model.table)
                vectors = sql.SQL(quality.VECTORS).format(table=table, model=sql.Literal(model.id))
                connection.execute(
                    sql.SQL(_UNSOUND).format(table=table, vectors=vectors),
                    {"contents": contents, "width": model.width, "error": quality.LENGTH_ERROR},
                )
        quality.record(connection, staged.team_id, gate)
