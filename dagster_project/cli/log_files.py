"""The files that a platform's parts log to: their last lines, and what is added to them."""

import os
import time
from pathlib import Path
from typing import IO

from core.settings import Settings
from dagster_project.cli.output import line

POLL_SECONDS = 0.3
MOST_BYTES = 4 << 20
"""What is read of a file to find its last lines."""


def files(settings: Settings) -> dict[str, Path]:
    """The log of each part that has one, and `up`, the supervisor's own."""
    found = {path.stem: path for path in sorted((settings.home / "logs").glob("*.log"))}
    server = settings.home / "postgres" / "log"
    if settings.database_url is None and server.is_file():
        found["database"] = server
    return found


def show(found: dict[str, Path], lines: int, follow: bool, *, named: bool) -> None:
    """Prints the last lines of each file, each after the part's name if `named`; with `follow` goes on until
    interrupted. Control characters are left out: a log also holds what others sent."""
    tails = [_Tail(f"{name:<12} " if named else "", path) for name, path in found.items()]
    for tail in tails:
        tail.last(lines)
    try:
        while follow:
            time.sleep(POLL_SECONDS)
            for tail in tails:
                tail.more()
    except KeyboardInterrupt:
        return


class _Tail:
    """One file, from a place on. A file that was set aside and begun anew is read from its beginning."""

    def __init__(self, label: str, path: Path) -> None:
        self._label, self._path = label, path
        self._file: IO[bytes] = path.open("rb")
        self._rest = b""

    def last(self, count: int) -> None:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - MOST_BYTES))
        whole, _, self._rest = self._file.read(MOST_BYTES).rpartition(b"\n")
        self._print(whole.split(b"\n")[-count:] if count and whole else [])

    def more(self) -> None:
        self._read()
        try:
            now = self._path.stat()
        except OSError:
            return
        if not os.path.samestat(os.fstat(self._file.fileno()), now) or now.st_size < self._file.tell():
            self._file.close()
            self._file, self._rest = self._path.open("rb"), b""
            self._read()

    def _read(self) -> None:
        whole, newline, self._rest = (self._rest + self._file.read(MOST_BYTES)).rpartition(b"\n")
        if newline:
            self._print(whole.split(b"\n"))

    def _print(self, lines: list[bytes]) -> None:
        for one in lines:
            text = one.decode(errors="replace").expandtabs()
            line(self._label + "".join(char for char in text if char.isprintable()))
