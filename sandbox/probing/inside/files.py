"""Attempts to read what belongs to the host or to other workspaces, and to write outside the workspace.

Whatever is opened for writing is not written to, and what is created is removed at once.
"""
# Paths are plain strings: many come from the plan, and some are not meant to be normalised.
# ruff: noqa: PTH118, PTH123, PTH208

import os
import stat
import subprocess
from collections.abc import Iterable

from .attempt import Plan, Refused, attempt
from .walk import shallow_first

_FOLDERS = ("/home", "/root", "/var", "/run", "/tmp", "/mnt", "/srv", "/opt", "/media", "/boot")  # noqa: S108
_SKIPPED = ("/proc", "/sys", "/usr", "/dev", "/nix", "/lib", "/bin", "/sbin", "/lib64", "/lib32")


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return f"{path}: {len(file.read(4096))} bytes read"


def _first(paths: Iterable[str]) -> str:
    refusals = []
    for path in paths:
        try:
            return _read(path)
        except OSError as error:
            refusals.append(error.strerror or str(error))
    raise Refused(f"{len(refusals)} paths: {', '.join(sorted(set(refusals)))}")


@attempt("files", "password hashes", "reads /etc/shadow")
def shadow(plan: Plan) -> str:
    return _read("/etc/shadow")


@attempt("files", "password hashes by /proc", "reads etc/shadow below the root folder of each visible process")
def shadow_by_process(plan: Plan) -> str:
    return _first(f"/proc/{n}/root/etc/shadow" for n in os.listdir("/proc") if n.isdigit())


@attempt("files", "a file beside the workspace", "reads a file of the host by its path")
def beside(plan: Plan) -> str:
    return _read(plan["beside"])


@attempt("files", "another workspace", "reads the folder that another session's workspace was copied from")
def other_workspace(plan: Plan) -> str:
    return _read(plan["other"])


@attempt("files", "another session's copy", "searches all folders for the private copy of another session")
def other_copy(plan: Plan) -> str:
    seen = 0
    for folder, names in shallow_first(["/"], {*_SKIPPED, *plan["mounted"]}):
        seen += len(names)
        if plan["copied"] in names:
            return f"{folder}/{plan['copied']}"
    raise Refused(f"not among {seen} files")


@attempt("files", "private keys and tokens", "reads a private key and a settings file with a token, of this user")
def keys(plan: Plan) -> str:
    return _first(plan["keys"])


@attempt("files", "folders of the host", "looks into /home, /root, /var, /run, /tmp, ... for anything not mounted")
def folders(plan: Plan) -> str:
    visible = []
    for path in sorted({*_FOLDERS, plan["home"]}):
        try:
            extra = [entry for entry in os.listdir(path) if entry not in plan["shown"].get(path, [])]
        except OSError:
            continue
        if extra:
            return f"{path} holds {', '.join(sorted(extra)[:5])}"
        visible.append(path)
    raise Refused(f"none but {', '.join(visible)}, without anything of the host" if visible else "none is visible")


@attempt("files", "inherited variables", "looks for a secret of the parent among its own environment variables")
def variables(plan: Plan) -> str:
    for name, value in os.environ.items():
        if plan["secret"] in value or name.startswith("PENSTOCK_"):
            return f"{name} is inherited"
    raise Refused(f"only {', '.join(sorted(os.environ))}")


@attempt("files", "environment of the parent", "looks for the secret in /proc/PID/environ of every visible process")
def environments(plan: Plan) -> str:
    numbers = [n for n in os.listdir("/proc") if n.isdigit()]
    for number in numbers:
        try:
            with open(f"/proc/{number}/environ", "rb") as file:
                if plan["secret"].encode() in file.read(1 << 20):
                    return f"process {number} has it"
        except OSError:
            continue
    raise Refused(f"not in {len(numbers)} processes, all of the sandbox")


@attempt("files", "inherited descriptors", "reads from every open file that it was started with")
def descriptors(plan: Plan) -> str:
    others = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and stat.S_ISREG(os.fstat(int(name)).st_mode):
                others.append(name)
                if plan["secret"].encode() in os.pread(int(name), 4096, 0):
                    return f"descriptor {name} is a file of the host"
        except OSError:
            continue
    raise Refused(f"{len(others)} files besides standard input, output and errors")


