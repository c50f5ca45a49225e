"""Faults of the machine, as one sentence that says what happened and what to do; anything else is a bug and keeps its
traceback.
"""

import errno
from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_UNABLE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
_OPEN = (errno.EMFILE, errno.ENFILE)
_NO_MEMORY = "there is too little memory: end other programs, or give this machine (or its container) more"


def sentence(error: BaseException) -> str | None:
    """The sentence for an error that a fault of the machine has caused, however far down; None for any other."""
    for cause in _causes(error):
        if isinstance(cause, MemoryError):
            return _NO_MEMORY
        if isinstance(cause, OSError) and (said := _of_system(cause)):
            return said
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_system(error: OSError) -> str | None:
    number, place = error.errno, error.filename
    where = f"{place}: " if isinstance(place, str) else ""
    if number == errno.ENOMEM:
        return _NO_MEMORY
    if number in _FULL:
        return f"{where}the disk is full. Free some space; `penstock doctor` shows how much there is"
    if number == errno.EROFS:
        return (
            f"{where}the disk is read-only. Make it writable, or set PENSTOCK_HOME and PENSTOCK_CACHE to other folders"
        )
    if number in _FORBIDDEN and where:
        return f"{where}this user may not do that. Run Penstock as the user who owns it, or set PENSTOCK_HOME elsewhere"
    if number in _UNABLE:
        return (
            f"{where}its file system cannot do that ({error.strerror}). Set PENSTOCK_HOME to a folder on a local disk"
        )
    if number in _OPEN:
        return f"{where}too many files are open. Raise the limit: ulimit -n 65536"
    if number == errno.EADDRINUSE:
        return f"{where}the address is in use: stop the program that uses it"
    return None


def without_traceback(text: str) -> str:
    """A message that quotes a program's output, with each traceback in it cut to its last line."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif not inside or (line and not line[0].isspace()):
            inside = False
            kept.append(line)
    return "\n".join(kept)
