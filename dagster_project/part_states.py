"""What is true of each part of a platform now: what its supervisor wrote, checked against the processes themselves."""

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from core.database import embedded
from core.settings import Settings
from dagster_project import hangs, records
from dagster_project.command_lines import answers
from dagster_project.parts import PartState

LEFT = "left over"
ENDED = "ended"


@dataclass(frozen=True)
class Shown:
    """One part as a person sees it. `uptime` in seconds."""

    part: str
    state: str
    pid: int | None
    uptime: float | None
    restarts: int
    detail: str = ""


@dataclass(frozen=True)
class PlatformState:
    """`state` is `up`, `degraded` (a part is not up), `starting`, `left over` (parts of a killed `penstock up` run) or
    `stopped`."""

    state: str
    pid: int | None = None
    uptime: float | None = None
    gateway: str | None = None
    dagster: str | None = None
    parts: tuple[Shown, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def platform_state(settings: Settings) -> PlatformState:
    """Asks the database and the gateway too."""
    record = records.read_record(settings)
    if record is None or not record.supervisor.runs():
        return _without_supervisor(settings, record)
    running = records.running_platform(settings) or {}
    parts = tuple(_shown(one, settings, running) for one in record.parts)
    bad = [one for one in parts if one.state != PartState.UP]
    state = "starting" if not running else "degraded" if bad else "up"
    return PlatformState(
        state,
        record.supervisor.pid,
        records.seconds_since(record.since),
        str(running["gateway"]) if running else None,
        str(running["dagster"]) if running.get("dagster") else None,
        parts,
    )


def _without_supervisor(settings: Settings, record: records.PlatformRecord | None) -> PlatformState:
    left = [
        Shown(one.name, LEFT, one.process.pid, records.seconds_since(one.since), one.restarts)
        for one in (record.left if record else ())
        if one.process
    ]
    data = settings.home / "postgres"
    if record is not None and settings.database_url is None and embedded.running(data):
        left += [
            Shown(one.name, LEFT, one.process.pid, records.seconds_since(one.since), one.restarts)
            for one in record.parts
            if one.name == "database" and one.process and one.process.runs()
        ]
    return PlatformState(LEFT if left else "stopped", parts=tuple(left))


def _shown(one: records.PartRecord, settings: Settings, running: dict[str, object]) -> Shown:
    state, detail = one.state, one.detail
    if state == PartState.UP and not one.runs:
        state = ENDED
    elif one.process and (does := hangs.activity(one.process.pid)) and does.stopped:
        state, detail = PartState.MUTE, f"{hangs.Silence.STOPPED.value}; it is started again if it stays so"
    elif state == PartState.UP and one.name == "gateway" and running and not answers(f"{running['gateway']}/healthz"):
        state = PartState.MUTE
    elif state == PartState.UP and one.name == "database" and (problem := database_problem(str(running["database"]))):
        state, detail = PartState.MUTE, problem
    pid = one.process.pid if one.runs and one.process else None
    return Shown(one.name, state, pid, records.seconds_since(one.since) if pid else None, one.restarts, detail)


def database_problem(url: str) -> str | None:
    """Why a database does not answer a query; None if it does."""
    try:
        with psycopg.connect(url, connect_timeout=5, options="-c statement_timeout=5000") as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip()[:300]
    return None


def embedded_url(data: Path, database: str) -> str | None:
    """The URL of a database of the embedded server; None if the server does not run."""
    with contextlib.suppress(OSError):
        folder = embedded.running(data)
        return embedded.address(folder, database) if folder else None
    return None


def duration(seconds: float | None) -> str:
    """As a person says it: `12 s`, `5 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
