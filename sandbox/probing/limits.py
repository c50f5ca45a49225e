"""Bombs: each exceeds one limit, and stops by itself at a few times that limit where none ends it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox import attacks
from sandbox.conformance import SMALL, Bench
from sandbox.protocol import CommandResult, Limit

from .record import Finding, outcome

FAMILY = "limits"
_MIB = 1 << 20
_TMP_FILES = 120_000


@dataclass(frozen=True)
class _Bomb:
    """`limit` is what must end it. With `most`, it prints how far it came, and may also be stopped by the kernel at
    that number or below, without being ended."""

    name: str
    what: str
    limit: Limit
    code: str
    arguments: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    most: int | None = None


_BOMBS = (
    _Bomb("endless wait", "waits without end", Limit.WALL, attacks.SLEEP, changes={"wall_seconds": 0.3}),
    _Bomb("endless loop", "computes without end", Limit.CPU, attacks.BURN_CPU, changes={"cpu_seconds": 0.3}),
    _Bomb(
        "endless loop in children",
        "computes in one short-lived process after another",
        Limit.CPU,
        attacks.BURN_CPU_IN_CHILDREN,
        changes={"cpu_seconds": 0.3},
    ),
    _Bomb("memory bomb", "fills 1 GiB of memory", Limit.MEMORY, attacks.FILL_MEMORY),
    _Bomb("memory bomb in children", "fills memory in eight processes", Limit.MEMORY, attacks.FILL_MEMORY_IN_CHILDREN),
    _Bomb(
        "memory bomb in files",
        "fills /tmp and /dev/shm, which are in memory",
        Limit.MEMORY,
        attacks.FILL_TEMPORARY_FOLDERS,
        most=SMALL.memory_bytes // _MIB,
    ),
    _Bomb(
        "memory of no process",
        "fills an anonymous file in memory (memfd), which counts for no process",
        Limit.MEMORY,
        attacks.MEMORY_OF_NO_PROCESS,
        most=SMALL.memory_bytes // _MIB,
    ),
    # With more memory, because this many interpreters may reach the memory limit first.
    _Bomb("fork bomb", "forks 256 processes", Limit.PROCESSES, attacks.FORK_BOMB, changes={"memory_bytes": 2 << 30}),
    _Bomb("thread bomb", "starts 1,000 threads", Limit.PROCESSES, attacks.MANY_THREADS, most=8 * SMALL.processes),
    _Bomb("descriptor bomb", "opens 100,000 descriptors", Limit.MEMORY, attacks.DESCRIPTORS, most=1024),
    _Bomb("giant file", "writes a file of 64 MiB", Limit.FILE_SIZE, attacks.GIANT_FILE),
    _Bomb("disk bomb", "writes 256 MiB in files of 1 MiB", Limit.DISK, attacks.MANY_FILES),
    _Bomb("disk bomb without names", "writes to files that it has deleted", Limit.DISK, attacks.DELETED_OPEN_FILES),
    _Bomb(
        "inode bomb",
        "creates 20,000 empty files in the workspace",
        Limit.DISK,
        attacks.EMPTY_FILES,
        (".", "20000"),
        {"disk_bytes": 4 * _MIB},
        most=8192,
    ),
    _Bomb(
        "inode bomb in memory",
        f"creates {_TMP_FILES:,} empty files in /tmp, which is in memory",
        Limit.MEMORY,
        attacks.EMPTY_FILES,
        ("/tmp", str(_TMP_FILES)),  # noqa: S108 - a path inside the sandbox
        {"memory_bytes": 40 * _MIB},
    ),
    _Bomb("output bomb", "prints 20 MB", Limit.OUTPUT, attacks.endless_output("stdout")),
    _Bomb("output bomb as errors", "prints 20 MB to standard error", Limit.OUTPUT, attacks.endless_output("stderr")),
)


def findings(bench: Bench, patience: float) -> Iterator[Finding]:
    """`patience` is how many seconds a bomb goes on that no limit ends."""
    for bomb in _BOMBS:
        with bench.open(limits=replace(SMALL, **bomb.changes)) as session:
            arguments = bomb.arguments or (str(patience),)
            result = session.run([bench.runtime.executable, "-c", bomb.code, *arguments])
        held, evidence = _judged(bomb, result)
        yield Finding(FAMILY, bomb.name, bomb.what, outcome(not held), evidence)


def _judged(bomb: _Bomb, result: CommandResult) -> tuple[bool, str]:
    after = f"after {result.wall_seconds:.2f} s"
    if result.limit is bomb.limit:
        return True, f"ended by the limit {result.limit} {after}"
    if bomb.most is not None and result.ok and (text := result.stdout.strip()).isdigit():
        held = int(text) <= bomb.most
        return held, f"{'stopped at' if held else 'came to'} {int(text):,}, {bomb.most:,} allowed"
    if bomb.most is not None and result.limit is not None:
        return True, f"ended by the limit {result.limit} {after}"
    return False, f"ended by {result.limit}" if result.limit else f"exit code {result.exit_code}, no limit, {after}"
