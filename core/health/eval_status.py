"""The status of the newest eval runs, in one small file: written by evals, shown by the gateway's metrics.

Only what an alert needs; the results are in Parquet files next to it.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

MOST = 200
"""How many statuses are stored: one for each set and subject, the newest ones."""


class EvalStatus(BaseModel):
    """The newest run of one subject over one set. `drifted`: it is worse than the previous run of exactly the
    same subject; None if there was none, as for the `verdict` of that comparison."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    set_name: str
    subject: str
    run: str
    at: datetime
    success: float | None
    drifted: bool | None
    said: str
    verdict: str | None = None


_ALL = TypeAdapter(list[EvalStatus])

FILE = "status.json"


def read_status(folder: Path) -> list[EvalStatus]:
    """The statuses in the folder of results, sorted by set and subject. Empty when nothing was run, and when the file
    is damaged: the next run writes a new one."""
    try:
        return _ALL.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return []


def keep_status(folder: Path, status: EvalStatus) -> None:
    """Replaces the status of the same set and subject, unless that is of a newer run."""
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {(one.set_name, one.subject): one for one in read_status(folder)}
        before = known.get((status.set_name, status.subject))
        if before is None or before.at <= status.at:
            known[status.set_name, status.subject] = status
        _write(path, sorted(known.values(), key=lambda one: one.at)[-MOST:])


def _write(path: Path, kept: Sequence[EvalStatus]) -> None:
    ordered = sorted(kept, key=lambda one: (one.set_name, one.subject))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps([one.model_dump(mode="json") for one in ordered], indent=1) + "\n")
    temporary.replace(path)
