"""One running gVisor sandbox as a `Contained`: what it uses, how it is killed, and how it ended."""

import json
import os
import subprocess
import time
from pathlib import Path

from .contained import ProcessHandles, Usage
from .memory_group import MemoryGroup
from .process_tree import CpuMeter, ProcessFacts, tree
from .protocol import Limit, Limits, SandboxUnavailable
from .spawn import Started

_FAILED = 128
"""The exit code of runsc when it fails, which a command may have too."""
_SENTRY_BASE = 64 << 20
"""Memory of gVisor's own kernel that does not count as the command's."""
_NICENESS = 5
_PS_EVERY = 0.1
_OWN_PROCESSES = 4
_EXIT_SECONDS = 2.0
"""How long runsc may take to end by itself after its sandbox was killed."""


class Sandboxed:
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
        self._cpu_before = 0.0
        self._sentry: int | None = None
        self._memory: int | None = None
        self._counted_at = 0.0
        self._counted = 0
        self.stdin, self.stdout, self.stderr = started.stdin, started.stdout, started.stderr
        self.exited = os.pidfd_open(self._process.pid)
        os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)

    def begin(self) -> None:
        """What was used until now was used for booting ahead, not by the command."""
        self._cpu_before = self._cpu.add(self._living())

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
        cpu = self._cpu.add(living) - self._cpu_before
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
