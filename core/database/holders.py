"""The processes that hold the embedded server, in a file beside its data: the last one to leave stops it.

It takes the place of the list that comes with the server's package. That one holds bare process ids, so a holder that
was killed, or whose id another program has now, keeps the server running for ever.
"""

import json
from pathlib import Path

from core.processes import ProcessName


class Holders:
    """The package's `DiskList`, without holders that have ended. Its callers hold the package's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_and_add(self, value: int) -> list[int]:
        """Adds a process; returns who held the server before."""
        living = self._living()
        name = ProcessName.of(value)
        self._write([*(one for one in living if one.pid != value), *([name] if name else [])])
        return [one.pid for one in living]

    def get_and_remove(self, value: int) -> list[int]:
        """Removes a process; returns who held the server before."""
        living = self._living()
        if any(one.pid == value for one in living):
            self._write([one for one in living if one.pid != value])
        return [one.pid for one in living]

    def _living(self) -> list[ProcessName]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or its writer was killed while it wrote
            return []
        found = [ProcessName.read(one) for one in stored] if isinstance(stored, list) else []
        return [one for one in found if one is not None and one.runs()]

    def _write(self, names: list[ProcessName]) -> None:
        partial = self._path.with_suffix(".new")
        partial.write_text(json.dumps([one.stored() for one in names]), encoding="utf-8")
        partial.replace(self._path)
