"""System calls that Python has no function for, by number, and whether this kernel has them."""

import ctypes
import errno
import os
import platform
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
# name: (number on x86_64, number on aarch64), from linux/unistd.h
_NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "delete_module": (176, 106),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "reboot": (169, 142),
    "setns": (308, 268),
    "syslog": (103, 116),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_MACHINES = ("x86_64", "aarch64")
Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


def call(name: str, *arguments: Argument) -> int:
    """Makes a system call. Raises `OSError` with its error number."""
    if platform.machine() not in _MACHINES:
        raise OSError(errno.ENOSYS, f"its number on {platform.machine()} is unknown")
    number = _NUMBERS[name][_MACHINES.index(platform.machine())]
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    ctypes.set_errno(0)
    result: int = _LIBC.syscall(ctypes.c_long(number), *words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def lacks(name: str, *arguments: Argument) -> Callable[[], str | None]:
    """A check for the host: why its kernel lacks the call, tried with arguments that do nothing; None if it has it."""

    def check() -> str | None:
        try:
            result = call(name, *arguments)
        except OSError as error:
            return f"this kernel has no {name}" if error.errno == errno.ENOSYS else None
        if result > 2:
            os.close(result)
        return None

    return check
