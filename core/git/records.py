"""Records of a repository: entries of trees, changes between commits, commits of a history, a work tree's status.

Object ids are full hexadecimal strings; paths are `str` with undecodable bytes as surrogate escapes
(`os.fsdecode`).
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a commit. `size` is in bytes, 0 for a submodule."""

    mode: str
    blob: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs. `status` is A, M, D, T (type), or R (renamed from `old_path`)."""

    status: str
    path: str
    old_path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    author: str
    time: datetime
    message: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """`paths` differ from HEAD or are untracked; empty: the work tree is clean."""

    paths: tuple[str, ...]

    @property
    def dirty(self) -> bool:
        return bool(self.paths)
