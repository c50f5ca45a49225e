"""Code that the scripts of this folder share: the cache folder, and starting, finding and stopping servers.

A server is identified by its process id and by a text in its command line or environment, so that a later process with
the same id is not mistaken for it. Scripts are run by path: each first adds this folder to its import path.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

TAIL = 3000


class Server(Protocol):
    """A running server that the command line can show and stop."""

    @property
    def pid(self) -> int: ...

    def stop(self) -> None: ...


def cache_folder() -> Path:
    return Path(os.environ.get("PENSTOCK_CACHE") or "~/.cache/penstock").expanduser().absolute()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets one process of this machine at a time enter the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def start(command: Sequence[str], log: Path, *, die_with_parent: bool, **options: Any) -> "subprocess.Popen[bytes]":
    """Starts a process in its own session, with its output appended to `log`."""
    bound = ["setpriv", "--pdeathsig", "KILL"] if die_with_parent and shutil.which("setpriv") else []
    with log.open("ab") as output:
        return subprocess.Popen(
            [*bound, *command],
            **{"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, "start_new_session": True, **options},
        )


def wait_until(
    answers: Callable[[], bool], process: "subprocess.Popen[bytes]", seconds: float, pause: float = 0.1
) -> bool:
    """Whether the server answers within `seconds`; False as soon as its process has ended."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-TAIL:]


def read_pid(file: Path) -> tuple[int, str] | None:
    """The process id and address that a started server has recorded."""
    try:
        pid, address = file.read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid), address


def holds(pid: int, text: str, what: str = "cmdline") -> bool:
    """Whether the process has this command-line argument or, with `environ`, this environment variable."""
    try:
        found = Path(f"/proc/{pid}/{what}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return text.encode() in found.split(b"\0")


def stop(
    pid: int,
    is_ours: Callable[[], bool],
    grace: float,
    *,
    process: "subprocess.Popen[bytes] | None" = None,
    group: bool = False,
) -> None:
    """Terminates a process or its group, and kills it after `grace` seconds; 0 kills it immediately."""

    def gone(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (process is not None and process.poll() is not None) or not is_ours():
                return True
            time.sleep(0.02)
        return False

    for sig, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if seconds and is_ours():
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(pid, sig)
            if gone(seconds):
                break


def command_line(
    name: str,
    description: str,
    texts: Mapping[str, str],
    install: Callable[[], object],
    start_it: Callable[[argparse.Namespace], Server],
    running: Callable[[Path], Server | None],
    shown: Callable[[Any], str],
    errors: tuple[type[Exception], ...],
    *,
    options: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
    port: bool = True,
    arguments: list[str] | None = None,
) -> int:
    """The commands `install | start | status | stop` of one server. `texts` are their help texts, `options` adds
    options to `start`, which has `--port` if `port`."""
    parser = argparse.ArgumentParser(prog=f"{name}.py", description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in texts.items():
        added = commands.add_parser(command, help=text)
        if command != "install":
            added.add_argument(
                "--data", type=Path, default=cache_folder() / f"{name}-data", help="default: %(default)s"
            )
        if command == "start":
            if port:
                added.add_argument("--port", type=int, help="default: the previous port, else a free one")
            options(added)
    given = parser.parse_args(arguments)
    try:
        if given.command == "install":
            print(f"{name}: {install()}")  # noqa: T201
            return 0
        server = start_it(given) if given.command == "start" else running(given.data)
    except errors as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if server is None:
        print(f"{name}: not running")  # noqa: T201
        return 1 if given.command == "status" else 0
    if given.command == "stop":
        server.stop()
        print(f"{name}: stopped process {server.pid}")  # noqa: T201
    else:
        print(f"{name}: {shown(server)}")  # noqa: T201
    return 0
