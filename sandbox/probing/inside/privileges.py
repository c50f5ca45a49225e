"""Attempts to use powers over the host: capabilities, other users, mounts, other processes.

Each attempt that succeeds changes nothing: it writes what is there already, or undoes it at once.
"""
# ruff: noqa: PTH123

import ctypes
import errno
import os
import resource
import socket
import tempfile

from .attempt import Plan, Refused, attempt
from .calls import call, lacks

_PTRACE_SEIZE = 0x4206
_REBOOT_MAGIC = 0xFEE1DEAD
_CLONE_NEWUSER, _CLONE_NEWNS = 0x10000000, 0x20000
_MS_REMOUNT, _MS_BIND = 0x20, 0x1000
_WIDEST = 1 << 20


@attempt("privileges", "capabilities", "looks whether it holds a capability")
def capabilities(plan: Plan) -> str:
    held = {key: value for key, value in _status().items() if key in ("CapEff", "CapPrm", "CapInh", "CapAmb")}
    some = [f"{key} {value}" for key, value in held.items() if int(value, 16)]
    if not some:
        raise Refused("none is held")
    return ", ".join(some)


@attempt("privileges", "new privileges", "looks whether programs may gain privileges (no_new_privs is not set)")
def new_privileges(plan: Plan) -> str:
    value = _status().get("NoNewPrivs", "?")
    if value == "1":
        raise Refused("no_new_privs is set")
    return f"NoNewPrivs is {value}"


def _status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


@attempt("privileges", "another user", "becomes another user and group")
def another_user(plan: Plan) -> str:
    refusals = []
    for number in (0, 1, 65534):
        if number == os.getuid():
            continue
        try:
            os.setresgid(number, number, number)
            os.setresuid(number, number, number)
        except OSError as error:
            refusals.append(error.strerror or "?")
            continue
        return f"it is user {os.getuid()} now"
    raise Refused(", ".join(dict.fromkeys(refusals)))


@attempt("privileges", "mount", "mounts a file system on a folder of the workspace")
def mount(plan: Plan) -> str:
    place = tempfile.mkdtemp(dir=".").encode()
    call("mount", b"none", place, b"tmpfs", 0, None)
    ctypes.CDLL(None).umount2(place, 2)
    return "a file system was mounted"


@attempt("privileges", "chroot", "changes its root folder")
def chroot(plan: Plan) -> str:
    os.chroot(".")
    return "the root folder is another"


@attempt("privileges", "namespaces of the host", "enters a namespace of a process of the host")
def enter_namespace(plan: Plan) -> str:
    _check_is_host(plan["target"], plan)
    descriptor = os.open(f"/proc/{plan['target']}/ns/uts", os.O_RDONLY)
    call("setns", descriptor, 0)
    return "entered"


def _check_is_host(number: int, plan: Plan) -> None:
    """Raises `OSError` unless the process with this number is the host's, not one of the sandbox by chance."""
    with open(f"/proc/{number}/cmdline", "rb") as file:
        if plan["marker"].encode() not in file.read(4096):
            raise Refused(f"process {number} is one of the sandbox")


@attempt("privileges", "ptrace", "attaches to a process of the host as a debugger does")
def ptrace(plan: Plan) -> str:
    call("ptrace", _PTRACE_SEIZE, plan["target"], 0, 0)
    _check_is_host(plan["target"], plan)
    return "attached"  # and detached, when this process ends


@attempt("privileges", "memory of a process", "reads a secret from the memory of a process of the host")
def process_memory(plan: Plan) -> str:
    length = len(plan["secret"])
    found = ctypes.create_string_buffer(length)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(found), length)
    remote = (ctypes.c_size_t * 2)(plan["address"], length)
    try:
        call("process_vm_readv", plan["target"], bytes(local), 1, bytes(remote), 1, 0)
    except OSError:
        with open(f"/proc/{plan['target']}/mem", "rb") as file:
            file.seek(plan["address"])
            found.raw = file.read(length)
    if found.raw != plan["secret"].encode():
        raise Refused("the memory of another process")
    return "the secret was read"


@attempt("privileges", "signals outside", "kills a process of the host")
def kill(plan: Plan) -> str:
    os.kill(plan["victim"], 9)
    raise Refused("a process of the sandbox had this number")  # whether the host's has ended is seen outside


@attempt("privileges", "resource limits", "looks for a file size without limit, and raises hard limits")
def raise_limit(plan: Plan) -> str:
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY:
        return "the size of files has no limit"
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY:
            continue
        wanted = min(2 * hard, _WIDEST) if kind == resource.RLIMIT_NOFILE else 2 * hard
        try:
            resource.setrlimit(kind, (wanted + 1, wanted + 1))
        except (OSError, ValueError):
            continue
        if resource.getrlimit(kind)[1] > hard:
            return f"the limit {kind} is {resource.getrlimit(kind)[1]}, not {hard}"
    raise Refused("the size of files is limited, and no hard limit can be raised")


@attempt("privileges", "host name", "sets the host's name to what it is")
def host_name(plan: Plan) -> str:
    socket.sethostname(socket.gethostname())
    return "it was set"


@attempt("privileges", "restart", "asks the kernel to restart, with an invalid second argument so that it does not")
def restart(plan: Plan) -> str:
    try:
        call("reboot", _REBOOT_MAGIC, 0, 0, None)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return "the kernel would have restarted"


@attempt("privileges", "powers of a user namespace", "with the powers in a user namespace of its own, writes to /usr",
         lacks("unshare", 0))  # fmt: skip
def user_namespace(plan: Plan) -> str:
    call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    refusals = []
    for path in ("/usr", "/etc", "/"):
        try:
            call("mount", b"none", path.encode(), b"none", _MS_REMOUNT | _MS_BIND, None)
        except OSError as error:
            refusals.append(errno.errorcode.get(error.errno or 0, "?"))
        place = f"{path.rstrip('/')}/penstock-probe-write"
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            refusals.append(errno.errorcode.get(error.errno or 0, "?"))
            continue
        os.unlink(place)  # noqa: PTH108
        return f"a file was created in {path}"
    raise Refused(f"the sandbox's kernel makes one, but in it: {', '.join(dict.fromkeys(refusals))}")
