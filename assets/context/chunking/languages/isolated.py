"""Cuts files in a separate process, because a hostile file can make a parser crash or exhaust memory.

One worker serves this process; it starts at the first file and ends with this process. A file that ends the
worker twice has no segments, and the caller falls back to windows.
"""

import atexit
import os
import threading
from collections.abc import Sequence

from assets.context.chunking.segment import Segment
from core.syntax_trees import MOST_BYTES
from core.worker import Worker, WorkerEnded

MODULE = "assets.context.chunking.languages.worker"
TIMEOUT = 20.0
"""Seconds per file; the worker itself stops parsing after one second of processor time."""


class _Shared:
    """The worker of this process. A forked child starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._owner = 0

    def cut(self, language: str, text: str) -> list[Segment] | None:
        with self._lock:
            for _ in range(2):  # twice, since the worker may have died for another reason
                if self._worker is None or self._owner != os.getpid():
                    self._worker, self._owner = Worker(MODULE), os.getpid()
                try:
                    rows = self._worker.ask([language, text], TIMEOUT)
                    return None if rows is None else [Segment(*row) for row in rows]
                except (WorkerEnded, TypeError):
                    self.end()
        return None

    def end(self) -> None:
        if self._worker is not None and self._owner == os.getpid():
            self._worker.end()
        self._worker = None


_shared = _Shared()
atexit.register(_shared.end)


def segments(language: str, lines: Sequence[str]) -> list[Segment] | None:
    """The segments of a file in one of the languages of `grammars.GRAMMARS`, or None if it cannot be parsed within
    the bounds. Raises `core.worker.WorkerUnavailable`."""
    text = "\n".join(lines)
    return _shared.cut(language, text) if len(text.encode()) <= MOST_BYTES else None
