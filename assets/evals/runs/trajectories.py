"""Reads the trajectories and patches that two runs stored for one case, shortened to what a page can hold.

Their content was written by programs, models and repositories: it is untrusted and only ever treated as text.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from assets.evals.compare.breakdown import Flip

from .store import ResultStore

EXCERPT = 60
EXCERPT_CHARACTERS = 400
WHOLE = 400
WHOLE_CHARACTERS = 4_000
MOST_BYTES = 4 << 20
PATCH_BYTES = 64 << 10


@dataclass(frozen=True)
class Entry:
    """One line of a trajectory, shortened. `at` is its time in seconds; `fields` are the parts of its body by name."""

    at: str
    kind: str
    text: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Side:
    """The files that one run stored for a case; None for a file that does not exist."""

    trajectory: Path | None
    patch: Path | None

    @property
    def excerpt(self) -> list[Entry] | None:
        return read_entries(self.trajectory, EXCERPT, EXCERPT_CHARACTERS)

    @property
    def whole(self) -> list[Entry] | None:
        return read_entries(self.trajectory, WHOLE, WHOLE_CHARACTERS)

    @property
    def diff(self) -> list[str]:
        """The lines of the patch, of at most `PATCH_BYTES`."""
        if self.patch is None:
            return []
        with self.patch.open("rb") as file:
            return file.read(PATCH_BYTES).decode("utf-8", "replace").splitlines()


@dataclass(frozen=True)
class SideBySide:
    """A flipped case with the files of both runs. `change` is `lost` or `gained`."""

    flip: Flip
    change: str
    baseline: Side
    candidate: Side

    @classmethod
    def of(cls, store: ResultStore, runs: tuple[str, str], flip: Flip, change: str) -> "SideBySide":
        return cls(
            flip,
            change,
            Side(kept_file(store, runs[0], flip.baseline_trajectory), kept_file(store, runs[0], flip.baseline_patch)),
            Side(kept_file(store, runs[1], flip.candidate_trajectory), kept_file(store, runs[1], flip.candidate_patch)),
        )

    @property
    def kept(self) -> bool:
        return any((self.baseline.trajectory, self.candidate.trajectory, self.baseline.patch, self.candidate.patch))

    @property
    def page(self) -> str:
        """The path of the case's own page, relative to the report."""
        return f"flips/{self.change}-{re.sub(r'[^A-Za-z0-9_.-]', '_', self.flip.case)[:120]}.html"


def kept_file(store: ResultStore, run: str, name: str | None) -> Path | None:
    """A file under a run's `trajectories`; None if it does not exist or its name leads outside that folder."""
    if name is None:
        return None
    folder = (store.folder(run) / "trajectories").resolve()
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None


def read_entries(path: Path | None, most: int, characters: int) -> list[Entry] | None:
    """The first and last `most / 2` entries of a trajectory, each of at most `characters`; None without a path."""
    if path is None:
        return None
    with path.open("rb") as file:
        lines = file.read(MOST_BYTES).splitlines()
    half = most // 2
    kept = lines if len(lines) <= most else [*lines[:half], *lines[-half:]]
    entries = [_entry(line, characters) for line in kept]
    if len(lines) > most:
        entries.insert(half, Entry("", "…", f"{len(lines) - most} entries omitted; all are in {path}"))
    return entries


def _entry(line: bytes, characters: int) -> Entry:
    try:
        read = json.loads(line)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        return Entry("", "unreadable", line[:characters].decode("utf-8", "replace"))
    body = read.get("body", "")
    fields: tuple[tuple[str, str], ...] = ()
    if isinstance(body, dict):
        parts = ((str(key)[:40], _written(one)) for key, one in body.items())
        fields = tuple((key, _cut(value, characters)) for key, value in parts if value not in ("", "null", "[]", "{}"))
        text = " · ".join(f"{key}: {value}" for key, value in fields)
    else:
        text = _written(body)
    return Entry(
        str(read.get("seconds", read.get("at", "")))[:24],
        str(read.get("kind", ""))[:40],
        _cut(text, characters),
        fields,
    )


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str, characters: int) -> str:
    return text[:characters] + (" …" if len(text) > characters else "")
