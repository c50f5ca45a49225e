"""`penstock up`: starts the platform's processes, waits until each answers, restarts those that end, and stops all.

Only this process starts and stops the embedded server. Each child logs to a file in `<home>/logs`. The addresses and
present process ids are in `<home>/run/platform.json`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import psycopg

from core.database.embedded import DatabaseNotStarted
from core.settings import Settings
from dagster_project import instance
from dagster_project.parts import Child, EmbeddedDatabase, Part, adopted, end_adopted
from dagster_project.ports import free_port, taken
from dagster_project.runtime import Runtime
from dagster_project.warm import launcher, self_check
from dagster_project.warm.process import ROOT

STOP_SECONDS = 10.0
# These create Dagster's tables if there are none, and fail if two of them do so simultaneously.
USES_DAGSTER_STORAGE = ("code-server", "daemon", "webserver")
DAGSTER_TABLES = ("runs", "event_logs", "job_ticks")  # one of each of Dagster's three storages
CREATE_LOCK = 0x70656E73746F636B  # "penstock"


class StartFailed(RuntimeError):
    """A process of the platform did not start; the message names it and its log file, and quotes the last lines."""


def platform_file(settings: Settings) -> Path:
    """The file with the addresses and process ids of a running platform."""
    return settings.run_folder / "platform.json"


def running_platform(settings: Settings) -> dict[str, object] | None:
    """The content of `platform.json` if the supervisor that wrote it still runs, else None."""
    try:
        state = json.loads(platform_file(settings).read_text(encoding="utf-8"))
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return dict(state)


class Supervisor:
    """Runs the processes of one platform. `on_event` receives a line of text for each event. `adopts`: this process has
    no child processes but the platform's and `others`, and adopts orphans among the platform's."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        webserver: bool = True,
        on_event: Callable[[str], None] = print,
        adopts: bool = False,
        others: Set[int] = frozenset(),
    ) -> None:
        self.runtime = runtime
        self.settings = runtime.settings
        self._say = on_event
        self._stop = threading.Event()
        self._ports = {
            name: self._port(name, host, port)
            for name, host, port in (
                ("gateway", self.settings.gateway_host, self.settings.gateway_port),
                ("dagster", self.settings.dagster_host, self.settings.dagster_port),
            )
            if name != "dagster" or webserver
        }
        self._logs = self.settings.home / "logs"
        self._webserver = webserver
        self._adopts, self._others = adopts, frozenset(others)
        self._launcher_problem: str | None = None
        self.children = self._plan()
        self.database = EmbeddedDatabase(runtime.server) if runtime.server else None

    def _port(self, name: str, host: str, port: int) -> int:
        if port == 0:
            return free_port(host)
        if taken(host, port):
            raise StartFailed(
                f"port {port} on {host} is in use: stop the program that uses it, or set "
                f"PENSTOCK_{name.upper()}_PORT (0 selects a free port)"
            )
        return port

    @property
    def gateway_url(self) -> str:
        return f"http://{self.settings.gateway_host}:{self._ports['gateway']}"

    @property
    def dagster_url(self) -> str | None:
        return f"http://{self.settings.dagster_host}:{self._ports['dagster']}" if "dagster" in self._ports else None

    def _plan(self) -> list[Child]:
        python, run = sys.executable, self.settings.run_folder
        _, workspace, code = instance.files(self.settings)
        children = [
            Child("gateway", [python, "-m", "gateway"], lambda: _answers(f"{self.gateway_url}/readyz")),
            Child(
                "code-server",
                [python, "-m", "dagster", "api", "grpc", "--socket", str(code), "--location-name", "penstock",
                 "--module-name", "dagster_project.definitions", "--log-level", "warning"],
                lambda: _listens(code),
            ),
        ]  # fmt: skip
        if self.settings.event_log == "kafka":
            children.append(Child("relay", [python, "-m", "core.eventlog.relay"], lambda: True))
        if self.settings.run_launcher == "warm":
            socket_path = run / "warm.sock"
            children.append(
                Child(
                    "warm",
                    [python, "-m", "dagster_project.warm.process", str(socket_path)],
                    lambda: _listens(socket_path),
                )
            )
        stock = self.settings.run_launcher == "stock"
        daemon = ["dagster._daemon", "run", "-w"] if stock else ["dagster_project.daemon"]
        children.append(Child("daemon", [python, "-m", *daemon, str(workspace)], lambda: True))
        if self._webserver:
            children.append(
                Child(
                    "webserver",
                    [python, "-m", "dagster_webserver", "-h", self.settings.dagster_host, "-p",
                     str(self._ports["dagster"]), "-w", str(workspace), "--log-level", "warning"],
                    lambda: _answers(f"{self.dagster_url}/server_info"),
                )
            )  # fmt: skip
        return children

    def environment(self) -> Mapping[str, str]:
        ports = {f"PENSTOCK_{name.upper()}_PORT": str(port) for name, port in self._ports.items()}
        return {
            **os.environ,
            **self.runtime.environment(),
            **ports,
            "PENSTOCK_HOME": str(self.settings.home),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def start(self, timeout: float = 120.0) -> None:
        """Starts all processes and returns when they answer. If one fails, stops the others and raises
        `StartFailed`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._check_launcher()
        instance.write(self.settings)
        deadline = time.monotonic() + timeout
        try:
            early = [c for c in self.children if c.name not in USES_DAGSTER_STORAGE]
            late = [c for c in self.children if c.name in USES_DAGSTER_STORAGE and c.name != "code-server"]
            code = [c for c in self.children if c.name == "code-server"]  # the late ones load the code from it
            for child in early:
                self._spawn(child)
            _create_dagster_tables(self.runtime, self.environment())
            for children in (code, late):
                for child in children:
                    self._spawn(child)
                self._await([*early, *children], deadline)
                early = []
        except BaseException:
            self.stop()
            raise
        self._write_state()

    def _parts(self) -> list[Part]:
        return [*([self.database] if self.database else []), *self.children]

    def _write_state(self) -> None:
        state = {
            "pid": os.getpid(),
            "gateway": self.gateway_url,
            "dagster": self.dagster_url,
            "home": str(self.settings.home),
            "run_launcher": self.settings.run_launcher,
            "launcher_problem": self._launcher_problem,
            "database": self.runtime.database_url if self.runtime.embedded else "external",
            "processes": {part.name: part.pid for part in self._parts() if part.pid},
        }
        path = platform_file(self.settings)
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps(state, indent=2), encoding="utf-8")
        partial.chmod(0o600)
        partial.replace(path)

    def _check_launcher(self) -> None:
        """Falls back to Dagster's own launcher if the warm one does not work with the installed Dagster."""
        if self.settings.run_launcher != "warm":
            return
        problem = self_check.problem(self.settings.run_folder / "warm-launcher-checked")
        if problem is None:
            return
        self._say(
            f"warning: the warm run launcher does not work with Dagster {metadata.version('dagster')} ({problem}). "
            "Runs use Dagster's own launcher: each starts some seconds later, nothing else changes. "
            "To silence this warning, set PENSTOCK_RUN_LAUNCHER=stock."
        )
        self._launcher_problem = problem
        self.settings = self.settings.model_copy(update={"run_launcher": "stock"})
        self.children = self._plan()

    def _spawn(self, child: Child) -> None:
        with (self._logs / f"{child.name}.log").open("ab") as output:
            child.process = subprocess.Popen(
                child.argv,
                cwd=ROOT,
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child.restarts.started(time.monotonic())

    def _await(self, children: list[Child], deadline: float) -> None:
        waiting = list(children)
        while waiting:
            for child in list(waiting):
                if child.process is not None and child.process.poll() is not None:
                    raise StartFailed(f"{child.name} ended during start-up:\n{self.tail(child)}")
                if child.ready():
                    waiting.remove(child)
                    self._say(f"{child.name} is up ({time.monotonic() - child.restarts.started_at:.1f} s)")
            if waiting and time.monotonic() > deadline:
                raise StartFailed(f"{waiting[0].name} did not answer in time:\n{self.tail(waiting[0])}")
            if waiting:
                time.sleep(0.05)

    def tail(self, child: Child, lines: int = 15) -> str:
        path = self._logs / f"{child.name}.log"
        text = path.read_text(encoding="utf-8", errors="replace")[-8000:] if path.exists() else ""
        return "\n".join([*text.splitlines()[-lines:], f"(from {path})"])

    def watch(self) -> None:
        """Restarts what ends, with an increasing delay, until `request_stop`."""
        while not self._stop.wait(0.25):
            if self._adopts:
                adopted(self.children)
            started = [self._tend(part) for part in self._parts()]
            if any(started):
                self._write_state()

    def _tend(self, part: Part) -> bool:
        """Whether it has started the part again."""
        now, restarts, ended = time.monotonic(), part.restarts, part.ended()
        if ended is None:
            restarts.steady(now)
        elif not restarts.restart_at:
            self._say(f"{part.name} {ended}; restarting in {restarts.plan(now):.1f} s")
        elif now >= restarts.restart_at:
            try:
                self._spawn(part) if isinstance(part, Child) else part.start_again()
                return True
            except (DatabaseNotStarted, OSError) as error:
                self._say(f"{part.name}: {error}; trying again in {restarts.plan(now):.1f} s")
        return False

    def request_stop(self) -> None:
        self._stop.set()

    def stop(self) -> None:
        """Stops every child: SIGTERM, then SIGKILL after `STOP_SECONDS`. Idempotent."""
        self._stop.set()
        platform_file(self.settings).unlink(missing_ok=True)
        alive = [c for c in reversed(self.children) if c.process is not None and c.process.poll() is None]
        for child in alive:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in alive:
            assert child.process is not None  # noqa: S101
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.process.wait(5)
        if self._adopts:
            spared = self._others | ({self.database.pid} if self.database else set())
            end_adopted(self.children, spared, STOP_SECONDS / 2)


@contextmanager
def stop_on_signals(supervisor: Supervisor) -> Iterator[None]:
    """Inside the block SIGTERM, SIGINT and SIGHUP end `watch`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    for number in before:
        signal.signal(number, lambda *_: supervisor.request_stop())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is not None:
        with suppress(ProcessLookupError):
            os.kill(child.process.pid, number)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  loopback address of our own child
            return int(response.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _listens(path: Path) -> bool:
    return launcher.listening(path)


def _create_dagster_tables(runtime: Runtime, environment: Mapping[str, str]) -> None:
    """Creates Dagster's tables in one process, before any other process uses them."""
    with psycopg.connect(runtime.dagster_url, connect_timeout=10, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (CREATE_LOCK,))
        found = connection.execute(
            "SELECT count(to_regclass(name)) FROM unnest(%s::text[]) name", (list(DAGSTER_TABLES),)
        )
        if found.fetchone() == (len(DAGSTER_TABLES),):
            return
        script = "from dagster import DagsterInstance\nwith DagsterInstance.get() as i: i.get_runs_count()"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=dict(environment),
            capture_output=True,
            timeout=120,
            check=False,
        )
    if done.returncode:
        raise StartFailed(f"Dagster's storage could not be set up:\n{done.stderr.decode(errors='replace')[-2000:]}")
