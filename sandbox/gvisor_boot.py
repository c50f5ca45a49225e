"""Boots one gVisor sandbox: its OCI bundle, and the limits that the host's kernel puts on `runsc`."""

import functools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .gvisor_process import Sandboxed
from .limit_watch import THREADS_PER_PROCESS
from .memory_group import MemoryGroup, memory_group
from .protocol import WORKSPACE, Limits
from .spawn import spawn

_OPEN_FILES = 1024
_OVERHEAD = 128 << 20
"""Allowance in the cgroup for gVisor's kernel and helper processes."""
_HEAP = 512 << 20
_CHUNK = 1 << 30
"""The file that backs the sandbox's memory grows by this many bytes at a time."""
_SPACE_BYTES = 16 << 20
"""What gVisor reserves in that file for each address space, mostly without using it (measured: 12 to 13 MB)."""
_DIE_WITH_PARENT = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"


@functools.cache
def _die_with_parent_prefix() -> tuple[str, ...]:
    """A command prefix with which the kernel kills the command when this process ends."""
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        tried = subprocess.run([setpriv, "--pdeathsig", "KILL", "true"], capture_output=True, timeout=10, check=False)
        if tried.returncode == 0:
            return setpriv, "--pdeathsig", "KILL", "--"
    return sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT


@dataclass(frozen=True)
class Boot:
    """How the sandboxes of one session are booted. `flags` are runsc's, and `root` is the host folder that is the root
    inside; `binds` are (source, target, "ro" or "rw"). `per_space` is the number of host processes for each address
    space inside."""

    program: Path
    flags: tuple[str, ...]
    root: Path
    binds: tuple[tuple[str, str, str], ...]
    per_space: int
    panic_log: bool

    def __call__(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        limits: Limits,
        folder: Path,
        binds: Sequence[tuple[str, str, str]] = (),
    ) -> Sandboxed:
        """Starts a command in a sandbox of its own; `folder` is an empty host folder for it. Raises `OSError`."""
        specification = _specification(argv, variables, limits, self.root, (*self.binds, *binds))
        (folder / "config.json").write_text(json.dumps(specification))
        log, panic = folder / "log", folder / "panic"
        name = f"penstock-{os.getpid()}-{time.monotonic_ns()}"
        runsc = [str(self.program), *self.flags, f"--log={log}"]
        if self.panic_log:
            runsc.append(f"--panic-log={panic}")
        group = memory_group(limits.memory_bytes + _OVERHEAD)
        prefix = *_die_with_parent_prefix(), *_limits_prefix(limits, group)
        started = spawn(
            [*prefix, *runsc, "run", f"--bundle={folder}", name],
            environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        )
        ps = [*runsc, "ps", "--format=json", name]
        return Sandboxed(started, ps, log, panic, self.per_space, limits, group)


def _bind(source: str, target: str, mode: str) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": source, "options": [mode, "rbind", "nosuid", "nodev"]}


def _specification(
    argv: Sequence[str],
    variables: Mapping[str, str],
    limits: Limits,
    root: Path,
    binds: Sequence[tuple[str, str, str]],
) -> dict[str, Any]:
    tasks = limits.processes * THREADS_PER_PROCESS
    rlimits = {
        "FSIZE": (limits.file_bytes, limits.file_bytes),
        "CORE": (0, 0),
        "NOFILE": (_OPEN_FILES, _OPEN_FILES),
        "NPROC": (tasks, tasks),  # gVisor enforces this itself, and counts threads too
    }
    size = f"size={max(limits.memory_bytes // 2, 1 << 20)}"
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(argv),
            "env": [f"{name}={value}" for name, value in variables.items()],
            "cwd": WORKSPACE,
            "capabilities": {},
            "rlimits": [
                {"type": f"RLIMIT_{name}", "soft": soft, "hard": hard} for name, (soft, hard) in rlimits.items()
            ],
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "hostname": "sandbox",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro", "nosuid", "nodev", "noexec"]},
            # Read-only, because gVisor keeps /dev in memory and its size cannot be limited.
            {"destination": "/dev", "type": "dev", "source": "dev", "options": ["ro", "nosuid"]},
            *(
                {"destination": folder, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", size]}
                for folder in ("/dev/shm", "/tmp")  # noqa: S108
            ),
            *(_bind(*bind) for bind in binds),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def _limits_prefix(limits: Limits, group: MemoryGroup | None) -> tuple[str, ...]:
    """A command prefix with which the kernel limits runsc: the length of its memory file, its heap, the CPU time of
    each of its processes, and the cgroup if there is one. gVisor's own limit of CPU time is not used, because on a
    busy machine it counts time in which other processes ran."""
    length = limits.memory_bytes + limits.processes * _SPACE_BYTES
    file = max((length // _CHUNK + 1) * _CHUNK, limits.file_bytes + 1)
    commands = f"ulimit -f {file // 512}; ulimit -d {(limits.memory_bytes + _HEAP) // 1024}; "
    commands += f"ulimit -t {math.ceil(limits.cpu_seconds) + 2}"
    entering = 'echo $$ >"$0" || exit 125; ' if group is not None else ""
    return "/bin/sh", "-c", f'{commands}; {entering}exec "$@"', str(group.members) if group else "sh"
