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


def test_every_jump_of_the_program_lands_inside_it() -> None:
    program = seccomp.filter_program()
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
