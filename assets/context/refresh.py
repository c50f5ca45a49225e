"""Brings a source's index to the head of its branch: fetch, cut and embed what is new, stage, make visible.

Idempotent and safe to kill at any moment: contents are complete or absent, staged files are
discarded by the next refresh, and the pointer moves in one transaction.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from assets.context import chunks, skips, store, terms, versions
from assets.context.chunks import language_of
from assets.context.content import Content, chunker_of, embedded_text, make_content
from assets.context.history import recent_changes
from assets.context.sources import Source, find_source
from assets.context.store import Key
from assets.context.vector_table import VectorTable
from assets.context.versions import FileRow, Version
from core.database import Database
from core.embedding import Embedder
from core.git import Entry, Repository, fetch_mirror

CONFIG = f"{chunks.PYTHON.chunker},{chunks.WINDOWS.chunker},terms-{terms.VERSION},skips-{skips.VERSION}"
"""A change of any of these makes the next refresh look at every file again."""

BATCH_BYTES = 4 << 20
BATCH_CHUNKS = 2000

_LOCK_WAIT = "10min"


@dataclass(frozen=True)
class RefreshReport:
    """What one refresh did. `files` and `chunks` are the totals of the version, `skipped` all its skipped
    paths with their reasons (at most 1,000); `seconds` is by step."""

    source: str
    commit: str
    branch: str
    index_version: str
    changed: bool
    files: int
    chunks: int
    files_changed: int = 0
    chunks_new: int = 0
    chunks_reused: int = 0
    deleted: int = 0
    embedded: int = 0
    model: str | None = None
    skipped_count: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def mirror_path(mirrors: Path, source: Source) -> Path:
    """Where a source's mirror lies; another location is another mirror."""
    return mirrors / str(source.team_id) / f"{source.name}-{sha256(source.location.encode()).hexdigest()[:12]}.git"


def index_version_name(source: str, version: int) -> str:
    return f"{source}#{version}"


def refresh(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    *,
    mirrors: Path,
    roots: Iterable[Path],
    embedder: Embedder | None,
    on_step: Callable[[str], None] = lambda step: None,
) -> RefreshReport:
    """Indexes the head of the source's branch and returns what was done.

    `mirrors` is the folder of bare mirrors; `roots` bound local locations. Two at once on one source
    run one after the other. `on_step` is called with a name after each step that leaves a trace.
    Raises `SourceError`, `GitError`, `EmbedderUnavailable` and psycopg's errors; the visible version is
    then what it was.
    """
    found = find_source(database, team_id, source)
    clock = _Clock()
    with _locked(database, team_id, found.name):
        clock.step("wait")
        mirror = fetch_mirror(found.location, mirror_path(mirrors, found), branch=found.branch, roots=roots)
        clock.step("fetch")
        on_step("fetched")
        work = _Refresh(database, found, mirror.repository, embedder, on_step, clock)
        return work.run(mirror.commit, mirror.branch)


@contextlib.contextmanager
def _locked(database: Database, team_id: uuid.UUID, source: str) -> Iterator[None]:
    # Held by a transaction of its own, since the work takes several; it ends with this process.
    with database.team(team_id) as holder:
        holder.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        holder.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_WAIT,))
        holder.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock context {team_id} {source}",)
        )
        yield


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def step(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 4)
        self._last = now


@dataclass(frozen=True, slots=True)
class _Delta:
    entries: Sequence[Entry]
    removed: Sequence[str]


