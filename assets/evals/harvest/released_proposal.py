"""Writes a fix that was found between two releases as a proposed case, for a reviewer to complete.

Fields that need a reviewer's judgement stay empty, so that a proposal cannot be added to a set unread.
"""

import json
import re
from datetime import date
from pathlib import Path

from assets.evals.sets.set_files import EvalSetError

from .released_search import ReleasedFix


def propose(fix: ReleasedFix, into: Path) -> Path:
    """Writes the case's folder `into/ID`, with an empty `issue.md`, and `into/ID.diff`, the changelog and the fix for
    the reviewer. Returns the folder. Raises `EvalSetError` if no id is free."""
    stem = re.sub(r"[^a-z0-9]+", "-", f"{fix.package}-{fix.after}".lower()).strip("-")[:50]
    ids = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 100))
    case = next((name for name in ids if not (into / name).exists()), None)
    if case is None:
        raise EvalSetError(f"{into / stem}: 99 proposals of this name exist; add them to a set or remove some")
    fields = {
        "id": case,
        "bug_class": "",
        "family": "",
        "split": "check",
        "package": fix.package,
        "licence": "",
        "before": {"version": fix.before, "sha256": fix.before_sha256},
        "after": {"version": fix.after, "sha256": fix.after_sha256},
        "changelog": "",
        "fix": [{"path": piece.path, "start": piece.start, "end": piece.end} for piece in fix.pieces],
        "fails": fix.fails,
        "keeps": fix.keeps,
        "left_out": fix.left_out,
        "created": date.today().isoformat(),
    }
    folder = into / case
    folder.mkdir(parents=True)
    (folder / "case.json").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    (folder / "issue.md").write_text("", encoding="utf-8")
    reading = f"{fix.notes}\n{fix.patch}".encode("utf-8", "surrogateescape")
    (into / f"{case}.diff").write_bytes(reading)
    return folder
