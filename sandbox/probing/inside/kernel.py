"""Attempts to use parts of the kernel that have a history of holes, or that namespaces do not isolate.

Arguments are such that a permitted call does nothing, and descriptors are closed when the process ends.
"""

import ctypes
import errno
import os
import struct

from .attempt import Plan, Refused, attempt
from .calls import call, lacks

_KEYCTL_READ = 11
_BPF_MAP_CREATE = 0
_AT_FDCWD = -100
_PERF_SOFTWARE = 1
_USER_MODE_ONLY = 1


def _permitted(name: str, expected: int, *arguments: int | bytes | None) -> str:
    """Makes a call with arguments that fail with `expected` if the caller has the right to it."""
    try:
        call(name, *arguments)
    except OSError as error:
        if error.errno != expected:
            raise
    return f"{name} is permitted"


_lacks_modules = lacks("delete_module", b"", os.O_NONBLOCK)


@attempt("kernel", "kernel modules", "unloads a module that does not exist, which only who may load modules is told",
         _lacks_modules)  # fmt: skip
def modules(plan: Plan) -> str:
    return _permitted("delete_module", errno.ENOENT, b"penstock_probe_no_module", os.O_NONBLOCK)


@attempt("kernel", "another kernel", "prepares the start of another kernel, with invalid flags",
         lacks("kexec_load", 0, 0, None, -1))  # fmt: skip
def kexec(plan: Plan) -> str:
    return _permitted("kexec_load", errno.EINVAL, 0, 0, None, -1)


def _lacks_io_uring() -> str | None:
    missing = lacks("io_uring_setup", 0, None)()
    if missing is None:
        try:
            call("io_uring_setup", 0, None)
        except OSError as error:
            if error.errno == errno.EPERM:
                return "io_uring is switched off here (kernel.io_uring_disabled)"
    return missing


@attempt("kernel", "io_uring", "sets up an io_uring, whose operations no seccomp filter sees", _lacks_io_uring)
def io_uring(plan: Plan) -> str:
    call("io_uring_setup", 1, ctypes.create_string_buffer(256))
    return "an io_uring was set up"


@attempt("kernel", "BPF", "creates a BPF map", lacks("bpf", -1, None, 0))
def bpf(plan: Plan) -> str:
    call("bpf", _BPF_MAP_CREATE, struct.pack("=IIIII", 2, 4, 8, 1, 0) + bytes(108), 128)
    return "a BPF map was created"


def _lacks_perf() -> str | None:
    return None if os.path.exists("/proc/sys/kernel/perf_event_paranoid") else "this kernel has no perf events"  # noqa: PTH110


@attempt("kernel", "performance events", "opens a performance counter, which also observes other programs", _lacks_perf)
def perf(plan: Plan) -> str:
    facts = struct.pack("=IIQ", _PERF_SOFTWARE, 112, 0) + bytes(96)
    call("perf_event_open", facts, 0, -1, -1, 0)
    return "a performance counter was opened"


@attempt("kernel", "userfaultfd", "opens a userfaultfd, which holds the kernel up at chosen moments",
         lacks("userfaultfd", -1))  # fmt: skip
def userfaultfd(plan: Plan) -> str:
    try:
        call("userfaultfd", os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        call("userfaultfd", os.O_CLOEXEC | _USER_MODE_ONLY)
    return "a userfaultfd was opened"


@attempt("kernel", "keyrings", "reads a key that the host's user has stored in the kernel",
         lacks("keyctl", -1, 0, 0, 0, 0))  # fmt: skip
def keyrings(plan: Plan) -> str:
    text = ctypes.create_string_buffer(256)
    length = call("keyctl", _KEYCTL_READ, plan["key"], text, len(text), 0)
    if plan["secret"].encode() not in text.raw[:length]:
        raise Refused("another key")
    return "the key was read"


@attempt("kernel", "files by handle", "opens a file by its number in the file system, without a path",
         lacks("open_by_handle_at", -1, None, 0))  # fmt: skip
def by_handle(plan: Plan) -> str:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    number = ctypes.create_string_buffer(8)
    call("name_to_handle_at", _AT_FDCWD, b".", handle, number, 0)
    here = os.open(".", os.O_RDONLY)
    call("open_by_handle_at", here, handle, os.O_RDONLY)
    return "a folder was opened by its handle"
