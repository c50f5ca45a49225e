"""The kernel applies the filter to commands in bubblewrap, and its program is well formed."""

import errno
import struct
from pathlib import Path

import pytest

from sandbox import seccomp
from sandbox.protocol import Environment, Sandbox
from sandbox.python import python_runtime

CALLS = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
for line in sys.stdin:
    number, *arguments = map(int, line.split())
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    print(errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else "allowed")
"""


@pytest.fixture(scope="module")
def column() -> int:
    import platform

    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("no filter for this architecture")
    return ("x86_64", "aarch64").index(platform.machine())


def test_refused_calls_are_refused_and_ordinary_ones_work(bubblewrap: Sandbox, tmp_path: Path, column: int) -> None:
    runtime = python_runtime()
    new_user, new_mounts = 0x10000000, 0x20000
    wanted = {f"{numbers[column]} 0 0 0 0": errno.errorcode[numbers[2]] for numbers in seccomp._REFUSED.values()}
    wanted |= {
        f"{seccomp._UNSHARE[column]} {new_user}": "EPERM",
        f"{seccomp._UNSHARE[column]} {new_user | new_mounts}": "EPERM",
        f"{seccomp._UNSHARE[column]} 0": "allowed",
        f"{seccomp._SOCKET[column]} 40 1 0": "EAFNOSUPPORT",
        f"{seccomp._SOCKET[column]} 17 3 0": "EAFNOSUPPORT",
        f"{seccomp._SOCKET[column]} 2 1 0": "allowed",
        f"{seccomp._SOCKET[column]} 1 1 0": "allowed",
        f"{seccomp._IOCTL[column]} 0 {0x5412} 0": "EPERM",
        f"{seccomp._IOCTL[column]} 0 {0x541B} 0": "EFAULT",
    }
    with bubblewrap.open(Environment(tmp_path, runtime.mounts, runtime.variables)) as session:
        program = [runtime.executable, "-c", CALLS]
        result = session.run(program, stdin="\n".join(wanted).encode())
    assert dict(zip(wanted, result.stdout.decode().split(), strict=True)) == wanted, result.stderr


def test_beside_services_a_segment_of_shared_memory_is_one_page_at_most(
    bubblewrap: Sandbox, tmp_path: Path, column: int
) -> None:
    runtime = python_runtime()
    number, create, huge = seccomp._REFUSED["shmget"][column], 0o1600, 0o4000
    sizes = {1: "allowed", 56: "allowed", 4096: "allowed", 4097: "ENOSYS", 1 << 20: "ENOSYS", (1 << 32) + 1: "ENOSYS"}
    wanted = {f"{number} 0 {size} {create}": said for size, said in sizes.items()}
    wanted |= {f"{number} 0 56 {create | huge}": "ENOSYS", f"{seccomp._REFUSED['msgget'][column]} 0 0": "ENOSYS"}
    supervisor = ("/bin/sh", "-c", 'while [ "$1" != -- ]; do export "$1"; shift; done; shift; exec "$@"', "sh")
    with bubblewrap.open(Environment(tmp_path, runtime.mounts, runtime.variables, supervisor)) as session:
        program = [runtime.executable, "-c", CALLS]
        beside = session.run(program, stdin="\n".join(wanted).encode(), services=True)
        alone = session.run(program, stdin=f"{number} 0 56 {create}".encode())
    assert dict(zip(wanted, beside.stdout.decode().split(), strict=True)) == wanted, beside.stderr
    assert alone.stdout.decode().split() == ["ENOSYS"]


@pytest.mark.parametrize("pages", [False, True])
def test_every_jump_of_the_program_lands_inside_it(pages: bool) -> None:
    program = seccomp.filter_program(pages=pages)
    if program is None:
        pytest.skip("no filter for this architecture")
    instructions = list(struct.iter_unpack("=HBBI", program))
    assert len(instructions) < 4096
    for at, (code, if_true, if_false, _) in enumerate(instructions):
        if code & 0x07 == 0x05:
            assert at + 1 + max(if_true, if_false) < len(instructions)
    assert instructions[-1][0] == 0x06


def test_an_unknown_architecture_gets_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert seccomp.filter_program() is None
