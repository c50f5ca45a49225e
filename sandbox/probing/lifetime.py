"""What a command leaves behind, and whether it can make a user namespace: judged from outside, by the host's /proc."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from sandbox.conformance import Bench
from sandbox.process_tree import tree
from sandbox.protocol import SandboxUnavailable, Session

from .record import Finding, outcome

FAMILY = "lifetime"
_SECONDS = 60.0
_MOST = 4096

_DAEMON = """
import os, signal, sys
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    os.setsid()
    if os.fork() == 0:
        print("ready", flush=True)
        for descriptor in range(3): os.close(descriptor)
        while True: signal.pause()
    os.read(reading, 1)  # ends with the first process
    os._exit(0)
sys.stdin.readline()
"""
"""A daemon by double fork, in its own session, without the command's pipes, that ignores every signal it can. Its
parents end when they are sent a line."""

_USER_NAMESPACE = """
import ctypes, os, sys
print("ready", flush=True)
sys.stdin.readline()
done = ctypes.CDLL(None, use_errno=True).unshare(0x10000000)
print(os.strerror(ctypes.get_errno()) if done else "made", flush=True)
sys.stdin.readline()
"""


def findings(bench: Bench, patience: float) -> Iterator[Finding]:
    """`patience` is how many seconds a process may take to disappear after it was killed."""
    yield _after(bench, patience, "daemons after the command", "a daemon goes on after its command has ended", False)
    yield _after(bench, patience, "daemons after close", "a daemon goes on after the session was closed", True)
    yield _user_namespace(bench)


def _after(bench: Bench, patience: float, name: str, what: str, close: bool) -> Finding:
    handles: list[int] = []
    session = bench.open()
    try:
        before = {one.pid for one in tree(os.getpid(), _MOST)}
        process = session.start([bench.runtime.executable, "-c", _DAEMON])
        with contextlib.ExitStack() as undo:
            undo.callback(_end, handles)
            if process.read_line(_SECONDS) != b"ready":
                raise SandboxUnavailable("the daemon of the probe did not start")
            for one in tree(os.getpid(), _MOST):
                if one.pid not in before:
                    with contextlib.suppress(ProcessLookupError):
                        handles.append(os.pidfd_open(one.pid))
            if close:
                session.close()
            else:
                process.write_line(b"end")
                process.finish(_SECONDS)
            started, left = len(handles), _living(handles, patience)
    finally:
        session.close()
    evidence = f"{left} of {started} processes go on" if left else f"all {started} processes have ended"
    return Finding(FAMILY, name, what, outcome(left > 0), evidence)


def _living(handles: list[int], patience: float) -> int:
    """How many of the processes still run after `patience` seconds; it returns as soon as none does."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    waiting = len(handles)
    while waiting and (ended := poll.poll(patience * 1000)):
        for handle, _ in ended:
            poll.unregister(handle)
            waiting -= 1
    return waiting


def _end(handles: list[int]) -> None:
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
    handles.clear()


def _user_namespace(bench: Bench) -> Finding:
    with bench.open() as session:
        said, made = _namespaces_made(bench, session)
    evidence = "a process of the sandbox is in a new user namespace of the host's kernel" if made else said
    what = "makes a user namespace of the host's kernel, in which it has every capability"
    return Finding("kernel", "user namespaces", what, outcome(made), evidence)


def _namespaces_made(bench: Bench, session: Session) -> tuple[str, bool]:
    """What the command says, and whether the host sees a user namespace that was not there before."""
    process = session.start([bench.runtime.executable, "-c", _USER_NAMESPACE])
    process.read_line(_SECONDS)
    before = _user_namespaces()
    process.write_line(b"make one")
    said = (process.read_line(_SECONDS) or b"").decode(errors="replace")
    made = _user_namespaces() - before
    process.finish(_SECONDS)
    if said == "made" and not made:
        said = "made, but only in the sandbox's own kernel"
    return said, bool(made)


def _user_namespaces() -> set[str]:
    """The user namespaces of this process and its descendants."""
    found = set()
    for one in tree(os.getpid(), _MOST):
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/{one.pid}/ns/user").readlink()))
    return found
