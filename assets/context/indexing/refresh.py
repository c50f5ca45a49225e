"""Updates a source's index to the head of its branch: fetch, cut and embed what is new, stage, make visible.

Idempotent and safe to kill at any moment: contents are complete or absent, the next refresh discards staged
files, and the pointer moves in one transaction.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import psycopg

from assets.context.chunking import chunks, terms
from assets.context.chunking.content import embedded_text
from assets.context.indexing import freshness, quality
from assets.context.indexing.delta import Delta, as_text, by_git, by_rows
from assets.context.indexing.freshness import Announced
from assets.context.indexing.ingest import Ingest, Model, key_of
from assets.context.indexing.publish import Look, publish
from assets.context.indexing.quality import Staged
from assets.context.source import skips
from assets.context.source.rules import read_rules
from assets.context.source.sources import Source, SourceBusy, find_source, locked
from assets.context.store import commit_table, versions
from assets.context.store.contents import read_chunks
from assets.context.store.segments import merge_recent
from assets.context.store.versions import FileRow, Version
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, embed_most
from core.git import (
    GitError,
    Repository,
    fetch_mirror,
    find_credential,
    remove_if_damaged,
    split_credential,
)

CONFIG = f"{chunks.CONFIG},terms-{terms.VERSION},skips-{skips.VERSION}"
"""If any of these changes, the next refresh processes every file again."""


@dataclass(frozen=True)
class RefreshReport:
    """What one refresh did. `files` and `chunks` are the version's totals, `skipped` its skipped paths with reasons
    (at most 1,000), `models` those with a vector of every chunk, `unavailable` the models that could not be used
    with reasons, `seconds` the duration of each step."""

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
    models: tuple[str, ...] = ()
    unavailable: tuple[tuple[str, str], ...] = ()
    skipped_count: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def mirror_path(mirrors: Path, source: Source) -> Path:
    """The folder of a source's mirror, which depends on its location."""
    location, _ = split_credential(source.location)
    return mirrors / str(source.team_id) / f"{source.name}-{sha256(location.encode()).hexdigest()[:12]}.git"


def refresh(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    *,
    mirrors: Path,
    roots: Iterable[Path],
    secrets: Path | None = None,
    embedders: Sequence[Embedder] = (),
    building: Sequence[Embedder] = (),
    changed_at: datetime | None = None,
    on_step: Callable[[str], None] = lambda step: None,
    look: Look | None = None,
) -> RefreshReport:
    """Indexes the head of the source's branch and returns what was done.

    New content is embedded by the first of `embedders` before it becomes visible, and by the others after that;
    missing vectors of old content are added too. The `building` models embed changed files only.

    `mirrors` is the folder of bare mirrors. Local locations must be below one of `roots`. `secrets` is the folder
    with the credentials of https locations. `changed_at` is when the change that started this refresh was
    accepted. `on_step` is called with a name after each step that stores something, `look` with the staged version.
    Concurrent refreshes of one source run one after the other.

    Raises `SourceError`, `GitError`, `EmbedderUnavailable`, `GateFailed` and psycopg's errors; the visible
    version is then unchanged, and the source's status shows the reason.
    """
    name = source.strip().lower()
    clock = _Clock()
    try:
        with locked(database, team_id, name):
            clock.step("wait")
            found = find_source(database, team_id, name)  # it may have been removed during the wait
            with database.team(team_id) as connection:
                changes = freshness.announced(connection, team_id, found.name, changed_at)
            credential = find_credential(secrets, team_id, found.location) if secrets else None
            place = mirror_path(mirrors, found)

            def bring_up_to_date() -> RefreshReport:
                mirror = fetch_mirror(found.location, place, branch=found.branch, roots=roots, credential=credential)
                clock.step("fetch")
                on_step("fetched")
                work = _Refresh(database, found, mirror.repository, embedders, building, changes, on_step, clock, look)
                return work.run(mirror.commit, mirror.branch)

            try:
                return bring_up_to_date()
            except GitError as error:
                if not remove_if_damaged(place, error):
                    raise
                return bring_up_to_date()
    except SourceBusy:
        raise  # the refresh that holds the lock records its own outcome
    except Exception as error:
        with contextlib.suppress(psycopg.Error), database.team(team_id) as connection:
            freshness.failed(connection, team_id, name, error)
        raise


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def step(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 4)
        self._last = now


