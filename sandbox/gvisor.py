"""gVisor: a kernel of its own, in user space, between the command and the host. Rootless; needs `runsc`.

Each command gets a sandbox made from an OCI bundle whose root is an empty private folder: unlike
`runsc do`, nothing of the host is there that was not bound. Rootless runsc sets up no cgroup, so one is made here
where that is possible. The file that backs all of the sandbox's memory is measured, and bounded in any case.
"""

import contextlib
import functools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .contained import Command, Contained, ProcessHandles, Usage
from .limit_watch import THREADS_PER_PROCESS
from .memory_group import MemoryGroup, memory_group
from .process_tree import CpuMeter, ProcessFacts, tree
from .protocol import WORKSPACE, Environment, Limits, SandboxUnavailable, Session
from .root_filesystem import SHELL, checked_mounts, root_folder, system_mounts
from .self_check import first_failure
from .session import PrivateSession
from .spawn import Started, spawn

PLATFORMS = {"systrap": 2, "ptrace": 1}
"""In the order in which they are tried (Debian's runsc of 2022 needs ptrace), with how many processes of the
host stand for one address space inside."""

_FAILED = 128
_OPEN_FILES = 1024
_SENTRY_BASE = 64 << 20
"""What gVisor's own kernel may hold before it counts as the command's memory."""
_OVERHEAD = 128 << 20
"""What its kernel and its helpers may take of a cgroup beside the command."""
_HEAP = 512 << 20
_CHUNK = 1 << 30
"""By so much at once grows the file that backs the sandbox's memory."""
_NICER = 5
_PS_EVERY = 0.1
_OWN_PROCESSES = 4
_PATIENCE = 2.0
_WANTED_FLAGS = {
    "overlay2": "none",
    "host-uds": "none",
    "host-fifo": "none",
    "file-access-mounts": "shared",
    "host-settings": "ignore",
    "gofer-network-namespace": "new",
}
_DIE_WITH_PARENT = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"


class GvisorSandbox:
    """`sandbox.protocol.Sandbox` by `runsc`: the one given, else the first that works of PATH and Penstock's cache."""

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

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:  # noqa: B008 - immutable
        program, platform = self._program()
        return self._open(program, platform, environment, limits)

    def _open(self, program: Path, platform: str, environment: Environment, limits: Limits) -> Session:
        mounts = checked_mounts(environment.mounts)

        def prepare(folder: Path, undo: contextlib.ExitStack) -> Callable[[Command], Contained]:
            root = root_folder(mounts)
            flags = ["--rootless", "--network=none", "--ignore-cgroups", f"--platform={platform}"]
            flags += [f"--{name}={value}" for name, value in _WANTED_FLAGS.items() if f"-{name} " in _flags(program)]
            flags.append(f"--root={folder / 'state'}")
            binds = [_bind(path, path, "ro") for path in system_mounts().binds]
            binds += [_bind(str(mount.source.resolve()), mount.target, "ro") for mount in mounts]
            binds.append(_bind(str(folder / "workspace"), WORKSPACE, "rw"))
            return functools.partial(_launch, program, flags, root, binds, PLATFORMS[platform])

        return PrivateSession(self.name, environment, limits, prepare, self._scratch)

    def _program(self) -> tuple[Path, str]:
        """The program, and the platform with which it starts here."""
        problems = []
        for program in [self._given] if self._given else _candidates():
            told = []
            for platform in PLATFORMS:
                problem = first_failure(f"gvisor/{platform}", program, functools.partial(self._open, program, platform))
                if problem is None:
                    return program, platform
                told.append(f"{platform}: {problem}")
            problems.append(f"{program} {_version(program)} ({'; '.join(told)})")
        if not problems:
            raise SandboxUnavailable(
                "runsc is not on PATH and not in Penstock's cache; build it with deploy/dev/gvisor.sh"
            )
        raise SandboxUnavailable(
            f"gVisor does not work here: {', '.join(problems)}. If it is old, build one with deploy/dev/gvisor.sh; "
            "if it cannot start, allow user namespaces; or use bubblewrap"
        )


def _candidates() -> list[Path]:
    from core.settings import load_settings

    found = [Path(path)] if (path := shutil.which("runsc")) else []
    cached = load_settings().cache / "bin" / "runsc"
    return [*found, cached] if os.access(cached, os.X_OK) else found


