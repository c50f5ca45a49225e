"""What the host offers to attempts: listeners, processes, files and a key that only they are meant to find.

All of it is made here and removed afterwards. Network listeners are on loopback, or in a network namespace of their
own.
"""

import contextlib
import os
import secrets
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .inside.calls import call

_SYS = (
    "/sys/kernel/uevent_seqnum",
    "/sys/kernel/notes",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/devices/virtual/dmi/id/product_name",
    "/sys/power/state",
    "/sys/module/kernel/parameters/panic",
)
_TARGET = """
import ctypes, sys
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
kept = ctypes.create_string_buffer(sys.stdin.readline().strip().encode())
print(ctypes.addressof(kept), flush=True)
sys.stdin.read()
"""
"""Holds a secret in its memory, and lets everybody trace it who otherwise could (PR_SET_PTRACER)."""
_USER_KEYRING = -4
_SETPERM, _UNLINK = 5, 9
_ALL_RIGHTS = 0x3F3F3F3F
ELSEWHERE = (("169.254.169.254", 80), ("192.0.2.1", 443))


@dataclass
class Stage:
    """`plan` is what the attempts are told; `observed` asks for what the host saw of one, by the attempt's name."""

    folder: Path
    plan: dict[str, Any]
    observed: dict[str, Callable[[], str | None]]


@contextlib.contextmanager
def stage(folder: Path, secret: str, own_network: bool) -> Iterator[Stage]:
    """`secret` is what this process was started with in its environment."""
    marker = f"penstock-probe-{os.getpid()}-{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        arrived: list[bytes] = []
        plan: dict[str, Any] = {"marker": marker, "secret": secret, "own_network": own_network, "name": "probe.invalid"}
        plan |= _network(stack, arrived, own_network)
        plan |= _sockets(stack, folder, marker)
        plan |= _files(folder, secret)
        victim, facts = _processes(stack, marker, secret)
        plan |= facts
        descriptor = os.open(plan["beside"], os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.set_inheritable(descriptor, True)
        plan["key"] = _key(stack, marker, secret)
        plan["sys"] = [path for path in _SYS if os.access(path, os.R_OK)]
        plan["home"] = str(Path.home())
        yield Stage(
            folder,
            plan,
            {
                "UDP to the host": lambda: "the datagram arrived" if marker.encode() in arrived else None,
                "signals outside": lambda: "a process of the host was killed" if victim.poll() is not None else None,
            },
        )


def _network(stack: contextlib.ExitStack, arrived: list[bytes], own_network: bool) -> dict[str, int]:
    def listen(family: int, address: tuple[str | int, int]) -> int:
        one = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        one.bind(address)
        one.listen()
        return int(one.getsockname()[1])

    inherited = stack.enter_context(socket.socket())
    inherited.set_inheritable(True)
    ports = {"tcp": listen(socket.AF_INET, ("127.0.0.1", 0)), "tcp6": 0, "vsock": 0}
    with contextlib.suppress(OSError):
        ports["tcp6"] = listen(socket.AF_INET6, ("::1", 0))
    with contextlib.suppress(OSError, AttributeError):
        port = listen(socket.AF_VSOCK, (0xFFFFFFFF, 0xFFFFFFFF))  # any address, any port
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as one:
            one.settimeout(2)
            one.connect((1, port))  # this machine itself
        ports["vsock"] = port
    for address in ELSEWHERE if own_network else ():
        listen(socket.AF_INET, address)
    datagrams = []
    for name in ("udp", "dns"):
        one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        one.bind(("127.0.0.1", 0))
        ports[name] = one.getsockname()[1]
        datagrams.append(one)
    ending, end = os.pipe()
    serving = threading.Thread(target=_answer, args=(*datagrams, ending, arrived), daemon=True)
    serving.start()
    stack.callback(os.close, ending)
    stack.callback(serving.join)
    stack.callback(os.close, end)
    return ports


def _answer(echo: socket.socket, names: socket.socket, ending: int, arrived: list[bytes]) -> None:
    """Echoes datagrams, and answers DNS queries with 127.0.0.1, until the pipe `ending` is closed."""
    waiting: list[socket.socket | int] = [echo, names, ending]
    while ending not in (ready := select.select(waiting, [], [])[0]):
        for one in (one for one in (echo, names) if one in ready):
            data, sender = one.recvfrom(512)
            if one is echo:
                arrived.append(data)
                one.sendto(data, sender)
            elif len(data) > 16:
                record = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 1, 4, socket.inet_aton("127.0.0.1"))
                one.sendto(data[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + data[12:] + record, sender)


def _sockets(stack: contextlib.ExitStack, folder: Path, marker: str) -> dict[str, str]:
    (folder / "database").mkdir()
    places = {
        "socket": str(folder / "host.sock"),
        "database": str(folder / "database" / ".s.PGSQL.5432"),
        "abstract": marker,
    }
    for name, place in places.items():
        one = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        one.bind(f"\0{place}" if name == "abstract" else place)
        one.listen()
    return places


def _files(folder: Path, secret: str) -> dict[str, Any]:
    keys = folder / "home"
    for name in (".ssh/id_ed25519", ".local/share/penstock/settings.toml"):
        (keys / name).parent.mkdir(parents=True)
        (keys / name).write_text(secret)
    beside = folder / "beside.txt"
    beside.write_text(secret)
    return {"beside": str(beside), "keys": [str(path) for path in keys.rglob("*") if path.is_file()]}


def _processes(
    stack: contextlib.ExitStack, marker: str, secret: str
) -> tuple["subprocess.Popen[bytes]", dict[str, int]]:
    def start(*command: str) -> "subprocess.Popen[bytes]":
        one = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        stack.callback(one.kill)
        return one

    victim = start("/bin/sh", "-c", f"read line # {marker}")
    target = start(sys.executable, "-I", "-S", "-c", _TARGET, marker)
    assert target.stdin is not None and target.stdout is not None  # noqa: S101 - both are pipes
    target.stdin.write(f"{secret}\n".encode())
    target.stdin.flush()
    address = int(target.stdout.readline())
    return victim, {"victim": victim.pid, "target": target.pid, "address": address}


def _key(stack: contextlib.ExitStack, marker: str, secret: str) -> int:
    """Stores a key that everybody may read who can see it, and returns its number; 0 when the kernel stores none."""
    try:
        number = call("add_key", b"user", marker.encode(), secret.encode(), len(secret), _USER_KEYRING)
    except OSError:
        return 0
    stack.callback(call, "keyctl", _UNLINK, number, _USER_KEYRING, 0, 0)
    call("keyctl", _SETPERM, number, _ALL_RIGHTS, 0, 0)
    return number


def setuid_copy(folder: Path) -> None:
    """Puts a setuid copy of the program `id` into a folder."""
    source = shutil.which("id", path="/usr/bin:/bin")
    if source is not None:
        copy = Path(shutil.copy(source, folder / "setuid-id"))
        copy.chmod(0o4755)
