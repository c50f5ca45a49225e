"""The files of one index version as arrays: their documents, contents, and slots in the postings' segments.

A version's files never change, so they are cached in this process; the next version's are computed from them
and the rows that changed. Merging segments changes slots, nothing else.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.ranking.history import PastCommits
from assets.context.ranking.index import Ints, Manifest
from assets.context.store import commit_table, versions
from assets.context.store.postings import PAIR_BYTES, unpack
from assets.context.store.versions import Version

_KEPT = 8
_COMMON = 2000
COMMON_BYTES = 32 << 20
"""Cache size per version, for the decoded postings of its common terms."""

_COLUMNS = "SELECT f.path, f.content_id, c.segment, c.first_slot, c.lengths"
_ALL = f"""
{_COLUMNS} FROM (SELECT path, content_id FROM source_files WHERE {versions.LIVE} AND content_id IS NOT NULL) f
JOIN contents c ON c.id = f.content_id ORDER BY f.path
"""  # noqa: S608
_ADDED = f"""
{_COLUMNS} FROM (SELECT path, content_id FROM source_files WHERE {versions.LIVE} AND content_id IS NOT NULL
                 AND since > %(before)s) f
JOIN contents c ON c.id = f.content_id ORDER BY f.path
"""  # noqa: S608
_REMOVED = """
SELECT DISTINCT path FROM source_files WHERE team_id = %(team)s AND source = %(source)s
AND until > %(before)s AND until <= %(version)s
"""
_STILL_THERE = "SELECT 1 FROM index_versions WHERE (team_id, source, version, id) = (%s, %s, %s, %s)"
_REPLACED = """
SELECT s FROM unnest(%b::bigint[]) AS s WHERE NOT EXISTS (SELECT FROM contents c WHERE c.segment = s)
"""


@dataclass(frozen=True)
class VersionFiles:
    """`content_ids`, `segments` and `first_slots` have one element per file, in the manifest's order."""

    manifest: Manifest
    content_ids: Ints
    segments: Ints
    first_slots: Ints
    _history: list[PastCommits] = field(default_factory=list, compare=False)

    @classmethod
    def of(
        cls,
        paths: Sequence[str],
        counts: Ints,
        lengths: Ints,
        columns: tuple[Ints, Ints, Ints],
    ) -> "VersionFiles":
        offsets = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64)
        return cls(Manifest(tuple(paths), offsets, lengths), *columns)

    def history(self, connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: int) -> PastCommits:
        """The version's commits, read once."""
        if not self._history:
            self._history.append(commit_table.load(connection, team_id, source, version))
        return self._history[0]

    @cached_property
    def common(self) -> "CommonTerms":
        return CommonTerms()

    @cached_property
    def by_content(self) -> tuple[Ints, Ints]:
        """File numbers sorted by content id, and those content ids."""
        order = np.argsort(self.content_ids, kind="stable")
        return order, self.content_ids[order]

    @cached_property
    def contents(self) -> tuple[Ints, Ints]:
        """The distinct content ids, ascending, and the number of chunks of each."""
        found, first = np.unique(self.content_ids, return_index=True)
        return found, np.diff(self.manifest.offsets)[first]

    def locate(self, contents: Ints) -> tuple[Ints, Ints]:
        """(file number, position in `contents`) of every file that has one of these contents."""
        order, ordered = self.by_content
        found, place = _matches(ordered, contents)
        return order[found], place

    @cached_property
    def _slots(self) -> "_Slots":
        sizes = np.diff(self.manifest.offsets)
        segments, of_file = np.unique(self.segments, return_inverse=True)
        ends = np.zeros(len(segments), dtype=np.int64)
        np.maximum.at(ends, of_file, self.first_slots + sizes)
        bases = np.cumsum(ends) - ends
        starts = bases[of_file] + self.first_slots
        slot_of = np.repeat(starts - self.manifest.offsets[:-1], sizes) + np.arange(self.manifest.documents)
        document_of = np.full(int(ends.sum()), -1, dtype=np.int64)
        document_of[slot_of] = np.arange(self.manifest.documents)
        # Several files may share a content, hence a slot; `document_of` holds one of its documents.
        others = np.flatnonzero(document_of[slot_of] != np.arange(self.manifest.documents))
        others = others[np.argsort(slot_of[others], kind="stable")]
        bounds = dict(zip(segments.tolist(), zip(bases.tolist(), ends.tolist(), strict=True), strict=True))
        return _Slots(bounds, slot_of, document_of, slot_of[others], others)

    @property
    def segment_ids(self) -> list[int]:
        return list(self._slots.bounds)

    def decode(self, hits: Mapping[str, Sequence[tuple[int, bytes]]]) -> dict[str, tuple[Ints, Ints]]:
        """The documents, ascending, and their counts for each term, from its packed pairs by segment."""
        found = {}
        rare: dict[str, Sequence[tuple[int, bytes]]] = {}
        for term, parts in hits.items():
            if sum(len(packed) for _, packed in parts) // PAIR_BYTES * 16 > self.manifest.documents:
                found[term] = self._decode_common(parts)
            else:
                rare[term] = parts
        return found | self._decode_rare(rare)

    def _decode_common(self, parts: Sequence[tuple[int, bytes]]) -> tuple[Ints, Ints]:
        """Decodes by a table of all slots, at a cost that does not depend on the number of pairs."""
        slots = self._slots
        table = np.zeros(len(slots.document_of), dtype=np.uint16)
        for segment, packed in parts:
            pairs = unpack(packed)
            base, end = slots.bounds[segment]
            within = table[base : base + end]
            kept = pairs[: np.searchsorted(pairs[:, 0], end)]  # the rest is of contents not in this version
            within[kept[:, 0]] = kept[:, 1]
        by_document = table[slots.slot_of]
        documents: Ints = np.flatnonzero(by_document)
        return documents, by_document[documents].astype(np.int64)

    def _decode_rare(self, hits: Mapping[str, Sequence[tuple[int, bytes]]]) -> dict[str, tuple[Ints, Ints]]:
        """Decodes all terms together, since many terms have a few pairs each."""
        nothing = np.zeros(0, dtype=np.int64)
        bounds = self._slots.bounds
        pieces = [(n, bounds[segment], packed) for n, parts in enumerate(hits.values()) for segment, packed in parts]
        if not pieces:
            return dict.fromkeys(hits, (nothing, nothing))
        slots = self._slots
        numbers, places, packed = zip(*pieces, strict=True)
        sizes = np.fromiter(map(len, packed), np.int64, len(packed)) // PAIR_BYTES
        of_term = np.repeat(np.array(numbers), sizes)
        bases, ends = np.repeat(np.array(places, dtype=np.int64), sizes, axis=0).T
        pairs = unpack(b"".join(packed))
        within = np.flatnonzero(pairs[:, 0] < ends)  # the rest is of contents not in this version
        of_term, counts = of_term[within], pairs[within, 1].astype(np.int64)
        at = pairs[within, 0] + bases[within]
        documents = slots.document_of[at]
        if len(slots.other_slots):
            other, place = _matches(slots.other_slots, at)
            documents = np.concatenate((documents, slots.other_documents[other]))
            of_term, counts = np.concatenate((of_term, of_term[place])), np.concatenate((counts, counts[place]))
        there = np.flatnonzero(documents >= 0)
        keys = of_term[there] * self.manifest.documents + documents[there]
        order = there[np.argsort(keys)]  # sorting by one combined key is much faster than by two
        documents, counts = documents[order], counts[order]
        edges = np.searchsorted(of_term[order], np.arange(len(hits) + 1)).tolist()
        return {
            term: (documents[start:end], counts[start:end])
            for term, start, end in zip(hits, edges[:-1], edges[1:], strict=True)
        }


