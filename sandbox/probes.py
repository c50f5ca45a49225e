"""Tries to break out of a sandbox and to exceed its limits, and reports each outcome: `penstock sandbox probe`.

For an operator who wants to verify the isolation on this machine. It takes seconds and needs no test tools;
`sandbox.conformance` is more thorough.
"""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import attacks
from .conformance import SMALL, Bench
from .protocol import Limit, Sandbox, SandboxUnavailable
from .session import BASE_VARIABLES

_SECRET = "penstock-probe-secret"  # noqa: S105 - not a secret: the probes search for it

_FOLDERS = ("/home", "/root", "/var", "/run", "/tmp", "/mnt", "/srv", "/opt")  # noqa: S108 - paths inside the sandbox


@dataclass(frozen=True)
class ProbeResult:
    """The outcome of one attempt. `passed` means that the sandbox prevented it."""

    backend: str
    probe: str
    passed: bool
    evidence: str


_ATTEMPTS = r"""
import errno, json, os, socket, stat, sys, tempfile
plan = json.loads(sys.stdin.read())
found = {}

def attempt(name, action):
    try:
        found[name] = {"done": True, "said": str(action())[:300]}
    except BaseException as error:
        found[name] = {"done": False, "said": f"{type(error).__name__}: {error}"[:300]}

def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(2); one.connect(address); one.sendall(b"x")
    return f"connected to {address!r}"

def datagram(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", address)
    return f"sent to {address}"

def interfaces():
    names = [name for _, name in socket.if_nameindex() if name not in ("lo", "tunl0", "sit0", "ip6tnl0", "gre0")]
    if not names: raise OSError("only the loopback of an empty network")
    return names

def read(path):
    if os.path.isdir(path): return f"{path}: {os.listdir(path)[:5]}"
    with open(path, "rb") as file: return f"{path}: {file.read(40)!r}"

def write(path):
    with open(path, "ab") as file: pass
    return f"{path} is writable"

def below(path, seen=frozenset()):
    entries = sorted(os.listdir(path))
    for entry in entries:
        if plan["secret"] in entry: return f"{path}/{entry}"
    extra = [e for e in entries if e not in plan["shown"].get(path, [])]
    if not extra: raise OSError(f"{path} holds {entries}")
    return f"{path} holds {extra[:8]}"

def sockets():
    for root in ("/run", "/var", "/tmp", "/workspace", "/home", "/root", "/etc", "/dev", "/opt"):
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                with_stat = os.lstat(path)
                if stat.S_ISSOCK(with_stat.st_mode): return path
    raise OSError("no socket file is visible")

def privileges():
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)
    held = {key: status[key].strip() for key in ("CapEff", "CapPrm", "CapInh") if int(status.get(key, "0"), 16)}
    if status.get("NoNewPrivs", "1").strip() != "1": held["NoNewPrivs"] = "0"
    if not held: raise OSError("no capability is held and none can be gained")
    return held

def devices():
    risky = ("mem", "kmem", "port", "kvm")
    names = [n for n in os.listdir("/dev") if stat.S_ISBLK(os.lstat(f"/dev/{n}").st_mode) or n in risky]
    if not names: raise OSError(f"/dev holds {sorted(os.listdir('/dev'))}")
    return names

def processes():
    numbers = [n for n in os.listdir("/proc") if n.isdigit()]
    for n in numbers:
        with open(f"/proc/{n}/cmdline", "rb") as file: line = file.read()
        if plan["marker"].encode() in line: return f"process {n}: {line[:80]!r}"
    raise OSError(f"{len(numbers)} processes are visible, all of the sandbox")

def mount():
    import ctypes
    place = tempfile.mkdtemp(dir=".").encode()  # a new folder, unmounted at once: without a sandbox, this is the host
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", place, b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    libc.umount2(place, 2)
    return "mounted a file system"

def settings():
    for folder, _, files in os.walk("/proc/sys"):
        for name in files:
            try: os.close(os.open(f"{folder}/{name}", os.O_WRONLY)); return f"{folder}/{name} is writable"
            except OSError: pass
    raise OSError("no kernel setting is writable")

def terminal():
    import fcntl, termios
    with open("/dev/tty", "rb") as tty: fcntl.ioctl(tty, termios.TIOCSTI, b"x")
    return "typed into the terminal"

attempt("network: host loopback", lambda: connect(socket.AF_INET, ("127.0.0.1", plan["port"])))
attempt("network: another address", lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))
attempt("network: datagram", lambda: datagram(("192.0.2.1", 53)))
attempt("network: interfaces", interfaces)
attempt("network: vsock", lambda: connect(getattr(socket, "AF_VSOCK", 40), (2, 22)))
attempt("unix socket: by path", lambda: connect(socket.AF_UNIX, plan["socket"]))
attempt("unix socket: abstract", lambda: connect(socket.AF_UNIX, "\0" + plan["abstract"]))
attempt("unix socket: visible", sockets)
for name, path in plan["hidden"].items():
    attempt(f"host file: {name}", lambda: read(path))
for path in plan["folders"]:
    attempt(f"host folder: {path}", lambda: below(path))
for path in plan["read_only"]:
    attempt(f"read-only: {path}", lambda: write(path))
attempt("host: devices", devices)
attempt("host: processes", processes)
attempt("host: kernel settings", settings)
attempt("privileges: held", privileges)
attempt("privileges: mount", mount)
attempt("privileges: terminal", terminal)
found["environment"] = dict(os.environ)
print(json.dumps(found))
"""

