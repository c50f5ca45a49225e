"""The gVisor backend: a kernel in user space between the command and the host. Rootless; needs `runsc`.

Each command runs in a sandbox of its own, from an OCI bundle with an empty root: unlike with `runsc do`, only the
host's folders that are bind-mounted are visible. Rootless runsc sets up no cgroup, so this module makes one where it
can. With or without one, the file that backs all memory of the sandbox is measured, and its length is limited.
"""

import contextlib
import functools
import json
import math
import mmap
import os
import re
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
from .protocol import WORKSPACE, Environment, Limit, Limits, SandboxUnavailable, Session
from .root_filesystem import SHELL, checked_mounts, root_folder, system_mounts
from .self_check import first_failure
from .session import PrivateSession
from .spawn import Started, spawn

PLATFORMS = {"systrap": 2, "ptrace": 1}
"""In the order in which they are tried (Debian's runsc of 2022 needs ptrace), with the number of host processes for
each address space inside."""

_FAILED = 128
"""The exit code of runsc when it fails, which a command may have too."""
_OPEN_FILES = 1024
_SENTRY_BASE = 64 << 20
"""Memory of gVisor's own kernel that does not count as the command's."""
_OVERHEAD = 128 << 20
"""Allowance in the cgroup for gVisor's kernel and helper processes."""
_HEAP = 512 << 20
_CHUNK = 1 << 30
"""The file that backs the sandbox's memory grows by this many bytes at a time."""
_SPACE_BYTES = 16 << 20
"""What gVisor reserves in that file for each address space, mostly without using it (measured: 12 to 13 MB)."""
_SUPERVISOR = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
"""What the supervisor of services needs to start them as another user than root, and gives up before it starts the
command; gVisor's kernel grants them, and the host's gives nothing for them."""
_NICENESS = 5
_PS_EVERY = 0.1
_OWN_PROCESSES = 4
_EXIT_SECONDS = 2.0
"""How long runsc may take to end by itself after its sandbox was killed."""
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
_DIE_WITH_PARENT = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"


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


@functools.cache
def _die_with_parent_prefix() -> tuple[str, ...]:
    """A command prefix with which the kernel kills the command when this process ends."""
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
        "NPROC": (tasks, tasks),  # gVisor enforces this itself, and counts threads too
    }
    size = f"size={max(limits.memory_bytes // 2, 1 << 20)}"
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [*SHELL, *command.argv],
            "env": [f"{name}={value}" for name, value in command.variables.items()],
            "cwd": WORKSPACE,
            "capabilities": (
                dict.fromkeys(("bounding", "effective", "permitted"), _SUPERVISOR) if command.supervised else {}
            ),
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
    panic = command.folder / "panic"
    if "-panic-log " in _flags(program):
        runsc.append(f"--panic-log={panic}")
    group = memory_group(command.limits.memory_bytes + _OVERHEAD)
    prefix = *_die_with_parent_prefix(), *_limits_prefix(command.limits, group)
    started = spawn(
        [*prefix, *runsc, "run", f"--bundle={command.folder}", name],
        environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    ps = [*runsc, "ps", "--format=json", name]
    return _Sandboxed(started, ps, log, panic, per_space, command.limits, group)


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


class _Sandboxed:
    """`Contained`: `runsc run` and its children: the sandbox ("sentry", with the processes that run the command's
    code), and the gofer, which opens files for the sentry."""

    def __init__(
        self,
        started: Started,
        ps: list[str],
        log: Path,
        panic: Path,
        per_space: int,
        limits: Limits,
        group: MemoryGroup | None,
    ) -> None:
        self._panic = panic
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
        os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)

    def _living(self) -> list[ProcessFacts]:
        living = list(tree(self._process.pid, 4 * self._limits.processes + 64))
        if self._sentry is None:
            self._find_sentry(living)
        return living

    def _find_sentry(self, living: list[ProcessFacts]) -> None:
        """Opens handles of the sandbox and the gofer once they have started."""
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
        """The file that holds all memory of the command, including its /tmp and its shared memory, plus the heap of
        gVisor's kernel, which a command can make grow."""
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

    def exhausted(self) -> Limit | None:
        """gVisor's kernel crashes when the kernel of the host gives it no memory for one more address space."""
        if self.overflowed():
            return Limit.MEMORY
        reason = self._crash()
        if "subprocess" in reason or "OS thread" in reason:
            return Limit.PROCESSES
        return Limit.MEMORY if "out of memory" in reason or "cannot allocate" in reason else None

    def _crash(self) -> str:
        """The first line of what gVisor's kernel wrote when it crashed; empty when it did not."""
        try:
            with self._panic.open("rb") as file:
                line = file.readline(500).decode(errors="replace").strip()
        except OSError:
            return ""
        return line if line.startswith(("panic:", "fatal error:", "runtime:")) else ""

    def _processes_inside(self, living: list[ProcessFacts]) -> int:
        """The number of processes inside, estimated from the number outside where that decides about the limit.

        A process inside has one address space, or two while it starts a program. Each is one or two processes
        outside, and some of those are spare. Between the bounds that follow, the true number comes from `runsc ps`,
        which costs more."""
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
        """Kills the sandbox and the gofer; `runsc run` waits for them and then ends by itself."""
        if self._process.poll() is None and self._sentry is None:
            self._living()
        self._handles.kill()
        if self._sentry is None:
            self._process.kill()

    def reap(self, timeout: float) -> None:
        """Also kills `runsc run` when it does not end by itself, and waits for the sandbox and the gofer."""
        self.kill()
        try:
            self._process.wait(_EXIT_SECONDS if self._sentry is not None else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                raise SandboxUnavailable(f"runsc {self._process.pid} does not end when it is killed") from error
        if not self._handles.wait(timeout):
            raise SandboxUnavailable(f"the sandbox of runsc {self._process.pid} does not end when it is killed")
        self._handles.close()
        # The memory file still has its size: this detects a command that ended before the watch looked.
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
        if crash := self._crash():
            raise SandboxUnavailable(f"gVisor's kernel crashed: {crash}")
        if code == _FAILED:
            log = self._log.read_text(errors="replace") if self._log.exists() else ""
            if "error" in log.lower():
                raise SandboxUnavailable(f"runsc failed: {stderr[-500:].decode(errors='replace').strip()}")
        return code


def _memory_file(sentry: int | None) -> int | None:
    """A descriptor of the file that holds the memory of the sandbox; None when there is none yet."""
    try:
        for descriptor in Path(f"/proc/{sentry}/fd").iterdir():
            if str(descriptor.readlink()).startswith("/memfd:runsc-memory"):
                return os.open(descriptor, os.O_RDONLY)
    except OSError:
        return None
    return None
