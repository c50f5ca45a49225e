"""What `penstock doctor` looks at besides programs and services: what of this machine can hurt a platform."""

import ctypes
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.settings import Settings

LITTLE_SPACE = 2 << 30
"""Bytes below which a disk is called short: environments, mirrors and indexes grow."""
LITTLE_MEMORY = 1536
"""Megabytes: what a platform and one run of a test suite need."""
NEEDED = frozenset({"home", "free space", "file locks", "Unix sockets"})
"""Without these, nothing starts."""
_TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nothing keeps right."""

Finding = tuple[str, str, str]
"""Name, state (`ok`, `degraded` or `missing`) and detail."""


def machine_checks(settings: "Settings", *, running: bool) -> Iterator[Finding]:
    """Each check; the ports only while the platform is not `running`, since it would use them itself."""
    from core.home_checks import look

    for check in look(settings.home, database=settings.database_url is None):
        if check.name == "free space" and check.problem is None:
            yield check.name, *_room_at_home(settings.home, check.detail)
        else:
            yield check.name, "missing" if check.problem else "ok", check.problem or check.detail
    yield "free cache", *_room(settings.cache)
    yield "memory", *_memory()
    yield "time", *_time()
    if not running:
        yield from _ports(settings)
    yield "packages", *_packages()
    yield from _unread(os.environ)


def _room_at_home(home: Path, detail: str) -> tuple[str, str]:
    """Enough for what runs now may be too little for what comes."""
    if shutil.disk_usage(home).free >= LITTLE_SPACE:
        return "ok", detail
    return "degraded", (
        f"{detail}: the database, mirrors and indexes grow, and once the disk is full nothing can be accepted or "
        "stored. Free some space; `penstock prune --dry-run` shows what is deleted by itself"
    )


def _room(folder: Path) -> tuple[str, str]:
    place = next((one for one in (folder, *folder.parents) if one.is_dir()), Path("/"))
    free = shutil.disk_usage(place).free
    said = f"{free / (1 << 30):.1f} GB free at {folder}"
    if not os.access(place, os.W_OK):
        return "degraded", f"{place} cannot be written to: set PENSTOCK_CACHE to a folder of this user"
    if free < LITTLE_SPACE:
        return (
            "degraded",
            f"{said}: environments of tests may not fit; free some space, or set PENSTOCK_CACHE elsewhere",
        )
    return "ok", said


def _memory(info: Path = Path("/proc/meminfo")) -> tuple[str, str]:
    try:
        fields = dict(line.split(":", 1) for line in info.read_text(encoding="ascii").splitlines() if ":" in line)
        free = int(fields["MemAvailable"].split()[0]) >> 10
    except (OSError, ValueError, KeyError, IndexError):
        return "ok", "not known on this system"
    if free < LITTLE_MEMORY:
        return "degraded", f"only {free} MB are free: a platform with one test suite needs {LITTLE_MEMORY} MB"
    return "ok", f"{free} MB are free"


class _Timex(ctypes.Structure):
    """`struct timex`: its first field is 0 to ask only; the rest is larger than any version of it."""

    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 508))


def clock_state() -> int:
    """What adjtimex(2) says of the clock; -1 where it may not be asked."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.byref(_Timex())))
    except (OSError, AttributeError):
        return -1


def _time() -> tuple[str, str]:
    state = clock_state()
    if state == _TIME_ERROR:
        return "degraded", (
            "nothing keeps the clock right: once it is minutes off, signatures of webhooks and tokens of apps are "
            "refused. Start a time service (systemd-timesyncd, chrony); in a container, on its host"
        )
    return "ok", "the clock is kept right" if state >= 0 else "whether the clock is kept right cannot be asked here"


def _ports(settings: "Settings") -> Iterator[Finding]:
    from dagster_project.ports import taken

    for name, host, port in (
        ("gateway", settings.gateway_host, settings.gateway_port),
        ("dagster", settings.dagster_host, settings.dagster_port),
    ):
        if port and taken(host, port):
            remedy = f"stop the program that uses it, or set PENSTOCK_{name.upper()}_PORT (0 selects a free port)"
            yield f"port of {name}", "degraded", f"port {port} on {host} is in use: {remedy}"
        else:
            yield f"port of {name}", "ok", f"port {port} on {host} is free" if port else "a free one is selected"


def _packages() -> tuple[str, str]:
    """Whether the installed packages are of the versions that this Penstock was made for."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    wrong, count = [], 0
    for text in importlib.metadata.requires("penstock") or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} {version} is not {wanted.specifier}")
    python = str(importlib.metadata.metadata("penstock")["Requires-Python"] or "")
    if not SpecifierSet(python).contains(sys.version.split()[0], prereleases=True):
        wrong.append(f"Python {sys.version.split()[0]} is not {python}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return "degraded", f"{'; '.join(wrong[:3])}{more}: install Penstock again, into an environment of its own"
    return "ok", f"{count} packages of the versions that this Penstock needs"


def _unread(environment: Mapping[str, str]) -> Iterator[Finding]:
    from core.unknown_settings import unknown_variables

    for problem in unknown_variables(environment):
        yield "unread setting", "degraded", problem