class _Refresh:
    def __init__(
        self,
        database: Database,
        source: Source,
        repository: Repository,
        embedder: Embedder | None,
        on_step: Callable[[str], None],
        clock: _Clock,
    ) -> None:
        self.database = database
        self.source = source
        self.team_id = source.team_id
        self.repository = repository
        self.embedder = embedder
        self.on_step = on_step
        self.clock = clock
        self.ids: dict[Key, int] = {}
        self.skips: dict[Key, str] = {}
        self.chunks_new = 0
        self.embedded = 0
        self.table: VectorTable | None = None

    def run(self, commit: str, branch: str) -> RefreshReport:
        name = self.source.name
        with self.database.team(self.team_id) as connection:
            before = versions.visible(connection, self.team_id, name)
            if before and self._is_current(before, commit):
                versions.checked(connection, self.team_id, name)
                return self._report(before, changed=False)
            versions.discard_staged(connection, self.team_id, name, before.version if before else 0)
            if self.embedder:
                self.table = VectorTable.of(connection, self.embedder)
        self.on_step("cleared")
        delta = self._delta(before, commit)
        self.clock.step("compare")
        rows = self._rows(delta)
        to_embed = list(rows)
        if before and before.model != (self.embedder.identity if self.embedder else None):
            with self.database.team(self.team_id) as connection:
                to_embed += versions.live_files(connection, self.team_id, name, before.version)
        self._embed({row.content_id for row in to_embed if row.content_id is not None})
        self.clock.step("embed")
        recent = recent_changes(self.repository, commit)
        self.clock.step("history")
        version = before.version + 1 if before else 1
        with self.database.team(self.team_id) as connection:
            versions.stage(
                connection,
                self.team_id,
                name,
                version=version,
                changed=rows,
                removed=delta.removed,
                commit=commit,
                branch=branch,
                config=CONFIG,
                model_id=self.table.model_id if self.table else None,
                recent=recent,
            )
        self.on_step("staged")
        self.clock.step("stage")
        with self.database.team(self.team_id) as connection:
            versions.make_visible(connection, self.team_id, name, version)
            after = versions.visible(connection, self.team_id, name)
        self.on_step("visible")
        self.clock.step("publish")
        if after is None:
            raise LookupError(f"the index of {name} was removed meanwhile")
        return self._report(after, changed=True, rows=rows, removed=delta.removed)

    def _is_current(self, before: Version, commit: str) -> bool:
        model = self.embedder.identity if self.embedder else None
        return (before.commit, before.config, before.model) == (commit, CONFIG, model)

    def _delta(self, before: Version | None, commit: str) -> _Delta:
        """What differs from the visible version: from git alone where its commit is still there, else from the rows."""
        if before and before.config == CONFIG and self.repository.find(before.commit) == before.commit:
            changes = self.repository.diff_names(before.commit, commit, renames=False)
            kept = [change for change in changes if change.status != "D"]
            sizes = self.repository.sizes(change.blob for change in kept if change.mode != "160000")
            entries = [Entry(c.mode, c.blob, sizes.get(c.blob, 0), c.path) for c in kept]
            return _Delta(entries, [_text(change.path) for change in changes if change.status == "D"])
        entries = self.repository.ls_tree(commit)
        if before is None:
            return _Delta(entries, [])
        with self.database.team(self.team_id) as connection:
            live = versions.live_files(connection, self.team_id, self.source.name, before.version)
        held = {row.path: (row.mode, row.blob) for row in live} if before.config == CONFIG else {}
        there = {_text(entry.path) for entry in entries}
        return _Delta(
            [entry for entry in entries if held.get(_text(entry.path)) != (entry.mode, entry.blob)],
            [row.path for row in live if row.path not in there],
        )

    def _rows(self, delta: _Delta) -> list[FileRow]:
        """The file rows of changed entries, with the contents stored that were not there yet."""
        reasons = {entry.path: skips.skip_entry(entry) for entry in delta.entries}
        keys = {e.path: (e.blob, chunker_of(language_of(e.path))) for e in delta.entries if reasons[e.path] is None}
        with self.database.team(self.team_id) as connection:
            self.ids = store.find_contents(connection, self.team_id, keys.values())
        missing: dict[str, dict[str, str]] = {}  # blob -> chunker -> a path with it
        for path, (blob, chunker) in keys.items():
            if (blob, chunker) not in self.ids:
                missing.setdefault(blob, {})[chunker] = path
        batch: dict[Key, Content] = {}
        size = cut = 0
        for blob, raw in self.repository.read_blobs(missing):
            reason = skips.skip_content(raw)
            for chunker, path in missing[blob].items():
                if reason:
                    self.skips[blob, chunker] = reason
                else:
                    batch[blob, chunker] = content = make_content(raw, language_of(path))
                    size += len(raw)
                    cut += len(content.chunks)
            if size >= BATCH_BYTES or cut >= BATCH_CHUNKS:
                self._store(batch)
                batch, size, cut = {}, 0, 0
        self._store(batch)
        rows: dict[str, FileRow] = {}  # by path, since a forged tree may hold one twice
        for entry in delta.entries:
            key = keys.get(entry.path)
            reason = reasons[entry.path] or (self.skips.get(key) if key else None)
            content_id = None if reason or key is None else self.ids[key]
            row = FileRow(_text(entry.path), entry.mode, entry.blob, content_id, reason)
            rows[row.path] = row
        return list(rows.values())

    def _store(self, batch: dict[Key, Content]) -> None:
        """Writes a batch of contents with their vectors in one transaction."""
        if not batch:
            return
        self.clock.step("chunk")
        wanted = [(key, number) for key in sorted(batch) for number in range(len(batch[key].chunks))]
        vectors = None
        if self.embedder:
            texts = [embedded_text(batch[key].chunks[number]) for key, number in wanted]
            vectors = self.embedder.embed_documents(texts)
            self.clock.step("embed")
        with self.database.team(self.team_id) as connection:
            ids, new = store.add_contents(connection, self.team_id, batch)
            if self.table and vectors is not None and len(vectors):
                self.table.insert(
                    connection, self.team_id, [ids[key] for key, _ in wanted], [n for _, n in wanted], vectors
                )
                self.embedded += len(vectors)
        self.ids |= ids
        self.chunks_new += sum(len(batch[key].chunks) for key in new)
        self.clock.step("store")
        self.on_step("stored")

    def _embed(self, contents: Collection[int]) -> None:
        """Makes the vectors that stored contents lack: those of another model, or of a refresh without one."""
        if self.table is None or self.embedder is None or not contents:
            return
        with self.database.team(self.team_id) as connection:
            lacking = self.table.lacking(connection, sorted(contents))
        for first in range(0, len(lacking), 200):
            with self.database.team(self.team_id) as connection:
                found = store.chunks_of(connection, lacking[first : first + 200])
                vectors = self.embedder.embed_documents([embedded_text(chunk) for _, _, chunk in found])
                vectors = np.ascontiguousarray(vectors)
                self.table.insert(connection, self.team_id, [f[0] for f in found], [f[1] for f in found], vectors)
            self.embedded += len(found)
            self.on_step("embedded")

    def _report(
        self, version: Version, *, changed: bool, rows: Sequence[FileRow] = (), removed: Sequence[str] = ()
    ) -> RefreshReport:
        with self.database.team(self.team_id) as connection:
            skipped = versions.skipped_files(connection, self.team_id, self.source.name, version.version)
            total = versions.count_chunks(connection, [r.content_id for r in rows if r.content_id is not None])
        self.clock.step("report")
        return RefreshReport(
            source=self.source.name,
            commit=version.commit,
            branch=version.branch,
            index_version=index_version_name(self.source.name, version.version),
            changed=changed,
            files=version.files,
            chunks=version.chunks,
            files_changed=len(rows),
            chunks_new=self.chunks_new,
            chunks_reused=max(0, total - self.chunks_new),
            deleted=len(removed),
            embedded=self.embedded,
            model=version.model,
            skipped_count=version.skipped,
            skipped=tuple(skipped),
            seconds=self.clock.seconds,
        )


def _text(path: str) -> str:
    """A path as Postgres can hold it: bytes that are not UTF-8 are escaped, a very long one is shortened."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if len(text) > skips.LONGEST_PATH:
        return f"{text[: skips.LONGEST_PATH - 20]}…{sha256(text.encode()).hexdigest()[:16]}"
    return text
