"""Makes the tickets of a source searchable: applies waiting changes, cuts and embeds new texts, hides deleted ones.

A text becomes visible by setting one pointer, once its chunks, postings and vectors are stored; until then the
previous text is found. Idempotent, and safe to kill at any moment. A change of state affects no text.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import sql

from assets.context.indexing.ingest import Ingest, Model
from assets.context.source.sources import find_source
from assets.context.store import segments
from assets.context.store.batch import ContentBatch, Key
from assets.context.store.contents import add_contents, find_contents
from assets.context.store.postings import MOST_SLOTS
from assets.context.tickets import inbox, texts
from assets.context.tickets.corpus_read import hash_joins
from assets.context.tickets.status import TicketStatus, ticket_status
from core.database import Database
from core.embedding import Embedder

PARTS = 1000
"""The most texts stored in one transaction."""

MOST_ROUNDS = 10_000
MERGED_FROM = 16
"""This many segments of postings of about the same size are merged into one."""

_SIZES = (256, 4096, segments.LARGEST_MERGED)

_LOCK_WAIT = "10min"
_LIVE = (
    "t.deleted_at IS NULL AND NOT t.hidden AND t.title <> '' AND p.deleted_at IS NULL AND NOT p.hidden "
    "AND p.blob IS NOT NULL"
)
_JOINED = "ticket_parts p JOIN tickets t USING (team_id, source, service, project, key)"

_PENDING = f"""
SELECT p.service, p.project, p.key, p.part, p.blob, p.text, CASE WHEN p.part = 'body' THEN t.title ELSE '' END
FROM {_JOINED} WHERE p.team_id = %s AND p.source = %s AND {_LIVE}
  AND (p.content_id IS NULL OR p.indexed_blob IS DISTINCT FROM p.blob OR p.chunker IS DISTINCT FROM %s)
ORDER BY p.updated_at DESC, p.service, p.project, p.key, p.part LIMIT %s
"""  # noqa: S608
_SHOW = """
UPDATE ticket_parts p SET content_id = new.content_id, indexed_blob = new.blob, chunker = %s
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[], %b::bigint[])
    AS new(service, project, key, part, blob, content_id)
WHERE p.team_id = %s AND p.source = %s
  AND (p.service, p.project, p.key, p.part) = (new.service, new.project, new.key, new.part)
"""
_HIDE = """
UPDATE ticket_parts p SET content_id = NULL, indexed_blob = NULL
WHERE p.team_id = %(team)s AND p.source = %(source)s AND p.content_id IS NOT NULL
  AND (p.deleted_at IS NOT NULL OR p.hidden OR p.blob IS NULL OR (p.service, p.project, p.key) IN (
    SELECT t.service, t.project, t.key FROM tickets t
    WHERE t.team_id = %(team)s AND t.source = %(source)s AND (t.deleted_at IS NOT NULL OR t.hidden)))
"""
_SMALL_SEGMENTS = """
SELECT segment, sum(cardinality(lengths)) FROM contents
WHERE segment IN (SELECT c.segment FROM ticket_parts p JOIN contents c ON c.id = p.content_id
                  WHERE p.team_id = %s AND p.source = %s)
GROUP BY segment HAVING sum(cardinality(lengths)) <= %s ORDER BY segment
"""


@dataclass(frozen=True)
class TicketIndexReport:
    """What one run did: `changes` by outcome; the numbers of texts that became visible (`parts`), of chunks stored for
    them, of vectors written, and of texts hidden (`removed`). `status` is the state afterwards."""

    source: str
    changes: inbox.Drained
    parts: int
    chunks_new: int
    embedded: int
    removed: int
    models: tuple[str, ...]
    unavailable: tuple[tuple[str, str], ...]
    seconds: float
    status: TicketStatus = field(repr=False)


def index_tickets(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    *,
    embedders: Sequence[Embedder] = (),
    building: Sequence[Embedder] = (),
) -> TicketIndexReport:
    """Updates the source's ticket index. Texts that no model can embed now are found by their words, and get their
    vectors in the next run. Concurrent runs wait for each other. Raises `SourceError` and psycopg's errors."""
    name = find_source(database, team_id, source).name
    began = time.monotonic()
    with _one_at_a_time(database, team_id, name):
        work = _Work(database, team_id, name, Ingest(database, team_id, [*embedders, *building]))
        changes = work.apply_waiting()
        parts = work.show_pending()
        with database.team(team_id) as connection:
            removed = connection.execute(_HIDE, {"team": team_id, "source": name}).rowcount
            if work.applied_until:
                inbox.mark_searchable(connection, team_id, name, work.applied_until)
        built = [model for model in work.ingest.models if any(model.embedder is one for one in building)]
        filled = [model for model in work.ingest.models if model not in built and work.fill_rest(model)]
        for model in built:
            # Older texts are left to the migration that builds the model, which yields to live work.
            work.ingest.fill(model, work.shown)
        work.merge_segments()
        with database.team(team_id) as connection:
            status = ticket_status(connection, team_id, name)
    return TicketIndexReport(
        source=name,
        changes=changes,
        parts=parts,
        chunks_new=work.chunks_new,
        embedded=work.ingest.embedded,
        removed=removed,
        models=tuple(model.identity for model in filled),
        unavailable=tuple(work.ingest.unavailable.items()),
        seconds=round(time.monotonic() - began, 3),
        status=status,
    )


