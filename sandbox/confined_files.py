"""Reads and writes files in a folder that a hostile process may be changing at the same time.

Each component of a path is opened relative to the descriptor of its parent, without following links. Links are
resolved by this module, so that no path leads out of the folder, whatever is swapped in meanwhile.
"""

import errno
import os
import stat
from pathlib import Path

from .protocol import WORKSPACE

_MAX_LINKS = 40
_MAX_DEPTH = 200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def components(path: str) -> list[str]:
    """The components of a relative path of the workspace. Raises `ValueError` for one that is none, or names no file;
    `..` and links are for whoever follows it."""
    if not path or "\0" in path or path.startswith("/"):
        raise ValueError(f"{path!r} is not a relative path in the workspace")
    found = _components(path)
    if not found:
        raise ValueError(f"{path!r} names no file")
    if len(found) > _MAX_DEPTH:
        raise ValueError(f"{path[:80]!r}... is nested too deep")
    return found


def _open(root: Path, path: str, flags: int, make: bool, owner: int | None = None) -> int:
    """Opens the file at `path` in `root`. Raises `ValueError` when it leads out or is not a regular file."""
    todo = components(path)[::-1]
    folders = [os.open(root, _FOLDER)]
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if len(folders) == 1:
                    raise ValueError(f"{path!r} leads out of the workspace")
                os.close(folders.pop())
                continue
            try:
                facts = os.stat(name, dir_fd=folders[-1], follow_symlinks=False)
            except FileNotFoundError:
                if not make:
                    raise
                facts = None
            if facts is not None and stat.S_ISLNK(facts.st_mode):
                links += 1
                if links > _MAX_LINKS:
                    raise ValueError(f"{path!r} goes through too many symbolic links")
                link = os.readlink(name, dir_fd=folders[-1])
                if link.startswith("/"):
                    if link != WORKSPACE and not link.startswith(f"{WORKSPACE}/"):
                        raise ValueError(f"{path!r} leads out of the workspace")
                    link = link.removeprefix(WORKSPACE)
                    while len(folders) > 1:
                        os.close(folders.pop())
                todo += _components(link)[::-1]
                if not todo or len(todo) > _MAX_DEPTH:
                    raise ValueError(f"{path!r} names no file")
                continue
            if todo:
                if facts is None:
                    os.mkdir(name, 0o755, dir_fd=folders[-1])
                    if owner is not None:
                        os.chown(name, owner, owner, dir_fd=folders[-1], follow_symlinks=False)
                if len(folders) > _MAX_DEPTH:
                    raise ValueError(f"{path!r} is nested too deep")
                folders.append(os.open(name, _FOLDER, dir_fd=folders[-1]))
                continue
            if facts is not None and not stat.S_ISREG(facts.st_mode):
                raise ValueError(f"{path!r} is not a regular file")
            opened = os.open(name, flags | _FILE, 0o644, dir_fd=folders[-1])
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                os.close(opened)
                raise ValueError(f"{path!r} is not a regular file")
            if facts is None and owner is not None:
                os.fchown(opened, owner, owner)
            return opened
        raise ValueError(f"{path!r} names no file")
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        raise ValueError(f"{path!r} cannot be opened in the workspace: {os.strerror(error.errno or 0)}") from error
    finally:
        for folder in folders:
            os.close(folder)


def read_confined(root: Path, path: str, max_bytes: int) -> bytes:
    """The content of a file. Raises as `sandbox.protocol.Session.read`."""
    opened = _open(root, path, os.O_RDONLY, make=False)
    with os.fdopen(opened, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"{path!r} is larger than {max_bytes:,} bytes")
    return content


def write_confined(root: Path, path: str, content: bytes, owner: int | None = None) -> None:
    """Creates a file and its folders, or replaces its content; what it creates belongs to the user and group `owner`.
    Raises `ValueError` as `sandbox.protocol.Session.write`."""
    try:
        opened = _open(root, path, os.O_WRONLY | os.O_CREAT, make=True, owner=owner)
    except FileNotFoundError as error:
        raise ValueError(f"{path!r} cannot be created: a part of its path is a file") from error
    with os.fdopen(opened, "wb") as file:
        file.truncate(0)
        file.write(content)
