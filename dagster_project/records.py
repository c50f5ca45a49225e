"""Files in the run folder that tell other commands about a platform.

`platform.json` is there while everything answers: addresses and process ids. `parts.json` is there from the first start
of a process on, and stays when `penstock up` is killed: each part with the name of its process, so that what is left
over can be found and ended.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.processes import ProcessName, end
from core.settings import Settings

END_SECONDS = 10.0


class AlreadyRuns(RuntimeError):
    """Another `penstock up` runs on this home folder."""


@dataclass(frozen=True)
class PartRecord:
    """One part as the supervisor saw it last. `since` is the time of its start, in seconds since the epoch."""

    name: str
    process: ProcessName | None
    state: str
    since: float
    restarts: int
    detail: str = ""

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.runs()


@dataclass(frozen=True)
class PlatformRecord:
    """What a supervisor wrote of itself and of its parts."""

    supervisor: ProcessName
    since: float
    parts: tuple[PartRecord, ...] = ()
    left: tuple[PartRecord, ...] = field(default=(), compare=False)
    """Parts that still run although their supervisor has ended, without the database, which has holders."""


def platform_file(settings: Settings) -> Path:
    """The file with the addresses and process ids of a running platform."""
    return settings.run_folder / "platform.json"


def parts_file(settings: Settings) -> Path:
    return settings.run_folder / "parts.json"


def running_platform(settings: Settings) -> dict[str, object] | None:
    """The content of `platform.json` if the supervisor that wrote it still runs, else None."""
    state = _read(settings, platform_file)
    name = ProcessName.read(state.get("process"))
    return state if name is not None and name.runs() else None


def read_record(settings: Settings) -> PlatformRecord | None:
    """What the last supervisor on this home folder wrote; None if it stopped everything itself."""
    stored = _read(settings, parts_file)
    supervisor = ProcessName.read(stored.get("supervisor"))
    if supervisor is None:
        return None
    try:
        parts = tuple(
            PartRecord(
                str(one["name"]), ProcessName.read(one["process"]), str(one["state"]), float(one["since"]),
                int(one["restarts"]), str(one["detail"]),
            )
            for one in stored["parts"]
        )  # fmt: skip
        since = float(stored["since"])
    except (KeyError, TypeError, ValueError):
        return None
    left = () if supervisor.runs() else tuple(one for one in parts if one.runs and one.name != "database")
    return PlatformRecord(supervisor, since, parts, left)


def write_record(settings: Settings, record: PlatformRecord) -> None:
    write(
        parts_file(settings),
        {
            "supervisor": record.supervisor.stored(),
            "since": record.since,
            "parts": [
                {
                    "name": one.name,
                    "process": one.process.stored() if one.process else None,
                    "state": one.state,
                    "since": one.since,
                    "restarts": one.restarts,
                    "detail": one.detail,
                }
                for one in record.parts
            ],
        },
    )


def forget(settings: Settings) -> None:
    """Removes both files: everything has been stopped."""
    platform_file(settings).unlink(missing_ok=True)
    parts_file(settings).unlink(missing_ok=True)


def end_left(settings: Settings) -> list[str]:
    """Ends the parts that a killed supervisor left; their names. The database is not among them: whoever opens it next
    joins it."""
    record = read_record(settings)
    if record is None or record.supervisor.runs():
        return []
    end([one.process for one in record.left if one.process], END_SECONDS)
    forget(settings)
    return [one.name for one in record.left]


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Keeps a second supervisor from this home folder, by a lock that the kernel drops when its process ends.

    Raises `AlreadyRuns`.
    """
    try:
        descriptor = os.open(settings.run_folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # the start says what is wrong with the home folder
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns from None
        except OSError:  # a file system without locks
            if running_platform(settings):
                raise AlreadyRuns from None
        yield
    finally:
        os.close(descriptor)


def write(path: Path, value: dict[str, Any]) -> None:
    """Replaces a file by JSON that only its owner can read."""
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(value, indent=2), encoding="utf-8")
    partial.chmod(0o600)
    partial.replace(path)


def _read(settings: Settings, file: Callable[[Settings], Path]) -> dict[str, Any]:
    """Empty if there is no such file, or no folder for it can be made."""
    if not settings.home.is_dir():
        return {}  # a name that was mistyped makes no folder
    try:
        value = json.loads(file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def seconds_since(moment: float) -> float:
    return max(0.0, time.time() - moment)