@contextlib.contextmanager
def _one_at_a_time(database: Database, team_id: uuid.UUID, source: str) -> Iterator[None]:
    # A separate transaction holds the lock, since the work takes several; the lock ends with this process.
    with database.team(team_id) as holder:
        holder.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        holder.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_WAIT,))
        holder.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock tickets {team_id} {source}",)
        )
        yield


@dataclass
class _Work:
    database: Database
    team_id: uuid.UUID
    source: str
    ingest: Ingest
    chunks_new: int = 0
    applied_until: datetime | None = None
    shown: set[int] = field(default_factory=set)

    def apply_waiting(self) -> inbox.Drained:
        done = inbox.Drained()
        for _ in range(MOST_ROUNDS):
            with self.database.team(self.team_id) as connection:
                more = inbox.drain(connection, self.team_id, self.source)
                row = connection.execute("SELECT now()").fetchone()
            self.applied_until = row[0] if row else None
            done = inbox.Drained(done.applied + more.applied, done.stale + more.stale, done.refused + more.refused)
            if more.total < inbox.BATCH:
                break
        return done

    def show_pending(self) -> int:
        shown = 0
        for _ in range(MOST_ROUNDS):
            with self.database.team(self.team_id) as connection:
                hash_joins(connection)
                rows = connection.execute(
                    _PENDING.encode(), (self.team_id, self.source, texts.CHUNKER, PARTS)
                ).fetchall()
            if not rows:
                break
            ids = self._store({(row[4].hex(), texts.CHUNKER): (row[6], row[5]) for row in rows})
            for model in self.ingest.models:
                if self.ingest.fill(model, set(ids.values())):
                    break  # the other models follow once all texts are searchable
            with self.database.team(self.team_id) as connection:
                hash_joins(connection)
                found = [ids[row[4].hex(), texts.CHUNKER] for row in rows]
                columns = [[row[n] for row in rows] for n in range(5)]
                connection.execute(_SHOW, (texts.CHUNKER, *columns, found, self.team_id, self.source))
            shown += len(rows)
            self.shown.update(found)
        return shown

    def _store(self, wanted: dict[Key, tuple[str, str]]) -> dict[Key, int]:
        with self.database.team(self.team_id) as connection:
            ids = find_contents(connection, self.team_id, wanted)
            batch = ContentBatch.of((key, texts.make_text(*wanted[key])) for key in wanted if key not in ids)
            made, new = add_contents(connection, self.team_id, batch)
        self.chunks_new += sum(len(lengths) for lengths, is_new in zip(batch.lengths, new, strict=True) if is_new)
        return ids | dict(zip(batch.keys, made, strict=True))

    def fill_rest(self, model: Model) -> bool:
        """Adds the missing vectors of visible texts. Returns False if the model is unavailable."""
        statement = sql.SQL(
            "SELECT DISTINCT p.content_id FROM ticket_parts p WHERE p.team_id = %s AND p.source = %s "
            "AND p.content_id IS NOT NULL AND NOT EXISTS (SELECT FROM {} v WHERE v.content_id = p.content_id)"
        ).format(model.table.name)
        with self.database.team(self.team_id) as connection:
            lacking = [row[0] for row in connection.execute(statement, (self.team_id, self.source)).fetchall()]
        return self.ingest.fill(model, lacking)

    def merge_segments(self) -> None:
        with self.database.team(self.team_id) as connection:
            rows = connection.execute(_SMALL_SEGMENTS, (self.team_id, self.source, segments.LARGEST_MERGED)).fetchall()
            for limit in _SIZES:
                chosen, room = [], MOST_SLOTS
                for segment, chunks in rows:
                    if chunks <= min(limit, room):
                        chosen.append(segment)
                        room -= int(chunks)
                if len(chosen) >= MERGED_FROM:
                    segments.merge(connection, self.team_id, chosen)
                    return