@dataclass(frozen=True, slots=True)
class _Slots:
    bounds: dict[int, tuple[int, int]]
    """By segment: the position of its first slot among all, and how many of its slots this version uses."""
    slot_of: Ints
    document_of: Ints
    other_slots: Ints
    other_documents: Ints


def _matches(ordered: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """(place in `ordered`, place in `wanted`) of every pair of equal values."""
    low = np.searchsorted(ordered, wanted, "left")
    count = np.searchsorted(ordered, wanted, "right") - low
    place = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(low, count) + within, place


class CommonTerms:
    """An LRU cache of the decoded postings of one version's common terms, bounded by its size in bytes."""

    def __init__(self, most_bytes: int = COMMON_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._found: OrderedDict[str, tuple[NDArray[np.int32], NDArray[np.uint16]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, term: str) -> tuple[Ints, Ints] | None:
        with self._lock:
            found = self._found.get(term)
            if found is None:
                return None
            self._found.move_to_end(term)
        return found[0].astype(np.int64), found[1].astype(np.int64)

    def keep(self, term: str, decoded: tuple[Ints, Ints]) -> None:
        """Caches a term, unless it is rare: decoding that is as fast as a look-up."""
        if len(decoded[0]) < _COMMON:
            return
        packed = decoded[0].astype(np.int32), decoded[1].astype(np.uint16)
        with self._lock:
            if term not in self._found:
                self._found[term] = packed
                self._bytes += packed[0].nbytes + packed[1].nbytes
            while self._bytes > self._most_bytes and self._found:
                _, (documents, counts) = self._found.popitem(last=False)
                self._bytes -= documents.nbytes + counts.nbytes

    def forget(self) -> None:
        with self._lock:
            self._found.clear()
            self._bytes = 0


class VersionCache:
    """An LRU cache of the files of versions, by database and version."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._found: OrderedDict[tuple[str, int], tuple[tuple[uuid.UUID, str, int], VersionFiles]] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, url: str, connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: Version
    ) -> VersionFiles:
        key = (url, version.id)
        with self._lock:
            known = self._found.get(key)
        if known:
            files = known[1]
        else:
            before = self._before(url, connection, team_id, source, version)
            scope = versions.scope(team_id, source, version.version)
            files = _advance(connection, scope, *before) if before else _load(connection, scope)
            if before:
                before[1].common.forget()  # few queries will still read that version
        files = _relocate(connection, files)
        with self._lock:
            self._found[key] = ((team_id, source, version.version), files)
            self._found.move_to_end(key)
            while len(self._found) > self._kept:
                self._found.popitem(last=False)
        return files

    def _before(
        self, url: str, connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: Version
    ) -> tuple[int, VersionFiles] | None:
        """The newest cached version before `version`, unless its rows were deleted."""
        with self._lock:
            known = [
                (number, identity, files)
                for (at, identity), ((team, name, number), files) in self._found.items()
                if (at, team, name) == (url, team_id, source) and number < version.version
            ]
        for number, identity, files in sorted(known, key=lambda one: -one[0])[:1]:
            # The version numbers of a source that was removed and added again start at 1 again.
            if connection.execute(_STILL_THERE, (team_id, source, number, identity)).fetchone():
                return number, files
        return None


def _load(connection: Connection[TupleRow], scope: dict[str, object]) -> VersionFiles:
    rows = connection.execute(_ALL, scope, binary=True).fetchall()
    return VersionFiles.of([row[0] for row in rows], *_columns(rows))


def _columns(rows: Sequence[TupleRow]) -> tuple[Ints, Ints, tuple[Ints, Ints, Ints]]:
    counts = np.array([len(row[4]) for row in rows], dtype=np.int64)
    lengths = np.array([length for row in rows for length in row[4]], dtype=np.int64)
    content, segment, slot = (np.array([row[n] for row in rows], dtype=np.int64) for n in (1, 2, 3))
    return counts, lengths, (content, segment, slot)


def _advance(
    connection: Connection[TupleRow],
    scope: dict[str, object],
    before: int,
    files: VersionFiles,
) -> VersionFiles:
    """The files of the version in `scope`, from those of version `before` and the rows that changed since."""
    parameters = {**scope, "before": before}
    rows = connection.execute(_ADDED, parameters, binary=True).fetchall()
    removed = {row[0] for row in connection.execute(_REMOVED, parameters, binary=True).fetchall()}
    counts, lengths, columns = _columns(rows)
    old = files.manifest
    stays = np.ones(len(old.paths), dtype=bool)
    stays[[number for path in removed if (number := old.number.get(path)) is not None]] = False
    kept = np.flatnonzero(stays)
    added = [row[0] for row in rows]
    paths = [old.paths[number] for number in kept.tolist()] + added
    order = np.array(sorted(range(len(paths)), key=lambda n: paths[n].encode()), dtype=np.int64)
    all_counts = np.concatenate((np.diff(old.offsets)[kept], counts))
    all_lengths = np.concatenate((old.lengths[np.repeat(stays, np.diff(old.offsets))], lengths))
    starts = np.cumsum(all_counts) - all_counts
    sizes = all_counts[order]
    take = np.repeat(starts[order] - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
    content, segment, slot = (
        np.concatenate((a[kept], b))[order]
        for a, b in zip((files.content_ids, files.segments, files.first_slots), columns, strict=True)
    )
    return VersionFiles.of([paths[n] for n in order.tolist()], sizes, all_lengths[take], (content, segment, slot))


def _relocate(connection: Connection[TupleRow], files: VersionFiles) -> VersionFiles:
    """The same files with the current slots of contents whose segments were merged."""
    gone = [row[0] for row in connection.execute(_REPLACED, (files.segment_ids,), binary=True).fetchall()]
    if not gone:
        return files
    moved: NDArray[np.bool_] = np.isin(files.segments, gone)
    wanted = np.unique(files.content_ids[moved])
    rows = connection.execute(
        "SELECT id, segment, first_slot FROM contents WHERE id = ANY(%b) ORDER BY id", (wanted.tolist(),), binary=True
    ).fetchall()
    found = np.array(rows, dtype=np.int64).reshape(-1, 3)
    place = np.searchsorted(found[:, 0], files.content_ids[moved])
    segments, first_slots = files.segments.copy(), files.first_slots.copy()
    segments[moved], first_slots[moved] = found[place, 1], found[place, 2]
    return replace(files, segments=segments, first_slots=first_slots)
