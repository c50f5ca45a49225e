"""Whether the home folder can hold a platform: it can be written to, has room, and its file system has locks and Unix
sockets. Asked before anything is started there, so that the answer is a sentence and not what breaks first.
"""

import contextlib
import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1 << 20
NEW_DATABASE = 160 * MEGABYTE
"""A new embedded database takes 72 MB; the first index and logs need room too."""
OLD_DATABASE = 32 * MEGABYTE
"""PostgreSQL needs a file of 16 MB for its log when it starts."""
FEW = 1 * MEGABYTE
"""For what a single command writes."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REASONS = {
    errno.EROFS: "it is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "a file has its name",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the user's quota is used up",
    errno.ENAMETOOLONG: "its path is too long",
}
ELSEWHERE = "set PENSTOCK_HOME to a folder on a local disk"


class UnusableHome(RuntimeError):
    """The home folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Check:
    """`name` is what was looked at, `problem` a sentence, None if all is well; `detail` says what was found."""

    name: str
    problem: str | None
    detail: str = ""


def require(home: Path, *, database: bool) -> None:
    """Raises `UnusableHome` with the first problem; `database`: the embedded server is to start or run there."""
    for check in look(home, database=database):
        if check.problem is not None:
            raise UnusableHome(check.problem)


def look(home: Path, *, database: bool) -> Iterator[Check]:
    """Checks in the order in which they matter; nothing follows a folder that cannot be written to. Creates the
    folder."""
    running = (home / "postgres" / "postmaster.pid").exists()
    detail = f"{home} can be written to"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home, prefix=".penstock-") as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        if error.errno not in _FULL:
            yield Check("home", f"the home folder {home} cannot be written to: {_reason(error)}. {_remedy(error)}")
            return
        if not running:  # one that runs still answers
            yield Check("home", f"there is no room left in the home folder {home}. Free some space, or {ELSEWHERE}")
            return
        detail = f"{home} could be written to if its disk had room"
    yield Check("home", None, detail)
    yield _space(home, database=database, running=running)
    if not database:
        return
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=home, prefix=".penstock-") as folder:
        yield _can("file locks", home, lambda: _lock(Path(folder) / "lock"))
        yield _can("Unix sockets", home, lambda: _bind(Path(folder) / "s"))


def _space(home: Path, *, database: bool, running: bool) -> Check:
    facts = os.statvfs(home)
    free, there = facts.f_bavail * facts.f_frsize, (home / "postgres" / "PG_VERSION").exists()
    needed = (OLD_DATABASE if there else NEW_DATABASE) if database and not running else FEW
    detail = f"{_size(free)} free at {home}"
    if free >= needed or (running and database):
        return Check("free space", None, detail)
    what = "Penstock's database" if database else "what this command stores"
    return Check(
        "free space",
        f"there are only {_size(free)} free at the home folder {home}, and {what} needs {_size(needed)}. Free some "
        f"space, or set PENSTOCK_HOME to a folder on another disk",
        detail,
    )


def _can(name: str, home: Path, do: Callable[[], None]) -> Check:
    try:
        do()
    except OSError as error:
        if error.errno in _FULL:
            return Check(name, None, "not checked, since the disk is full")
        return Check(
            name,
            f"the file system of the home folder {home} has no {name} ({os.strerror(error.errno or 0)}), as some "
            f"network and shared folders have not: {ELSEWHERE}",
        )
    return Check(name, None, f"{home} has them")


def _lock(path: Path) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _bind(path: Path) -> None:
    """By a name relative to its folder, since the address of a socket has at most 108 bytes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or os.strerror(error.errno or 0)


def _remedy(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "Run Penstock as the user who owns it, or set PENSTOCK_HOME to a folder of this user"
    return f"Make it writable, or {ELSEWHERE}"


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count // MEGABYTE} MB"
