"""The gVisor backend: a kernel in user space between the command and the host. Rootless; needs `runsc`.

Each command runs in a sandbox of its own, from an OCI bundle with an empty root: unlike with `runsc do`, only the
host's folders that are bind-mounted are visible. Rootless runsc sets up no cgroup, so this module makes one where it
can. With or without one, the file that backs all memory of the sandbox is measured, and its length is limited.
"""

import contextlib
import functools
import mmap
import os
import re
import shutil
import subprocess
from pathlib import Path

from .contained import Launcher
from .gvisor_boot import Boot
from .gvisor_standby import StandbyLauncher
from .protocol import WORKSPACE, Environment, Limits, SandboxUnavailable, Session
from .root_filesystem import checked_mounts, root_folder, system_mounts
from .self_check import first_failure
from .session import PrivateSession

PLATFORMS = {"systrap": 2, "ptrace": 1}
"""In the order in which they are tried (Debian's runsc of 2022 needs ptrace), with the number of host processes for
each address space inside."""

_WANTED_FLAGS = {
    "overlay2": "none",
    "host-uds": "none",
    "host-fifo": "none",
    "file-access-mounts": "shared",
    "host-settings": "ignore",
    "gofer-network-namespace": "new",
}
_MODULE = re.compile(rb"\tgvisor\.dev/gvisor\t(v[0-9A-Za-z.+-]{1,60})[\t\n]")
"""The main module among the facts that Go stores in a program."""


class GvisorSandbox:
    """`sandbox.protocol.Sandbox` by `runsc`: the program given, else the first that works of PATH and the cache."""

    def __init__(self, runsc: Path | None = None, scratch: Path | None = None) -> None:
        self._given = runsc
        self._scratch = scratch

    @property
    def name(self) -> str:
        return "gvisor"

    def available(self) -> str | None:
        try:
            self._program()
        except SandboxUnavailable as error:
            return str(error)
        return None

    def version(self) -> str:
        """Of the program that is used, with its platform. Raises `SandboxUnavailable`."""
        program, platform = self._program()
        return f"{_version(program)} ({platform})"

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:  # noqa: B008 - immutable
        program, platform = self._program()
        return self._open(program, platform, environment, limits)

    def _open(self, program: Path, platform: str, environment: Environment, limits: Limits) -> Session:
        mounts = checked_mounts(environment.mounts)

        def prepare(folder: Path, undo: contextlib.ExitStack) -> Launcher:
            root = root_folder(mounts)
            flags = ["--rootless", "--network=none", "--ignore-cgroups", f"--platform={platform}"]
            flags += [f"--{name}={value}" for name, value in _WANTED_FLAGS.items() if f"-{name} " in _flags(program)]
            flags.append(f"--root={folder / 'state'}")
            binds = [(path, path, "ro") for path in system_mounts().binds]
            binds += [(str(mount.source.resolve()), mount.target, "ro") for mount in mounts]
            binds.append((str(folder / "workspace"), WORKSPACE, "rw"))
            panic_log = "-panic-log " in _flags(program)
            boot = Boot(program, tuple(flags), root, tuple(binds), PLATFORMS[platform], panic_log)
            launcher = StandbyLauncher(boot, folder)
            undo.callback(launcher.close)
            return launcher

        return PrivateSession(self.name, environment, limits, prepare, self._scratch)

    def _program(self) -> tuple[Path, str]:
        """The program, and the gVisor platform with which it works on this machine."""
        problems = []
        for program in [self._given] if self._given else _candidates():
            failures = []
            for platform in PLATFORMS:
                problem = first_failure(f"gvisor/{platform}", program, functools.partial(self._open, program, platform))
                if problem is None:
                    return program, platform
                failures.append(f"{platform}: {problem}")
            problems.append(f"{program} {_version(program)} ({'; '.join(failures)})")
        if not problems:
            raise SandboxUnavailable(
                "runsc is neither on PATH nor in Penstock's cache; build it with deploy/dev/gvisor.sh"
            )
        raise SandboxUnavailable(
            f"gVisor does not work on this machine: {', '.join(problems)}. If it is old, build one with "
            "deploy/dev/gvisor.sh; if it cannot start, allow user namespaces; or use bubblewrap"
        )


def _candidates() -> list[Path]:
    from core.settings import load_settings

    found = [Path(path)] if (path := shutil.which("runsc")) else []
    cached = load_settings().cache / "bin" / "runsc"
    return [*found, cached] if os.access(cached, os.X_OK) else found


def _version(program: Path) -> str:
    """The program's version, for a message: the one that it reports, or the one of the module that Go built it from;
    empty when there is none."""
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
        reported = done.stdout.partition("\n")[0].removeprefix("runsc version ")[:60]
        if reported != "VERSION_MISSING":
            return reported
        with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = _MODULE.search(content)
            return found[1].decode() if found else ""
    return ""


@functools.cache
def _flags(program: Path) -> str:
    """The help text of this version, which lists its flags."""
    done = subprocess.run([program, "flags"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr
