"""Keeps the HTML pages of reports in the platform's home folder, where the links of Dagster lead."""

import uuid
from pathlib import Path

from assets.research.memory import StoredReport
from assets.research.report.page import page

MOST_KEPT = 500


def keep_page(home: Path, identity: uuid.UUID, stored: StoredReport) -> Path:
    """Writes a report's page, and deletes the oldest ones above `MOST_KEPT`. Returns its place."""
    folder = home / "research" / "reports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{identity}.html"
    new = folder / f"{identity}.html.new"
    new.write_text(page(stored.report, stored.verdict, stored.passages), encoding="utf-8")
    new.replace(path)
    for old in sorted(folder.glob("*.html"), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
    return path
