"""Retires a model and restores it: its vectors are archived before they are dropped.

Nothing is dropped until the archive has been read back into a scratch table and compared equal, row for row. Retiring
and restoring can be killed at any moment and repeated.
"""

import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.store.vector_table import VectorTable
from assets.migrations.retirement import archive
from assets.migrations.retirement.archive import Archive, ArchiveFailed, Block
from core.database import Database
from core.embedding import catalogue
from core.embedding.catalogue import Entry, ModelConflict
from core.states import ModelState, is_legal

FOLDER = "retired"
"""The folder of the archives, under the platform's home."""

_SCRATCH = "CREATE TEMPORARY TABLE rehearsal (LIKE {table}) ON COMMIT DROP"
_COMPARED = """
SELECT count(*) FILTER (WHERE v.team_id = r.team_id AND v.embedding = r.embedding), count(v.content_id), count(*)
FROM rehearsal r LEFT JOIN {table} v ON v.content_id = r.content_id AND v.chunk = r.chunk
"""

Finish = Callable[[Connection[TupleRow]], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """`rows` were archived, of which `written` are restored; the contents of the others were removed."""

    entry: Entry
    rows: int
    written: int


def retire_model(
    database: Database,
    model_id: int,
    folder: Path,
    *,
    finish: Finish = lambda connection: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Archive | None:
    """Archives a model's vectors under `folder`, verifies that they can be restored, and drops them; None if it had
    none.

    `finish` runs in the transaction that drops, and may refuse it by raising. Raises `ModelConflict` for a model that
    something needs or whose state does not allow it, and `ArchiveFailed`; then nothing was dropped.
    """
    with database.system() as connection:
        entry = catalogue.by_id(connection, model_id)
        if entry.state == ModelState.RETIRED:
            return None
        if not is_legal("model", entry.state, ModelState.RETIRED):
            raise ModelConflict(f"{entry.name} is {entry.state}: it must be draining before it is retired")
        catalogue.check_not_needed(connection, model_id)
        empty = not _count(connection, model_id)
    made = None
    if not empty:
        made = archive.write(database, entry, folder)
        tell(f"{entry.name}: {made.rows} vectors archived in {folder / made.file}, {made.bytes / 1e6:.1f} MB")
        equal = rehearse(database, entry, folder, made)
    else:
        equal = 0
    with database.system() as connection:
        connection.execute("SET LOCAL lock_timeout = '5s'")
        finish(connection)
        if _count(connection, model_id) > equal:
            raise ArchiveFailed(f"vectors of {entry.name} were added while they were archived: try again")
        catalogue.retire(connection, model_id)
    archive.prune(folder)
    return made


def rehearse(database: Database, entry: Entry, folder: Path, made: Archive) -> int:
    """Reads an archive into a scratch table, block by block; returns how many rows equal the model's.

    Rows whose content was removed meanwhile are not counted. Raises `ArchiveFailed` for any other difference.
    """
    archive.check(folder, made)
    equal = 0
    for block in archive.blocks(folder, made):
        with database.system() as connection:
            table = archive.table_of(connection, entry.id)
            connection.execute(sql.SQL(_SCRATCH).format(table=table))
            for team, rows in _by_team(block).items():
                _scratch(connection, entry).insert(
                    connection, team, block.contents[rows], block.chunks[rows], block.vectors[rows]
                )
            row = connection.execute(sql.SQL(_COMPARED).format(table=table)).fetchone()
        same, there, restored = row if row else (0, 0, 0)
        if restored != len(block) or same != there:
            raise ArchiveFailed(
                f"the archive of {entry.name} does not match its vectors: {restored} of {len(block)} rows, "
                f"{there - same} of them different from the table; nothing was dropped"
            )
        equal += same
    return equal


def restore_model(database: Database, name: str, folder: Path) -> Restored:
    """Restores a retired model with its vectors, as `registered`. A repeated call continues an interrupted one.

    Raises `ArchiveFailed` without a complete archive, and `ModelConflict` when its name or state does not allow it.
    """
    made = archive.find(folder, name)
    archive.check(folder, made)
    answers = base64.b64decode(made.known_answers) if made.known_answers else None
    entry = catalogue.reinstate(database, made.identity, made.dimensions, made.name, made.spec, answers)
    for block in archive.blocks(folder, made):
        for team, rows in _by_team(block).items():
            with database.team(team) as connection:
                kept = _unchanged(connection, block, rows)
                table = VectorTable.find(connection, entry.identity)
                if table is None:
                    raise ArchiveFailed(f"{entry.name} was retired again while it was restored")
                table.insert(connection, team, block.contents[kept], block.chunks[kept], block.vectors[kept])
    with database.system() as connection:
        return Restored(entry, made.rows, _count(connection, entry.id))


def _unchanged(connection: Connection[TupleRow], block: Block, rows: list[int]) -> list[int]:
    """Those of `rows` whose content still has the archived key."""
    wanted = sorted({int(block.contents[row]) for row in rows})
    found = connection.execute("SELECT id, blob, chunker FROM contents WHERE id = ANY(%s)", (wanted,)).fetchall()
    keys = {content: archive.digest_of(bytes(blob), chunker) for content, blob, chunker in found}
    return [row for row in rows if keys.get(int(block.contents[row])) == block.digests[16 * row : 16 * row + 16]]


def _by_team(block: Block) -> dict[uuid.UUID, list[int]]:
    rows: dict[uuid.UUID, list[int]] = {}
    for row, team in enumerate(block.teams):
        rows.setdefault(team, []).append(row)
    return rows


def _scratch(connection: Connection[TupleRow], entry: Entry) -> VectorTable:
    row = connection.execute("SELECT 'vector'::regtype::oid").fetchone()
    return VectorTable(entry.id, entry.identity, sql.Identifier("rehearsal"), int(row[0]) if row else 0)


def _count(connection: Connection[TupleRow], model_id: int) -> int:
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(archive.table_of(connection, model_id))
    ).fetchone()
    return int(row[0]) if row else 0
