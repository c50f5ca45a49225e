"""Starts the commands of a gVisor session, each in a sandbox of its own, and boots the next one's sandbox ahead.

A sandbox that stands by has no command yet: its shell waits for a line on standard input, then executes the file that
this process has written into a folder which is mounted read-only. It is used once, and by one session only.
"""

import contextlib
import itertools
import os
import re
import select
import shlex
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from .contained import Command, Contained
from .gvisor_boot import Boot
from .gvisor_process import Sandboxed
from .protocol import Limits, SandboxUnavailable
from .root_filesystem import SHELL, STANDBY

_WAIT = ("/bin/sh", "-c", f"IFS= read -r line && . {STANDBY}/command", "sh")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REAP = 10.0


@dataclass
class _Standby:
    sandboxed: Sandboxed
    limits: Limits
    handed: Path

    def run(self, command: Command) -> bool:
        """Hands the command over; False when the sandbox has ended."""
        if select.select([self.sandboxed.exited], [], [], 0)[0]:
            return False
        file = self.handed / "command"
        file.write_bytes(_script(command).encode(errors="surrogateescape"))
        self.sandboxed.begin()
        try:
            return os.write(self.sandboxed.stdin, b"\n") == 1
        except OSError:
            return False

    def discard(self) -> None:
        with contextlib.suppress(SandboxUnavailable):
            self.sandboxed.reap(_REAP)
        for descriptor in (
            self.sandboxed.stdin,
            self.sandboxed.stdout,
            self.sandboxed.stderr,
            self.sandboxed.exited,
        ):
            os.close(descriptor)


class StandbyLauncher:
    """`contained.Launcher` for one session, whose folder is `folder`."""

    def __init__(self, boot: Boot, folder: Path) -> None:
        self._boot = boot
        self._folder = folder / "standby"
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ready: _Standby | None = None
        self._closed = False

    def __call__(self, command: Command) -> Contained:
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None:
            if ready.limits == _of_boot(command.limits) and ready.run(command):
                return ready.sandboxed
            ready.discard()
        return self._boot((*SHELL, *command.argv), command.variables, command.limits, command.folder)

    def expect(self, limits: Limits) -> None:
        threading.Thread(target=self._stand_by, args=(_of_boot(limits),), name="sandbox-standby", daemon=True).start()

    def _stand_by(self, limits: Limits) -> None:
        with self._lock:
            if self._closed or self._ready is not None:
                return
            folder = self._folder / str(next(self._numbers))
            handed = folder / "handed"
            with contextlib.suppress(OSError, SandboxUnavailable):  # the next command says so if it cannot start either
                handed.mkdir(parents=True, mode=0o700)
                bind = (str(handed), STANDBY, "ro")
                self._ready = _Standby(self._boot(_WAIT, {}, limits, folder, (bind,)), limits, handed)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ready, self._ready = self._ready, None
        if ready is not None:
            ready.discard()


def _of_boot(limits: Limits) -> Limits:
    """The limits that a sandbox gets when it boots; the others are this process's to enforce."""
    return replace(limits, wall_seconds=0.0, output_bytes=0, disk_bytes=0)


def _script(command: Command) -> str:
    """Shell code that replaces the shell by the command."""
    plain = {name: value for name, value in command.variables.items() if _PLAIN_NAME.fullmatch(name)}
    other = [f"{name}={value}" for name, value in command.variables.items() if name not in plain]
    argv = ["/usr/bin/env", "--", *other, *command.argv] if other else command.argv
    lines = [f"export {name}={shlex.quote(value)}" for name, value in plain.items()]
    return "\n".join([*lines, f"exec {shlex.join(argv)}", ""])
