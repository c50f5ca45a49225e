"""Parts of the platform that begin as forks of the supervisor, after it has imported what they all need.

Importing Dagster takes a process seconds and a hundred megabytes; forks do so once and share the memory. The supervisor
has one thread and no connection then, which is what makes a fork safe. A part that is started again later is a program
of its own, with the code that is installed by then.
"""

import ctypes
import gc
import importlib
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from core.processes import ends_with_parent
from dagster_project.warm.process import ROOT

NEEDED = (
    "dagster._cli.api",
    "dagster._daemon.controller",
    "dagster._grpc.server",
    "dagster_webserver.cli",
    "dagster_webserver.webserver",
    "dagster_project.warm.dagster_storage",
)
"""Modules beyond those that the warm process imports."""
_SET_NAME = 15  # PR_SET_NAME of prctl(2)


class Forked:
    """A forked child process, with what the supervisor uses of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def alone() -> bool:
    """Whether this process has one thread, so that it can fork."""
    tasks = Path("/proc/self/task")
    return tasks.is_dir() and len(list(tasks.iterdir())) == 1


def import_for_all(environment: Mapping[str, str]) -> None:
    """Imports what the parts need, with the environment that they get: some modules read settings."""
    from dagster_project.warm import process

    os.environ.update(environment)
    with process._single_threaded_imports():
        process.preload()
        for name in NEEDED:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page


def start(name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: int) -> Forked:
    """Runs a module as the main one in a fork, with `log` as its output. Only for a process that is `alone`."""
    dies = ends_with_parent()
    pid = os.fork()
    if not pid:
        _be(name, dies, environment, log, lambda: _run(module, arguments))
    return Forked(pid)


def _be(
    name: str, dies: Callable[[], None], environment: Mapping[str, str], log: int, work: Callable[[], None]
) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        dies()
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 1 << 16)  # the supervisor's lock among them
        os.chdir(ROOT)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        warnings.simplefilter("ignore")
        _entitle(name)
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # what the supervisor does at its exit is not the fork's to do


def _run(module: str, arguments: Sequence[str]) -> None:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _entitle(name: str) -> None:
    """Makes `ps` show the part's name (Linux): it overwrites the memory that holds the command line."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_NAME, name.encode()[:15], 0, 0, 0)
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc_pid_stat(5)
        if 0 < begin < end:
            title = f"penstock: {name}".encode()[: end - begin - 1]
            ctypes.memmove(begin, title.ljust(end - begin, b"\0"), end - begin)