_LIMITS: tuple[tuple[Limit, dict[str, float], str], ...] = (
    (Limit.WALL, {"wall_seconds": 0.3}, "import time; time.sleep(20)"),
    (Limit.CPU, {"cpu_seconds": 0.3}, attacks.BURN_CPU),
    (Limit.MEMORY, {}, attacks.FILL_MEMORY),
    # With more memory, because this many interpreters may reach the memory limit first.
    (Limit.PROCESSES, {"memory_bytes": 2 << 30}, attacks.FORK_BOMB),
    (Limit.FILE_SIZE, {}, attacks.GIANT_FILE),
    (Limit.DISK, {}, attacks.MANY_FILES),
    (Limit.OUTPUT, {}, attacks.endless_output("stdout")),
)


def probe(sandbox: Sandbox) -> list[ProbeResult]:
    """Runs every attempt on one backend. Raises `SandboxUnavailable` when no session can be opened."""
    problem = sandbox.available()
    if problem is not None:
        raise SandboxUnavailable(problem)
    with tempfile.TemporaryDirectory(prefix="penstock-probe-") as folder:
        bench = Bench(sandbox, Path(folder))
        return [*_isolation(bench), *_limits(bench)]


def _isolation(bench: Bench) -> Iterator[ProbeResult]:
    other = bench.workspace(secret__txt=_SECRET)
    planted = bench.folder / f"{_SECRET}.txt"
    planted.write_text(_SECRET)
    with _listeners(bench.folder) as reachable, bench.open(other) as neighbour, bench.open() as session:
        neighbour.write(f"{_SECRET}.txt", b"a secret of another workspace")
        plan = {
            **reachable,
            "secret": _SECRET,
            "hidden": {
                "passwords": "/etc/shadow",
                "passwords through /proc": "/proc/1/root/etc/shadow",
                "a secret beside the workspace": str(planted),
                "another workspace": str(other / "secret.txt"),
            },
            "folders": sorted({*_FOLDERS, str(Path.home())}),
            "read_only": ["/usr/bin/sh", "/etc/passwd", *(f"{at}/penstock-probe" for at in ("", "/usr", "/dev"))],
            "shown": _shown(bench),
        }
        program = [bench.runtime.executable, "-c", _ATTEMPTS]
        result = session.run(program, stdin=json.dumps(plan).encode(), limits=replace(SMALL, processes=64))
    try:
        found: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        tail = (result.stderr or result.stdout)[-300:].decode(errors="replace")
        raise SandboxUnavailable(f"the probe ended with {result.exit_code} ({result.limit}): {tail}") from None
    environment: Mapping[str, str] = found.pop("environment")
    for name, outcome in found.items():
        yield ProbeResult(bench.sandbox.name, name, not outcome["done"], outcome["said"])
    allowed = {*BASE_VARIABLES, *bench.runtime.variables, "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    foreign = sorted(set(environment) - allowed)
    evidence = f"inherited: {', '.join(foreign)}" if foreign else f"only {', '.join(sorted(environment))}"
    yield ProbeResult(bench.sandbox.name, "environment", not foreign, evidence)


def _shown(bench: Bench) -> dict[str, list[str]]:
    """By folder, the entries that the mounts of the Python runtime add to it."""
    shown: dict[str, list[str]] = {}
    for mount in bench.runtime.mounts:
        parts = mount.target.strip("/").split("/")
        for depth in range(len(parts)):
            shown.setdefault("/" + "/".join(parts[:depth]), []).append(parts[depth])
    return shown


@contextlib.contextmanager
def _listeners(folder: Path) -> Iterator[dict[str, Any]]:
    """Opens listeners on the host (TCP on loopback, Unix sockets by path and abstract), starts a process there, and
    yields what identifies them."""
    abstract = f"penstock-probe-{os.getpid()}-{threading.get_ident()}"
    path = folder / "host.sock"
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        network.bind(("127.0.0.1", 0))
        network.listen()
        for address in (str(path), f"\0{abstract}"):
            local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            local.bind(address)
            local.listen()
        waiting = ["sh", "-c", f"read line # {abstract}"]
        process = stack.enter_context(subprocess.Popen(waiting, stdin=subprocess.PIPE))
        stack.callback(process.kill)
        yield {"port": network.getsockname()[1], "socket": str(path), "abstract": abstract, "marker": abstract}


def _limits(bench: Bench) -> Iterator[ProbeResult]:
    for limit, changes, code in _LIMITS:
        limits = replace(SMALL, **changes)  # type: ignore[arg-type]
        with bench.open(limits=limits) as session:
            result = bench.python(session, code)
        ending = f"ended by the limit {result.limit}" if result.limit else f"exit code {result.exit_code}, no limit"
        evidence = f"{ending}, after {result.wall_seconds:.2f} s"
        yield ProbeResult(bench.sandbox.name, f"limit: {limit}", result.limit is limit, evidence)
