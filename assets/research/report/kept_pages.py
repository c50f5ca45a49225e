"""Keeps the HTML pages of reports in the platform's home folder, where the links of Dagster lead."""

import uuid
from collections.abc import Iterable
from pathlib import Path

from assets.research.memory import StoredReport
from assets.research.report.page import page

MOST_KEPT = 500


def keep_page(home: Path, identity: uuid.UUID, stored: StoredReport) -> Path:
    """Writes a report's page, and deletes the oldest ones above `MOST_KEPT`. Returns its place."""
    folder = _folder(home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{identity}.html"
    new = folder / f"{identity}.html.new"
    new.write_text(page(stored.report, stored.verdict, stored.passages), encoding="utf-8")
    new.replace(path)
    for old in sorted(folder.glob("*.html"), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
    return path


def drop_pages(home: Path, questions: Iterable[uuid.UUID]) -> None:
    """Deletes the pages of reports that were withdrawn, as far as this machine keeps them."""
    for question in questions:
        (_folder(home) / f"{question}.html").unlink(missing_ok=True)


def _folder(home: Path) -> Path:
    return home / "research" / "reports"
