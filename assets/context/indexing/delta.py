"""Determines what differs between the visible version of a source and a commit.

By git, at a cost proportional to the changes, if the version's commit still exists; else by the version's rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from assets.context.source.skips import LONGEST_PATH
from assets.context.store.versions import FileRow
from core.git import Entry, Repository


@dataclass(frozen=True, slots=True)
class Delta:
    """The added or changed entries, and the removed paths (in the form stored in rows)."""

    entries: Sequence[Entry]
    removed: Sequence[str]


def by_git(repository: Repository, before: str, commit: str) -> Delta:
    """The difference between two commits. A rename is a removed and an added path. Raises `GitError`."""
    changes = repository.diff_names(before, commit, renames=False)
    kept = [change for change in changes if change.status != "D"]
    sizes = repository.sizes(change.blob for change in kept if change.mode != "160000")
    entries = [Entry(c.mode, c.blob, sizes.get(c.blob, 0), c.path) for c in kept]
    return Delta(entries, [as_text(change.path) for change in changes if change.status == "D"])


def by_rows(repository: Repository, commit: str, live: Sequence[FileRow], *, trusted: bool) -> Delta:
    """The difference between a version's rows and a commit. Unless the rows are `trusted`, all files count as changed.
    Raises `GitError`."""
    entries = repository.ls_tree(commit)
    held = {row.path: (row.mode, row.blob) for row in live} if trusted else {}
    there = {as_text(entry.path) for entry in entries}
    return Delta(
        [entry for entry in entries if held.get(as_text(entry.path)) != (entry.mode, entry.blob)],
        [row.path for row in live if row.path not in there],
    )


def as_text(path: str) -> str:
    """A path in the form stored in Postgres: bytes that are not UTF-8 are escaped; a long path is cut and hashed."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if len(text) > LONGEST_PATH:
        return f"{text[: LONGEST_PATH - 20]}…{sha256(text.encode()).hexdigest()[:16]}"
    return text
