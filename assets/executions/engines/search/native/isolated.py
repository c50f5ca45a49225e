"""Reads files of repositories in a separate process, because a hostile file can make a parser crash or exhaust memory.

A file that ends the process, or takes too long, is left alone.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from core.shared_worker import SharedWorker

from .operators.base import Hints, Proposal

MODULE = "assets.executions.engines.search.native.worker"
SECONDS = 20.0
"""For one file; the parser itself stops after one second of processor time."""

_shared = SharedWorker(MODULE)


def outline(syntax: str, text: str) -> list[tuple[str, int, int]] | None:
    """Name, first and last line of each function, outer ones first; None when the file cannot be read. Raises
    `core.worker.WorkerUnavailable`, as `proposed` does."""
    rows = _shared.ask({"want": "outline", "syntax": syntax, "text": text}, SECONDS)
    return [(str(row[0]), int(row[1]), int(row[2])) for row in rows] if isinstance(rows, list) else None


def proposed(
    syntax: str, text: str, hints: Hints, families: Iterable[str] | None, lines: Collection[int]
) -> list[Proposal] | None:
    """What operators propose for nodes that begin on these lines; None when the file cannot be read."""
    given: dict[str, Any] = {
        name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(hints).items()
    }
    request = {
        "want": "proposals",
        "syntax": syntax,
        "text": text,
        "hints": given,
        "families": None if families is None else sorted(families),
        "rows": [line - 1 for line in lines],
    }
    rows = _shared.ask(request, SECONDS)
    return [Proposal(*row) for row in rows] if isinstance(rows, list) else None
