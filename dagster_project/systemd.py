"""The unit file with which systemd runs a platform. See systemd.service(5) and systemd.kill(5)."""

import getpass
from collections.abc import Mapping
from pathlib import Path

STOP_SECONDS = 60
START_SECONDS = 300

_UNIT = """\
# Written by `penstock service install`.
[Unit]
Description=Penstock: turns events into finished, verified, published work
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={python} -P -m penstock up
{environment}
WorkingDirectory={folder}
{user}# Only the supervisor is asked to stop: it stops its parts in order, and the embedded database last.
KillMode=mixed
TimeoutStartSec={start}
TimeoutStopSec={stop}
Restart=on-failure
RestartSec=5
# Sandboxes are given cgroups of their own, with a limit of memory.
Delegate=yes

[Install]
WantedBy={target}
"""


def unit(python: Path, environment: Mapping[str, str], *, system: bool) -> str:
    """`environment` goes into the unit, which others may read: no secrets. Raises `ValueError` for what cannot stand in
    a unit."""
    if set(str(python)) & set("\"'\\"):
        raise ValueError(f"systemd starts no program whose path has a quote or a backslash: {python}")
    assigned = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items())
    return _UNIT.format(
        python=_quoted(str(python)),
        environment=assigned,
        folder="~" if not system else "/",
        user=f"User={getpass.getuser()}\n" if system else "",
        start=START_SECONDS,
        stop=STOP_SECONDS,
        target="multi-user.target" if system else "default.target",
    )


def _quoted(text: str) -> str:
    """A word of a unit file, in which `%` would be replaced and a quote would end it."""
    if any(char in text for char in "\n\r\0"):
        raise ValueError(f"a line break cannot stand in a unit file: {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
