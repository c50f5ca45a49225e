"""Copies of a session's workspace that it can go back to, in a folder of the host beside it."""

import itertools
import os
from pathlib import Path

from .protocol import WorkspaceRefused
from .scratch import remove_tree
from .workspace_copy import copy_workspace

_MOST = 32


class Snapshots:
    """Snapshots of `workspace`, kept in `folder`; each may hold `max_bytes`. `owner` is as in `copy_workspace`."""

    def __init__(self, workspace: Path, folder: Path, max_bytes: int, owner: int | None) -> None:
        self._workspace = workspace
        self._folder = folder
        self._max_bytes = max_bytes
        self._owner = owner
        self._numbers = itertools.count(1)
        self._kept: set[int] = set()

    def take(self) -> int:
        """Raises `WorkspaceRefused` and `OSError`."""
        if len(self._kept) >= _MOST:
            raise WorkspaceRefused(f"a session keeps at most {_MOST} snapshots: drop one")
        number = next(self._numbers)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        target = self._folder / str(number)
        try:
            copy_workspace(self._workspace, target, self._max_bytes, self._owner)
        except BaseException:
            remove_tree(target)
            raise
        self._kept.add(number)
        return number

    def restore(self, number: int) -> int:
        """Replaces the workspace's content, but not its folder, which may be mounted. Returns its size in bytes. Raises
        `ValueError` for an unknown snapshot, and `OSError`, after which the content is undefined."""
        source = self._place(number)
        new = self._folder / "new"
        remove_tree(new)
        size = copy_workspace(source, new, self._max_bytes, self._owner).size
        old = self._folder / "old"
        old.mkdir(mode=0o700)
        try:
            for origin, target in ((self._workspace, old), (new, self._workspace)):
                for name in os.listdir(origin):  # noqa: PTH208 - names of any bytes
                    inner = origin / name
                    if inner.is_dir() and not inner.is_symlink():
                        inner.chmod(inner.stat().st_mode & 0o777 | 0o700)  # a folder is moved only if it can be written
                    inner.rename(target / name)
        finally:
            remove_tree(old)
            remove_tree(new)
        return size

    def drop(self, number: int) -> None:
        """Raises `ValueError` for an unknown snapshot, and `OSError`."""
        place = self._place(number)
        self._kept.discard(number)
        remove_tree(place)

    def _place(self, number: int) -> Path:
        if number not in self._kept:
            raise ValueError(f"there is no snapshot {number!r} in this session")
        return self._folder / str(number)
