"""The warm process: it has imported everything, and forks a child for each run in about 15 ms.

It only imports. It has no connections, threads, tokenizers or gRPC channels, since none would survive a fork; before
each fork it checks that it has one thread. If a source file of Penstock has changed, it re-executes itself, and keeps
its socket and children. Its client is `dagster_project.warm.launcher`.

Protocol, over a Unix socket that only its owner can open: one JSON line in (`{"run": id,
"instance": serialised InstanceRef}`), one JSON line out (`{"pid": n, "started": ticks}` or
`{"error": text}`).
"""

import contextlib
import functools
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from core.heartbeats import heartbeat
from core.processes import started_ticks

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "sandbox", "objects", "assets", "sensors", "dagster_project")
PRELOADED = (
    "psycopg2",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "upath.implementations.local",
    "numpy",
    "psycopg_pool",
    "assets.context.search",
    "assets.executions.attempt.execute",
    "assets.platform",
    "core.embedding.wordllama",
    "core.eventlog.postgres",
    "dagster_project.definitions",
    "dagster_project.migration_evidence",
    "dagster_project.warm.launcher",
    "sandbox.bubblewrap",
    "sandbox.gvisor",
    "sandbox.python",
)
MAX_REQUEST = 1 << 20
CHILD_STOP_SECONDS = 5.0
_STATE = "PENSTOCK_WARM_STATE"


def fingerprint() -> int:
    """A hash of the paths and modification times of all source files of the rooms."""
    stamps = []
    for room in ROOMS:
        for folder, _, files in os.walk(ROOT / room):
            stamps += [
                (path, Path(path).stat().st_mtime_ns)
                for path in (os.path.join(folder, name) for name in files if name.endswith(".py"))  # noqa: PTH118
            ]
    return hash(tuple(sorted(stamps)))


def preload() -> None:
    """Imports every module that a run needs, without loading models or opening connections."""
    from dagster_project.warm import dagster_internals

    for name in (*dagster_internals.PRELOADED, *PRELOADED):
        importlib.import_module(name)
    from core import tracing

    tracing.preload()
    repository = importlib.import_module("dagster_project.definitions").defs.get_repository_def()
    for job in repository.get_all_jobs():
        repository.get_job(job.name)


def run_worker(run_id: str, instance: str) -> int:
    """Executes a stored run in this process. Returns 0 when the run has ended, with any result."""
    from dagster_project.warm.dagster_internals import execute_stored_run

    try:
        execute_stored_run(run_id, instance)
    finally:
        from core import tracing

        tracing.close()
    return 0


def report_crash(run_id: str, instance: str, how: str) -> int:
    """Marks a run failed whose worker died without reporting it."""
    from dagster_project.warm.dagster_internals import report_run_failed

    report_run_failed(run_id, instance, f"The run's process {how} before the run had ended.")
    return 0


class WarmServer:
    """Accepts launch requests one at a time and reaps the children it forked."""

    def __init__(
        self, path: Path, place: Sequence[int] | None, listener: socket.socket, children: dict[int, tuple[str, str]]
    ) -> None:
        """`place` identifies the listener's own file at `path`."""
        self._path = path
        self._listener = listener
        self._children = children
        self._fingerprint = fingerprint()
        self._place = place
        self._stop = False
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    def serve(self) -> None:
        """Serves until SIGTERM, which also ends the children; after the next start their attempts resume. If the warm
        process is killed, its children continue. A launcher and the supervisor may then both start the next one: the
        one whose socket no client can find any more ends."""
        signal.set_wakeup_fd(self._wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, self._on_term)
        parent, beat = os.getppid(), heartbeat()
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while not self._stop:
                beat()
                ready = {key.fileobj for key, _ in selector.select(timeout=5.0)}
                if self._wake_read in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                self._reap()
                if self._listener in ready:
                    self._accept()
                if not self._children and (os.getppid() != parent or _place(self._path) != self._place):
                    return  # the supervisor is gone, or another warm process has taken the socket's place
        self._end_children()

    def _end_children(self) -> None:
        for number, seconds in ((signal.SIGTERM, CHILD_STOP_SECONDS), (signal.SIGKILL, 2.0)):
            for pid in self._children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + seconds
            while self._children and time.monotonic() < deadline:
                with contextlib.suppress(ChildProcessError):
                    pid, _ = os.waitpid(-1, os.WNOHANG)
                    self._children.pop(pid, None)
                    if pid == 0:
                        time.sleep(0.02)

    def _on_term(self, *_: object) -> None:
        self._stop = True

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children.clear()
                return
            if pid == 0:
                return
            known = self._children.pop(pid, None)
            if known is None or status == 0:
                continue
            code = os.waitstatus_to_exitcode(status)
            how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
            self._fork(functools.partial(report_crash, *known, how))

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(5.0)
            try:
                request = _read_line(connection)
                run_id, ref = str(request["run"]), str(request["instance"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                _answer(connection, {"error": f"not a launch request: {error}"})
                return
            if fingerprint() != self._fingerprint:
                _answer(connection, {"error": "restarting", "retry": True})
                self._exec_anew()
            pid = self._fork(functools.partial(run_worker, run_id, ref), connection)
            self._children[pid] = (run_id, ref)
            _answer(connection, {"pid": pid, "started": started_ticks(pid) or 0})

    def _fork(self, work: Callable[[], int], *sockets: socket.socket) -> int:
        tasks = Path("/proc/self/task")
        threads = len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
        if threads != 1:
            raise RuntimeError(f"the warm process has {threads} threads, so it cannot fork: an import started one")
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            for inherited in (self._listener, *sockets):
                inherited.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            os.setsid()
            code = work()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _exec_anew(self) -> NoReturn:
        self._listener.set_inheritable(True)
        os.environ[_STATE] = json.dumps(
            {"fd": self._listener.fileno(), "place": self._place, "children": self._children}
        )
        os.execv(sys.executable, [sys.executable, "-m", "dagster_project.warm.process", str(self._path)])  # noqa: S606


def _place(path: Path) -> Sequence[int] | None:
    """What identifies the file at a path; None if there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return [found.st_dev, found.st_ino]


def _read_line(connection: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            break
        data += part
        if len(data) > MAX_REQUEST:
            raise ValueError("request too long")
    return dict(json.loads(data))


def _answer(connection: socket.socket, body: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(body).encode() + b"\n")


@contextlib.contextmanager
def _single_threaded_imports() -> Iterator[None]:
    """Keeps numeric libraries from starting thread pools on import."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    for name in names:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    yield


def main() -> None:
    path = Path(sys.argv[1])
    handed = json.loads(os.environ.pop(_STATE, "{}"))
    children = {int(pid): (str(known[0]), str(known[1])) for pid, known in handed.get("children", {}).items()}
    if "fd" in handed:
        listener = socket.socket(fileno=int(handed["fd"]))
        listener.set_inheritable(False)
        place = handed.get("place")
    else:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        place = _place(path)
        listener.listen(64)
    with _single_threaded_imports():
        preload()
    WarmServer(path, place, listener, children).serve()


if __name__ == "__main__":
    main()