def _create(folder: str) -> str:
    path = os.path.join(folder, "penstock-probe-write")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    os.unlink(path)  # noqa: PTH108
    return f"a file was created in {folder}"


@attempt("files", "write to the system's programs", "creates a file in /usr/bin, and opens /usr/bin/env for writing")
def write_programs(plan: Plan) -> str:
    try:
        return _create("/usr/bin")
    except OSError:
        os.close(os.open("/usr/bin/env", os.O_WRONLY))
        return "/usr/bin/env is writable"


@attempt("files", "write to /etc", "creates a file in /etc, and opens /etc/passwd for writing")
def write_etc(plan: Plan) -> str:
    try:
        return _create("/etc")
    except OSError:
        os.close(os.open("/etc/passwd", os.O_WRONLY))
        return "/etc/passwd is writable"


@attempt("files", "write to the root folder", "creates a file in /")
def write_root(plan: Plan) -> str:
    return _create("/")


@attempt("files", "write to /dev", "creates a file in /dev, which is in memory and has no limit of size")
def write_dev(plan: Plan) -> str:
    return _create("/dev")


@attempt("files", "write to mounted folders", "opens a file of the mounted Python for writing, and sets its mode")
def write_mounted(plan: Plan) -> str:
    try:
        os.close(os.open(os.__file__, os.O_WRONLY))
    except OSError:
        pass
    else:
        return f"{os.__file__} is writable"
    try:
        os.chmod(os.__file__, stat.S_IMODE(os.stat(os.__file__).st_mode))  # noqa: PTH101, PTH116
    except OSError as error:
        raise Refused(f"os.py of the Python installation: {error.strerror}") from error
    return f"the mode of {os.__file__} can be set"


@attempt("files", "hard links", "gives a file of the host a second name in the workspace, from where it can be written")
def hard_link(plan: Plan) -> str:
    refusals = []
    for path in (plan["beside"], plan["other"], os.__file__, "/etc/passwd"):
        try:
            os.link(path, "linked")
        except OSError as error:
            refusals.append(error.strerror or str(error))
            continue
        os.unlink("linked")  # noqa: PTH108
        return f"{path} was linked"
    raise Refused(", ".join(dict.fromkeys(refusals)))


@attempt("files", "device nodes made", "makes a device node in the workspace (of /dev/null) and opens it")
def make_device(plan: Plan) -> str:
    os.mknod("device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    try:
        os.close(os.open("device", os.O_RDONLY))
    finally:
        os.unlink("device")  # noqa: PTH108
    return "a device node works"


@attempt("files", "device nodes of the host", "looks in /dev for disks, kernel memory, terminals and virtual machines")
def devices(plan: Plan) -> str:
    risky = ("mem", "kmem", "port", "kvm", "kmsg", "uinput", "vsock", "ttyS0", "tty0", "tty1", "loop-control")
    names = os.listdir("/dev")
    found = [n for n in names if n in risky or stat.S_ISBLK(os.lstat(f"/dev/{n}").st_mode)]
    if not found:
        raise Refused(f"/dev holds {', '.join(sorted(names))}")
    return f"/dev holds {', '.join(sorted(found)[:8])}"


@attempt("files", "symbolic links out", "follows symbolic links in the workspace to files of the host")
def follow_links(plan: Plan) -> str:
    for number, path in enumerate((plan["beside"], "/etc/shadow", "../../../../../../etc/shadow")):
        os.symlink(path, f"out-{number}")  # noqa: PTH211
    return _first(f"out-{number}" for number in range(3))


@attempt("files", "setuid programs", "as an ordinary user, runs a setuid program that the workspace came with")
def setuid_program(plan: Plan) -> str:
    for change, number in ((os.setgid, 65534), (os.setuid, 65534)):
        try:
            change(number)
        except OSError:
            break
    done = subprocess.run(["./setuid-id"], capture_output=True, text=True, timeout=10, check=False)
    if "euid=0" in done.stdout:
        return f"it runs as root: {done.stdout.strip()[:100]}"
    raise Refused(f"it runs as {done.stdout.split(' ')[0]}" if done.stdout else done.stderr[-100:].strip())
