"""Copies a workspace into a private folder: files, folders and symbolic links, limited in size and number.

Links are copied as links and never followed; anything else (FIFO, socket, device) is refused. Nothing is
hard-linked, so that no write inside the sandbox can reach the original.
"""

import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .protocol import WorkspaceRefused

_FICLONE = 0x40049409
_MAX_ENTRIES = 1_000_000
_MAX_DEPTH = 128
_CHUNK = 1 << 30


@dataclass
class CopyTotal:
    """What has been copied so far; `size` in bytes."""

    size: int = 0
    entries: int = 0


def copy_workspace(source: Path, target: Path, max_bytes: int, owner: int | None = None) -> CopyTotal:
    """Copies `source` to `target`, which must not exist. Modes (without set-user-id) and times of files are copied too.
    The copies belong to the user and group `owner`, or to those of this process when it is None.

    Raises `WorkspaceRefused`, which names the entry, and `OSError` when the host cannot read or write."""
    try:
        folder = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    except NotADirectoryError as error:
        raise WorkspaceRefused(f"the workspace {source} is not a folder") from error
    try:
        target.mkdir(mode=0o755)
        target.chmod(0o755)
        made = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            copy = _Copy(source, max_bytes, owner, CopyTotal())
            copy.folder(folder, made, "", 0)
        finally:
            os.close(made)
    finally:
        os.close(folder)
    return copy.total


@dataclass
class _Copy:
    root: Path
    max_bytes: int
    owner: int | None
    total: CopyTotal

    def folder(self, source: int, target: int, at: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise WorkspaceRefused(f"the workspace {self.root} is nested deeper than {_MAX_DEPTH} folders")
        if self.owner is not None:
            os.fchown(target, self.owner, self.owner)
        with os.scandir(source) as entries:
            for entry in entries:
                self.total.entries += 1
                if self.total.entries > _MAX_ENTRIES:
                    raise WorkspaceRefused(f"the workspace {self.root} holds more than {_MAX_ENTRIES:,} entries")
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.name, dir_fd=source), entry.name, dir_fd=target)
                    if self.owner is not None:
                        os.chown(entry.name, self.owner, self.owner, dir_fd=target, follow_symlinks=False)
                elif entry.is_dir(follow_symlinks=False):
                    self._inner_folder(source, target, entry.name, at, depth)
                elif entry.is_file(follow_symlinks=False):
                    self._file(source, target, entry.name, at)
                else:
                    raise self._special(at + entry.name)

    def _special(self, path: str) -> WorkspaceRefused:
        return WorkspaceRefused(
            f"the workspace {self.root} holds {path}, which is not a file, folder or link: remove it"
        )

    def _inner_folder(self, source: int, target: int, name: str, at: str, depth: int) -> None:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=source)
        try:
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=target)
            try:
                self.folder(inner, made, f"{at}{name}/", depth + 1)
                os.fchmod(made, stat.S_IMODE(os.fstat(inner).st_mode) & 0o777 | 0o700)
            finally:
                os.close(made)
        finally:
            os.close(inner)

    def _file(self, source: int, target: int, name: str, at: str) -> None:
        given = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source)
        try:
            facts = os.fstat(given)
            if not stat.S_ISREG(facts.st_mode):
                raise self._special(at + name)
            self.total.size += facts.st_size
            if self.total.size > self.max_bytes:
                raise WorkspaceRefused(
                    f"the workspace {self.root} is larger than {self.max_bytes:,} bytes: "
                    "raise the disk limit or remove files"
                )
            made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=target)
            try:
                _copy_bytes(given, made, facts.st_size)
                if self.owner is not None:
                    os.fchown(made, self.owner, self.owner)
                os.fchmod(made, facts.st_mode & 0o777)
                os.utime(made, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            finally:
                os.close(made)
        finally:
            os.close(given)


def _copy_bytes(given: int, made: int, size: int) -> None:
    """Shares blocks where the file system supports it, else copies within the kernel; at most `size` bytes."""
    if size == 0:
        return
    if size >= 1 << 16:
        try:
            fcntl.ioctl(made, _FICLONE, given)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM):
                raise
        else:
            os.truncate(made, size)
            return
    left = size
    while left > 0:
        sent = os.sendfile(made, given, None, min(left, _CHUNK))
        if sent == 0:
            return
        left -= sent
