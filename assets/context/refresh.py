"""Brings a source's index to the head of its branch: fetch, cut and embed what is new, stage, make visible.

Idempotent and safe to kill at any moment: contents are complete or absent, staged files are
discarded by the next refresh, and the pointer moves in one transaction.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from assets.context import chunks, skips, terms, versions
from assets.context.history import recent_changes
from assets.context.ingest import Ingest, key_of
from assets.context.sources import Source, find_source
from assets.context.vector_table import VectorTable
from assets.context.versions import FileRow, Version
from core.database import Database
from core.embedding import Embedder
from core.git import Entry, Repository, fetch_mirror

CONFIG = f"{chunks.PYTHON.chunker},{chunks.WINDOWS.chunker},terms-{terms.VERSION},skips-{skips.VERSION}"
"""A change of any of these makes the next refresh look at every file again."""

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
        self.ingest = Ingest(
            self.database, self.team_id, self.embedder, self.table, on_step=self.on_step, clock=self.clock.step
        )
        self.on_step("cleared")
        delta = self._delta(before, commit)
        self.clock.step("compare")
        rows = self._rows(delta)
        to_embed = list(rows)
        if before and before.model != (self.embedder.identity if self.embedder else None):
            with self.database.team(self.team_id) as connection:
                to_embed += versions.live_files(connection, self.team_id, name, before.version)
        self.embedded += self.ingest.fill({row.content_id for row in to_embed if row.content_id is not None})
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
        keys = {e.path: key_of(e.blob, e.path) for e in delta.entries if reasons[e.path] is None}
        done = self.ingest.store({key: path for path, key in keys.items()}, self.repository.read_blobs)
        self.chunks_new += done.chunks_new
        self.embedded += done.embedded
        rows: dict[str, FileRow] = {}  # by path, since a forged tree may hold one twice
        for entry in delta.entries:
            key = keys.get(entry.path)
            reason = reasons[entry.path] or (done.skipped.get(key) if key else None)
            content_id = None if reason or key is None else done.ids[key]
            row = FileRow(_text(entry.path), entry.mode, entry.blob, content_id, reason)
            rows[row.path] = row
        return list(rows.values())

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
