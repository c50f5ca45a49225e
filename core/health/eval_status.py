"""How the newest eval runs stand, in one small file: written by evals, shown by the gateway's metrics.

Not the results, which lie in Parquet beside it; only what an alert needs.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

MOST = 200
"""Pairs of set and subject that are kept, the newest."""


class EvalStatus(BaseModel):
    """The newest run of one subject over one set. `drifted`: it is worse than the run before of the very same
    subject; None where there is none to compare with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    set_name: str
    subject: str
    run: str
    at: datetime
    success: float | None
    drifted: bool | None
    said: str


_ALL = TypeAdapter(list[EvalStatus])


FILE = "status.json"


def read_status(folder: Path) -> list[EvalStatus]:
    """What the folder of results holds, by set and subject. Empty when nothing was run, and when the file is damaged:
    the next run writes it anew."""
    try:
        return _ALL.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return []


def keep_status(folder: Path, status: EvalStatus) -> None:
    """Puts a run's status in the place of the one before; an older run never replaces a newer one."""
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
