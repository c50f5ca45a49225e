"""Attempts to learn about the host, or to change it, by /proc and /sys. Files are opened for writing, not written."""
# ruff: noqa: PTH110, PTH123, PTH208

import os

from .attempt import Plan, Refused, attempt
from .calls import call

_MOST = 5000


@attempt("proc and sys", "other processes", "looks for a process of the host in /proc")
def processes(plan: Plan) -> str:
    numbers = [n for n in os.listdir("/proc") if n.isdigit()]
    for number in numbers:
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                if plan["marker"].encode() in file.read(4096):
                    return f"process {number} of the host"
        except OSError:
            continue
    raise Refused(f"{len(numbers)} processes are visible, all of the sandbox")


@attempt("proc and sys", "folders of processes", "leaves by the root, working folder or open files of a process")
def folders(plan: Plan) -> str:
    refusals: set[str] = set()
    for number in (n for n in os.listdir("/proc") if n.isdigit()):
        for way in ("root", "cwd"):
            try:
                with open(f"/proc/{number}/{way}{plan['beside']}", "rb") as file:
                    file.read(1)
            except OSError as error:
                refusals.add(error.strerror or "?")
            else:
                return f"/proc/{number}/{way} leads to the host's files"
    raise Refused(", ".join(sorted(refusals)))


@attempt("proc and sys", "kernel memory and log", "reads kernel memory (kcore, /dev/mem) and the kernel's log")
def kernel_memory(plan: Plan) -> str:
    refusals = []
    for path in ("/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kmsg"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            refusals.append(f"{path}: {error.strerror}")
            continue
        os.close(descriptor)
        return f"{path} can be opened"
    raise Refused("; ".join(refusals))


@attempt("proc and sys", "kernel log by system call", "looks in the kernel's log for what the host's kernel wrote")
def kernel_log(plan: Plan) -> str:
    import ctypes

    text = ctypes.create_string_buffer(1 << 18)
    size = call("syslog", 3, text, len(text))
    lines = [line.partition("]")[2].strip() for line in text.raw[:size].decode(errors="replace").splitlines()]
    if lines and "Starting gVisor" in lines[0]:
        raise Refused(f"{len(lines)} lines of gVisor's own kernel, none of the host's")
    return f"{len(lines)} lines of the kernel's log"


def _lacks_symbols() -> str | None:
    return None if os.path.exists("/proc/kallsyms") else "this kernel has no /proc/kallsyms"


@attempt("proc and sys", "kernel addresses", "reads addresses of kernel functions, which exploits need", _lacks_symbols)
def addresses(plan: Plan) -> str:
    with open("/proc/kallsyms") as file:
        first = [file.readline().split() for _ in range(100)]
    shown = [line[2] for line in first if len(line) > 2 and int(line[0], 16)]
    if not shown:
        raise Refused("all addresses are zero" if any(first) else "the file is empty")
    return f"addresses of {', '.join(shown[:3])}, ..."


@attempt("proc and sys", "kernel settings", "opens each file of /proc/sys, and sysrq-trigger, for writing")
def settings(plan: Plan) -> str:
    tried = 0
    for folder, _, files in os.walk("/proc/sys"):
        for path in (f"{folder}/{name}" for name in files):
            tried += 1
            try:
                os.close(os.open(path, os.O_WRONLY))
            except OSError:
                continue
            return f"{path} is writable"
    try:
        os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    except OSError as error:
        raise Refused(f"none of {tried} settings is writable; sysrq-trigger: {error.strerror}") from error
    return "/proc/sysrq-trigger is writable"


@attempt("proc and sys", "key descriptions", "looks in /proc/keys for a key of the host")
def key_list(plan: Plan) -> str:
    if not plan["key"]:
        raise Refused("no key was planted")
    with open("/proc/keys") as file:
        lines = file.read().splitlines()
    for line in lines:
        if plan["marker"] in line:
            return "the description of a key of the host"
    raise Refused(f"{len(lines)} keys, none of the host")


@attempt("proc and sys", "hardware and drivers", "reads files of /sys that describe this host, and opens some to write")
def hardware(plan: Plan) -> str:
    refusals = set()
    for path in plan["sys"]:
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:
            refusals.add(error.strerror or "?")
        else:
            return f"{path} can be read"
    seen = 0
    for folder, _, files in os.walk("/sys"):
        for path in (f"{folder}/{name}" for name in files[:50]):
            seen += 1
            if os.access(path, os.W_OK):
                return f"{path} is writable"
        if seen > _MOST:
            break
    raise Refused(f"{', '.join(sorted(refusals)) or 'nothing to read'}; {seen} files in /sys")


@attempt("proc and sys", "control groups", "opens files of control groups for writing, by which limits are changed")
def control_groups(plan: Plan) -> str:
    seen = 0
    for folder, _, files in os.walk("/sys/fs/cgroup"):
        for path in (f"{folder}/{name}" for name in files):
            seen += 1
            try:
                os.close(os.open(path, os.O_WRONLY))
            except OSError:
                continue
            return f"{path} is writable"
        if seen > _MOST:
            break
    raise Refused(f"{seen} files of control groups are visible, none is writable")
