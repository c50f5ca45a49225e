"""Reads files of repositories in a separate process, because a hostile file can make a parser crash or exhaust memory.

A file that ends the process, or takes too long, is left alone.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from core.worker import Worker, WorkerEnded

from .operators.base import Hints, Proposal

MODULE = "assets.executions.engines.search.native.worker"
SECONDS = 20.0
"""For one file; the parser itself stops after one second of processor time."""
_NAME = 200


class Reader:
    """One process, started at the first file. Not for several threads. Raises `core.worker.WorkerUnavailable`."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def outline(self, syntax: str, text: str) -> list[tuple[str, int, int]] | None:
        """Name, first and last line of each function; None when the file cannot be read."""
        rows = self._ask({"want": "outline", "syntax": syntax, "text": text})
        return [(str(row[0])[:_NAME], int(row[1]), int(row[2])) for row in rows] if isinstance(rows, list) else None

    def proposals(
        self, syntax: str, text: str, hints: Hints, families: Iterable[str] | None, lines: Collection[int]
    ) -> list[Proposal] | None:
        """What operators propose for nodes that begin on these lines; None when the file cannot be read."""
        given = {
            name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(hints).items()
        }
        rows = self._ask({"want": "proposals", "syntax": syntax, "text": text, "hints": given,
                          "families": None if families is None else sorted(families),
                          "rows": [line - 1 for line in lines]})  # fmt: skip
        return [Proposal(*row) for row in rows] if isinstance(rows, list) else None

    def _ask(self, request: dict[str, Any]) -> Any:
        try:
            if self._worker is None:
                self._worker = Worker(MODULE)
            return self._worker.ask(request, SECONDS)
        except WorkerEnded:
            self.close()
            return None

    def close(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None
