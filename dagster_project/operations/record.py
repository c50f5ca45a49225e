"""When the last backup of a home was made, in a file there, so that `penstock doctor --production` can ask."""

import json
from datetime import UTC, datetime
from pathlib import Path

from dagster_project.records import write

FILE = "last-backup.json"
UNFINISHED = "restore-unfinished.json"
"""In the home while a restore moves files into place."""


def note_backup(home: Path, at: datetime, archive: Path, sha256: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    write(home / FILE, {"at": at.astimezone(UTC).isoformat(), "archive": str(archive), "sha256": sha256})


def last_backup(home: Path) -> datetime | None:
    """None if none is known, or the file cannot be read."""
    try:
        found = datetime.fromisoformat(json.loads((home / FILE).read_text(encoding="utf-8"))["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.tzinfo else None
