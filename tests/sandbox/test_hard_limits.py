"""The limits that the kernel and gVisor enforce by themselves, with the watch switched off."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import attacks
from sandbox.conformance import SMALL, Bench
from sandbox.limit_watch import LimitWatch
from sandbox.memory_group import MemoryGroup, candidate_groups, memory_group
from sandbox.protocol import Limit, Sandbox

FILL = "import sys; x = b'x' * (int(sys.argv[1]) << 20)"


@pytest.fixture
def bench(backend: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A backend whose watch measures, but ends no command."""

    def blind(watch: LimitWatch) -> None:
        watch.contained.usage()
        watch.next_at = time.monotonic() + 0.1

    assert backend.available() is None
    monkeypatch.setattr(LimitWatch, "check", blind)
    return Bench(backend, tmp_path)


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    made = memory_group(64 << 20)
    if made is None:
        pytest.skip("this user cannot create a memory cgroup on this machine")
    yield made
    made.remove()
    assert not made.folder.exists()


def enter(group: MemoryGroup, code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    start = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group.members)]
    return subprocess.Popen(
        [*start, sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_full_group_kills_a_process_and_reports_it(group: MemoryGroup) -> None:
    assert enter(group, FILL, "16").wait() == 0
    assert not group.overflowed()
    assert enter(group, FILL, "256").wait() == -9
    assert group.overflowed()


def test_a_group_counts_shared_memory_once(group: MemoryGroup) -> None:
    code = (
        "import os\nx = b'x' * (20 << 20)\nchildren = [os.fork() for _ in range(3)]\n"
        "print(flush=True)\nif 0 not in children: input()\nelse: os.read(0, 1)\n"
    )
    process = enter(group, code)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.read(1)
    assert 20 << 20 <= group.used_bytes() < 60 << 20
    process.communicate()


UNIFIED = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
MEMORY = "33 25 0:30 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.mark.parametrize(
    ("own", "mounted", "found"),
    [
        ("0::/user.slice/app.slice/a.service", UNIFIED, ["2 user.slice/app.slice/a.service", "2 user.slice/app.slice"]),
        ("0::/", UNIFIED, ["2 ."]),
        ("4:memory:/a/b\n3:cpu:/a\n", MEMORY.format(root="/"), ["1 memory/a/b"]),
        ("4:memory:/a/b\n0::/c", f"{MEMORY.format(root='/a')}\n{UNIFIED}", ["1 memory/b", "2 c", "2 ."]),
        ("4:memory:/x", MEMORY.format(root="/a/b"), ["1 memory"]),
        ("1:name=systemd:/", UNIFIED, []),
    ],
)
def test_a_group_is_created_in_that_of_this_process_or_its_parent(own: str, mounted: str, found: list[str]) -> None:
    candidates = [
        f"{version} {folder.relative_to('/sys/fs/cgroup')}" for folder, version in candidate_groups(own, mounted)
    ]
    assert candidates == found


@pytest.mark.usefixtures("group")
def test_memory_is_limited_by_the_kernel(bench: Bench) -> None:
    bench.ends_by(Limit.MEMORY, attacks.FILL_MEMORY)


def test_the_memory_of_gvisor_is_limited_without_a_group(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    if bench.sandbox.name != "gvisor":
        pytest.skip("bubblewrap limits only each process")
    monkeypatch.setattr("sandbox.gvisor_boot.memory_group", lambda size: None)
    bench.ends_by(Limit.MEMORY, attacks.FILL_MEMORY)


def test_too_many_processes_for_the_kernel_of_gvisor_exceed_their_limit(bench: Bench) -> None:
    """Its kernel crashes without memory for one more; that is not taken for the exit code of the command."""
    if bench.sandbox.name != "gvisor":
        pytest.skip("a crash of gVisor's kernel")
    bench.ends_by(Limit.PROCESSES, attacks.FORK_BOMB)


def test_in_memory_folders_are_limited(bench: Bench) -> None:
    with bench.open() as session:
        result = bench.python(session, attacks.FILL_TEMPORARY_FOLDERS)
        full = session.run(["sh", "-c", "echo x >/dev/made"])
    assert int(result.stdout) << 20 <= SMALL.memory_bytes
    assert not full.ok and b"Read-only" in full.stderr


def test_one_file_is_limited(bench: Bench) -> None:
    bench.ends_by(Limit.FILE_SIZE, attacks.GIANT_FILE)


def test_threads_are_limited(bench: Bench) -> None:
    with bench.open() as session:
        result = bench.python(session, attacks.MANY_THREADS)
    assert int(result.stdout) <= 8 * (SMALL.processes + 1)


def test_cpu_time_of_one_process_is_limited(bench: Bench) -> None:
    with bench.open() as session:
        result = bench.python(session, "while True: pass", replace(SMALL, cpu_seconds=0.5))
    assert not result.ok and result.limit is not Limit.WALL