def _version(program: Path) -> str:
    """What the program calls itself, for a message."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.partition("\n")[0].removeprefix("runsc version ")[:60]
    return ""


@functools.cache
def _flags(program: Path) -> str:
    """The flags that this version knows."""
    done = subprocess.run([program, "flags"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


@functools.cache
def _dying_with_parent() -> tuple[str, ...]:
    """What to put before a command so that the kernel kills it when this process is gone."""
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        tried = subprocess.run([setpriv, "--pdeathsig", "KILL", "true"], capture_output=True, timeout=10, check=False)
        if tried.returncode == 0:
            return setpriv, "--pdeathsig", "KILL", "--"
    return sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT


def _bind(source: str, target: str, mode: str) -> dict[str, Any]:
    options = [mode, "rbind", "nosuid", "nodev"]
    return {"destination": target, "type": "bind", "source": source, "options": options}


def _specification(command: Command, root: Path, binds: list[dict[str, Any]]) -> dict[str, Any]:
    limits = command.limits
    tasks = limits.processes * THREADS_PER_PROCESS
    rlimits = {
        "FSIZE": (limits.file_bytes, limits.file_bytes),
        "CORE": (0, 0),
        "NOFILE": (_OPEN_FILES, _OPEN_FILES),
        "NPROC": (tasks, tasks),  # gVisor counts threads too, and refuses more
    }
    size = f"size={max(limits.memory_bytes // 2, 1 << 20)}"
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [*SHELL, *command.argv],
            "env": [f"{name}={value}" for name, value in command.variables.items()],
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
            # Read-only, since what is written to a /dev is in memory, and its size cannot be given.
            {"destination": "/dev", "type": "dev", "source": "dev", "options": ["ro", "nosuid"]},
            *(
                {"destination": folder, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", size]}
                for folder in ("/dev/shm", "/tmp")  # noqa: S108
            ),
            *binds,
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def _launch(
    program: Path, flags: list[str], root: Path, binds: list[dict[str, Any]], per_space: int, command: Command
) -> Contained:
    (command.folder / "config.json").write_text(json.dumps(_specification(command, root, binds)))
    log = command.folder / "log"
    name = f"penstock-{os.getpid()}-{time.monotonic_ns()}"
    runsc = [str(program), *flags, f"--log={log}"]
    group = memory_group(command.limits.memory_bytes + _OVERHEAD)
    started = spawn(
        [*_dying_with_parent(), *_bounded(command.limits, group), *runsc, "run", f"--bundle={command.folder}", name],
        environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    return _Sandboxed(started, [*runsc, "ps", "--format=json", name], log, per_space, command.limits, group)


def _bounded(limits: Limits, group: MemoryGroup | None) -> tuple[str, ...]:
    """What to put before runsc so that the kernel bounds all of it: the length of its memory file, its own heap, the
    CPU time of each of its processes, and the group if there is one. Not gVisor's own limit of CPU time: its clocks
    take for used what a busy machine gave to others."""
    file = max((limits.memory_bytes // _CHUNK + 1) * _CHUNK, limits.file_bytes + 1)
    bounds = f"ulimit -f {file // 512}; ulimit -d {(limits.memory_bytes + _HEAP) // 1024}; "
    bounds += f"ulimit -t {math.ceil(limits.cpu_seconds) + 2}"
    entering = 'echo $$ >"$0" || exit 125; ' if group is not None else ""
    return "/bin/sh", "-c", f'{bounds}; {entering}exec "$@"', str(group.members) if group else "sh"


class _Sandboxed:
    """`Contained`: `runsc run`, and below it the sandbox ("sentry", with the processes that run the command's
    code) and the gofer, which opens files for it."""

    def __init__(
        self, started: Started, ps: list[str], log: Path, per_space: int, limits: Limits, group: MemoryGroup | None
    ) -> None:
        self._group = group
        self._overflowed = False
        self._per_space = per_space
        self._process = started.process
        self._ps = ps
        self._log = log
        self._limits = limits
        self._handles = ProcessHandles()
        self._cpu = CpuMeter()
        self._sentry: int | None = None
        self._memory: int | None = None
        self._counted_at = 0.0
        self._counted = 0
        self.stdin, self.stdout, self.stderr = started.stdin, started.stdout, started.stderr
        self.exited = os.pidfd_open(self._process.pid)
        os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICER)

    def _living(self) -> list[ProcessFacts]:
        living = list(tree(self._process.pid, 4 * self._limits.processes + 64))
        if self._sentry is None:
            self._find_sentry(living)
        return living

    def _find_sentry(self, living: list[ProcessFacts]) -> None:
        """Takes handles on the sandbox and the gofer when they have appeared."""
        for one in living[1:]:
            try:
                line = Path(f"/proc/{one.pid}/cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith((b"runsc-sandbox\0", b"runsc-gofer\0")):
                self._handles.add(one.pid)
                if line.startswith(b"runsc-sandbox\0"):
                    self._sentry = one.pid

    def usage(self) -> Usage:
        living = self._living()
        cpu = self._cpu.add(living)
        if self._sentry is None:
            return Usage(cpu_seconds=cpu)
        return Usage(cpu_seconds=cpu, memory_bytes=self.confirmed_memory(), processes=self._processes_inside(living))

    def confirmed_memory(self) -> int:
        """All memory of the command, its /tmp and its shared memory is in one file; the sandbox's own kernel
        grows with what the command makes it remember."""
        if self._memory is None:
            self._memory = _memory_file(self._sentry)
        total = 0
        try:
            if self._memory is not None:
                total = os.fstat(self._memory).st_blocks * 512
            status = Path(f"/proc/{self._sentry}/status").read_bytes()
        except OSError:
            return total
        for line in status.splitlines():
            if line.startswith(b"RssAnon:"):
                total += max((int(line.split()[1]) << 10) - _SENTRY_BASE, 0)
        return total

    def overflowed(self) -> bool:
        return self._overflowed or (self._group is not None and self._group.overflowed())

    def _processes_inside(self, living: list[ProcessFacts]) -> int:
        """Each address space inside, of which a process has one, or two while it starts a program, is one or two
        processes outside, some of them spare. So few are few processes inside, very many are too many; in
        between gVisor is asked for the true number, which costs more."""
        spaces = max((len(living) - _OWN_PROCESSES) // self._per_space, 0)
        most = self._limits.processes
        if spaces <= most:
            return spaces
        if spaces > 2 * most + _OWN_PROCESSES:
            return spaces // 2
        if time.monotonic() - self._counted_at >= _PS_EVERY:
            done = subprocess.run(self._ps, capture_output=True, timeout=20, check=False)
            self._counted_at = time.monotonic()
            listed = json.loads(done.stdout) if done.returncode == 0 else []
            self._counted = len(listed) if isinstance(listed, list) else 0
        return self._counted

    def processes(self) -> list[int]:
        return [one.pid for one in self._living()]

    def kill(self) -> None:
        """`runsc run` ends by itself when its sandbox is dead, and waits for its children first."""
        if self._process.poll() is None and self._sentry is None:
            self._living()
        self._handles.kill()
        if self._sentry is None:
            self._process.kill()

    def reap(self, timeout: float) -> None:
        """The sandbox and the gofer die with `runsc run`; they are killed as well, and waited for."""
        self.kill()
        try:
            self._process.wait(_PATIENCE if self._sentry is not None else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                raise SandboxUnavailable(f"runsc {self._process.pid} does not die") from error
        if not self._handles.wait(timeout):
            raise SandboxUnavailable(f"the sandbox of runsc {self._process.pid} does not die")
        self._handles.close()
        # What was in memory at the end still is: a command that was too fast for the watch is seen here.
        self._overflowed = self.overflowed() or self.confirmed_memory() > self._limits.memory_bytes
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None
        if self._group is not None:
            self._group.remove()

    def exit_code(self, stderr: bytes) -> int:
        code = self._process.returncode
        if code < 0:
            raise SandboxUnavailable(f"runsc was killed by signal {-code}")
        if code == _FAILED:
            said = self._log.read_text(errors="replace") if self._log.exists() else ""
            if "FATAL ERROR" in said or "error" in said.lower():
                raise SandboxUnavailable(f"runsc failed: {stderr[-500:].decode(errors='replace').strip()}")
        return code


def _memory_file(sentry: int | None) -> int | None:
    """A descriptor of the file that holds the memory of this sandbox."""
    try:
        for descriptor in Path(f"/proc/{sentry}/fd").iterdir():
            if str(descriptor.readlink()).startswith("/memfd:runsc-memory"):
                return os.open(descriptor, os.O_RDONLY)
    except OSError:
        return None
    return None