class _Refresh:
    def __init__(
        self,
        database: Database,
        source: Source,
        repository: Repository,
        embedders: Sequence[Embedder],
        building: Sequence[Embedder],
        changes: Announced,
        on_step: Callable[[str], None],
        clock: _Clock,
        look: Look | None,
    ) -> None:
        self.database = database
        self.source = source
        self.team_id = source.team_id
        self.repository = repository
        self.embedders = embedders
        self.building = building
        self.changes = changes
        self.look = look
        self.on_step = on_step
        self.clock = clock
        self.chunks_new = 0
        self.gated: set[int] = set()

    def run(self, commit: str, branch: str) -> RefreshReport:
        name = self.source.name
        self.ingest = Ingest(self.database, self.team_id, self.embedders, on_step=self.on_step, clock=self.clock.step)
        with self.database.team(self.team_id) as connection:
            before = versions.visible(connection, self.team_id, name)
            gate = quality.last_gate(connection, self.team_id, name)
            self.distrusted = gate is not None and not gate.passed  # then every file is processed again
            current = before is not None and before.commit == commit and _without_rules(before.config) == CONFIG
            if current:
                versions.checked(connection, self.team_id, name)
                freshness.succeeded(connection, self.team_id, name, self.changes)
            else:
                visible = before.version if before else 0
                versions.discard_staged(connection, self.team_id, name, visible)
                commit_table.discard_staged(connection, self.team_id, name, visible)
        if before and current:
            self._complete(before.version, self._fill(self.ingest.models, before))
            return self._report(changed=False)
        self.on_step("cleared")
        self.rules = read_rules(self.repository, commit)
        self.config = f"{CONFIG},{self.rules.tag}" if self.rules.tag else CONFIG
        delta = self._delta(before, commit)
        self.clock.step("compare")
        rows = self._rows(delta)
        first = self._fill(self.ingest.models[:1], before, rows)
        self.clock.step("embed")
        commits, keep = commit_table.new_commits(self.repository, before.commit if before else None, commit)
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
                config=self.config,
                changed_at=self.changes.first,
            )
            commit_table.stage(connection, self.team_id, name, version, commits, keep=keep)
            versions.add_models(connection, self.team_id, name, version, [model.table.model_id for model in first])
        self.on_step("staged")
        self.clock.step("stage")
        staged = Staged(
            self.team_id,
            name,
            version,
            commit,
            contents=sorted(self.gated.union(row.content_id for row in rows if row.content_id is not None)),
            changed=[row.path for row in rows],
            removed=delta.removed,
            in_git={as_text(path) for path in self.repository.paths(commit)},
        )
        publish(self.database, staged, self.changes, self.look, self._confirm_zeros)
        self.on_step("visible")
        self.clock.step("publish")
        self._complete(version, self._fill(self.ingest.models[1:], before, rows))
        self._write_also(version, before, rows)
        merge_recent(self.database, self.team_id, name, version)
        return self._report(changed=True, rows=rows, removed=delta.removed)

    def _fill(self, models: Sequence[Model], before: Version | None, rows: Sequence[FileRow] = ()) -> list[Model]:
        """Adds the vectors that are missing in the version `before` and in the changed `rows`. Returns the models that
        have all vectors, all of them usable; those of the preferred model are checked by the gate instead."""
        complete = []
        for model in models:
            contents = {row.content_id for row in rows if row.content_id is not None}
            if before and model.identity not in before.models:
                with self.database.team(self.team_id) as connection:
                    live = versions.live_files(connection, self.team_id, self.source.name, before.version)
                contents |= {row.content_id for row in live if row.content_id is not None}
            if not self.ingest.fill(model, contents):
                continue
            if rows and model is self.ingest.models[0]:
                self.gated |= contents
            elif contents and (wrong := self._unsound(model, sorted(contents))):
                self.ingest.unavailable[model.identity] = wrong
                continue
            complete.append(model)
        return complete

    def _unsound(self, model: Model, contents: Sequence[int]) -> str | None:
        """What is wrong with a model's vectors of these contents, or None."""
        with self.database.team(self.team_id) as connection:
            rows = quality.model_row(connection, model.identity)
            unconfirmed = quality.unconfirmed_zeros(connection, contents, rows)
        try:
            confirmed_zeros = self._confirm_zeros(unconfirmed) if unconfirmed else ()
        except EmbedderUnavailable as error:
            return str(error)
        with self.database.team(self.team_id) as connection:
            check = quality.vectors_are_sound(connection, contents, rows, confirmed_zeros)
        return None if check.passed else check.detail

    def _confirm_zeros(self, zeros: Sequence[quality.ZeroVector]) -> Collection[quality.ZeroVector]:
        """Embeds these chunks again and returns those whose vectors are zero again. Raises `EmbedderUnavailable`."""
        with self.database.team(self.team_id) as connection:
            held = read_chunks(connection, [(content, number) for _, content, number in zeros])
        found = []
        for model in self.ingest.models:
            mine = [(zero, chunk) for zero, chunk in zip(zeros, held, strict=True) if zero[0] == model.identity]
            if mine:
                vectors = embed_most(model.embedder, [embedded_text(chunk) for _, chunk in mine]).vectors
                found += [zero for (zero, _), vector in zip(mine, vectors, strict=True) if not vector.any()]
        return found

    def _write_also(self, version: int, before: Version | None, rows: Sequence[FileRow]) -> None:
        """Adds the vectors of the changed rows to the `building` models, which queries do not use."""
        if not self.building:
            return
        ingest = Ingest(self.database, self.team_id, self.building, on_step=self.on_step, clock=self.clock.step)
        contents = {row.content_id for row in rows if row.content_id is not None}
        filled = [model for model in ingest.models if ingest.fill(model, contents)]
        self._complete(version, [model for model in filled if before is None or model.identity in before.models])
        self.ingest.embedded += ingest.embedded
        self.ingest.unavailable |= ingest.unavailable

    def _complete(self, version: int, models: Sequence[Model]) -> None:
        with self.database.team(self.team_id) as connection:
            added = [model.table.model_id for model in models]
            versions.add_models(connection, self.team_id, self.source.name, version, added)
        self.clock.step("embed others")

    def _delta(self, before: Version | None, commit: str) -> Delta:
        if before is None:
            return by_rows(self.repository, commit, [], trusted=False)
        trusted = before.config == self.config and not self.distrusted
        if trusted and self.repository.find(before.commit) == before.commit:
            return by_git(self.repository, before.commit, commit)
        with self.database.team(self.team_id) as connection:
            live = versions.live_files(connection, self.team_id, self.source.name, before.version)
        return by_rows(self.repository, commit, live, trusted=trusted)

    def _rows(self, delta: Delta) -> list[FileRow]:
        """Stores the missing contents of changed entries and returns the file rows."""
        reasons = self.rules.reasons(delta.entries)
        keys = {e.path: key_of(e.blob, e.path) for e in delta.entries if reasons[e.path] is None}
        done = self.ingest.store({key: path for path, key in keys.items()}, self.repository.read_blobs)
        self.chunks_new += done.chunks_new
        rows: dict[str, FileRow] = {}  # by path, since a forged tree may hold one twice
        for entry in delta.entries:
            key = keys.get(entry.path)
            reason = reasons[entry.path] or (done.skipped.get(key) if key else None)
            content_id = None if reason or key is None else done.ids[key]
            row = FileRow(as_text(entry.path), entry.mode, entry.blob, content_id, reason)
            rows[row.path] = row
        return list(rows.values())

    def _report(self, *, changed: bool, rows: Sequence[FileRow] = (), removed: Sequence[str] = ()) -> RefreshReport:
        with self.database.team(self.team_id) as connection:
            version = versions.visible(connection, self.team_id, self.source.name)
            if version is None:
                raise LookupError(f"the index of {self.source.name} was removed in the meantime")
            skipped = versions.skipped_files(connection, self.team_id, self.source.name, version.version)
            total = versions.count_chunks(connection, [r.content_id for r in rows if r.content_id is not None])
        self.clock.step("report")
        return RefreshReport(
            source=self.source.name,
            commit=version.commit,
            branch=version.branch,
            index_version=versions.index_version_name(self.source.name, version.version),
            changed=changed,
            files=version.files,
            chunks=version.chunks,
            files_changed=len(rows),
            chunks_new=self.chunks_new,
            chunks_reused=max(0, total - self.chunks_new),
            deleted=len(removed),
            embedded=self.ingest.embedded,
            models=tuple(version.models),
            unavailable=tuple(self.ingest.unavailable.items()),
            skipped_count=version.skipped,
            skipped=tuple(skipped),
            seconds=self.clock.seconds,
        )


def _without_rules(config: str) -> str:
    """A version's configuration without the rules of its commit."""
    return config.partition(",rules-")[0]
