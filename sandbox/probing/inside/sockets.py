"""Attempts to reach Unix sockets of the host, among them that of the database."""

import os
import socket
import stat

from .attempt import Plan, Refused, attempt
from .walk import shallow_first

_FOLDERS = ("/run", "/var", "/tmp", "/workspace", "/home", "/root", "/etc", "/dev", "/opt", "/srv", "/mnt")  # noqa: S108


def _connect(address: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        one.connect(address)
        one.sendall(b"probe")
    return f"connected to {address!r}"


@attempt("Unix sockets", "by path", "connects to a Unix socket of the host by its path")
def by_path(plan: Plan) -> str:
    return _connect(plan["socket"])


@attempt("Unix sockets", "database", "connects to a socket named as PostgreSQL names its own")
def database(plan: Plan) -> str:
    return _connect(plan["database"])


@attempt("Unix sockets", "abstract", "connects to an abstract Unix socket, which has no path")
def abstract(plan: Plan) -> str:
    return _connect("\0" + plan["abstract"])


@attempt("Unix sockets", "any visible", "looks for a socket file in every folder that is visible")
def visible(plan: Plan) -> str:
    seen = 0
    for folder, names in shallow_first(_FOLDERS, plan["mounted"]):
        for name in names:
            seen += 1
            try:
                if stat.S_ISSOCK(os.lstat(f"{folder}/{name}").st_mode):
                    return f"{folder}/{name}"
            except OSError:
                continue
    raise Refused(f"{seen} files are visible, none is a socket")
