"""Cuts files in a separate process, because a hostile file can make a parser crash or exhaust memory.

One worker serves this process; it starts at the first file and ends with this process. A file that ends the
worker twice has no segments, and the caller falls back to windows.
"""

from collections.abc import Sequence

from assets.context.chunking.segment import Segment
from core.shared_worker import SharedWorker
from core.syntax_trees import MOST_BYTES

MODULE = "assets.context.chunking.languages.worker"
TIMEOUT = 20.0
"""Seconds per file; the worker itself stops parsing after one second of processor time."""

_shared = SharedWorker(MODULE)


def segments(language: str, lines: Sequence[str]) -> list[Segment] | None:
    """The segments of a file in one of the languages of `grammars.GRAMMARS`, or None if it cannot be parsed within
    the bounds. Raises `core.worker.WorkerUnavailable`."""
    text = "\n".join(lines)
    if len(text.encode()) > MOST_BYTES:
        return None
    try:
        rows = _shared.ask([language, text], TIMEOUT)
        return None if rows is None else [Segment(*row) for row in rows]
    except TypeError:
        return None
