"""`penstock up`: starts the platform's processes, waits until each answers, restarts those that end, and stops all.

Only this process starts and stops the embedded server. Each child logs to a file in `<home>/logs`. The addresses and
present process ids are in `<home>/run/platform.json`.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from importlib import metadata

from core.database.embedded import DatabaseNotStarted
from core.heartbeats import HEARTBEAT_VARIABLE
from core.processes import ProcessName, ends_with_parent
from dagster_project import command_lines, dagster_tables, forked, instance, records
from dagster_project.dagster_tables import USES_DAGSTER_STORAGE
from dagster_project.hearings import Hearings
from dagster_project.parts import (
    FAILING,
    Child,
    EmbeddedDatabase,
    Part,
    StartFailed,
    Waiting,
    adopted,
    end_adopted,
)
from dagster_project.ports import chosen_port
from dagster_project.records import PartRecord, PlatformRecord
from dagster_project.runtime import Runtime
from dagster_project.warm import self_check
from dagster_project.warm.process import ROOT

STOP_SECONDS = 10.0
LONGEST_LOG = 16 << 20
"""A part's log, in bytes, from which a new start of the part sets it aside. One older log is kept."""
BUSY_SECONDS = 0.25
IDLE_SECONDS = 2.0
"""How long the supervisor sleeps, unless the kernel wakes it because a process has ended."""


class Supervisor:
    """Runs the processes of one platform. `on_event` receives a line of text for each event. `adopts`: this process has
    no child processes but the platform's and `others`, and adopts orphans among the platform's. `forks`: it has one
    thread and nothing open that a fork must not have, so that its first parts may begin as forks."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        webserver: bool = True,
        on_event: Callable[[str], None] = print,
        adopts: bool = False,
        forks: bool = False,
        others: Set[int] = frozenset(),
    ) -> None:
        self.runtime = runtime
        self.settings = runtime.settings
        self._say = on_event
        self._stop = threading.Event()
        self._waiting = Waiting()
        self._hearings = Hearings(runtime.database_url, on_event)
        self._since = time.time()
        self._ports = {
            name: chosen_port(name, host, port)
            for name, host, port in (
                ("gateway", self.settings.gateway_host, self.settings.gateway_port),
                ("dagster", self.settings.dagster_host, self.settings.dagster_port),
            )
            if name != "dagster" or webserver
        }
        self._logs = self.settings.home / "logs"
        self._webserver = webserver
        self._adopts, self._others = adopts, frozenset(others)
        self._forks, self._imported = forks, False
        self._launcher_problem: str | None = None
        self.children = self._plan()
        self.database = EmbeddedDatabase(runtime.server) if runtime.server else None
        if self.database:
            self.database.restarts.started(time.monotonic())
            self.database.restarts.answered = True

    @property
    def gateway_url(self) -> str:
        return f"http://{self.settings.gateway_host}:{self._ports['gateway']}"

    @property
    def dagster_url(self) -> str | None:
        return f"http://{self.settings.dagster_host}:{self._ports['dagster']}" if "dagster" in self._ports else None

    def _plan(self) -> list[Child]:
        dagster = (self.settings.dagster_host, self._ports["dagster"]) if self._webserver else None
        return command_lines.children(self.settings, self.gateway_url, dagster)

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
        """Starts all processes and returns when they answer, or when `request_stop` was called. If one fails, stops the
        others and raises `StartFailed`."""
        records.platform_file(self.settings).unlink(missing_ok=True)
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_launcher()
        instance.write(self.settings)
        deadline = time.monotonic() + timeout
        try:
            early = [c for c in self.children if c.name not in (*USES_DAGSTER_STORAGE, "warm")]
            late = [c for c in self.children if c.name in USES_DAGSTER_STORAGE and c.name != "code-server"]
            code = [
                c for c in self.children if c.name in ("code-server", "warm")
            ]  # the late ones load the code from it
            for child in early:
                self._spawn(child)
            dagster_tables.create(self.runtime, self.environment())
            self._import()
            for children in (code, late):
                for child in children:
                    self._spawn(child)
                self._await([*early, *children], deadline)
                early = []
        except BaseException:
            self.stop()
            raise
        finally:
            self._imported = False  # what is started later finds the code that is installed by then
        if not self._stop.is_set():
            self._write_state()

    def _import(self) -> None:
        """Imports what the parts need, so that they can be forked; if that fails, each will say why."""
        if self._forks and self.settings.run_launcher == "warm" and forked.alone():
            with suppress(Exception):
                forked.import_for_all(self.environment())
                self._imported = True

    def _parts(self) -> list[Part]:
        return [*([self.database] if self.database else []), *self.children]

    def _write_state(self) -> None:
        state = {
            "pid": os.getpid(),
            "process": name.stored() if (name := ProcessName.of(os.getpid())) else None,
            "gateway": self.gateway_url,
            "dagster": self.dagster_url,
            "home": str(self.settings.home),
            "run_launcher": self.settings.run_launcher,
            "launcher_problem": self._launcher_problem,
            "database": self.runtime.database_url if self.runtime.embedded else "external",
            "processes": {part.name: part.pid for part in self._parts() if part.pid},
        }
        records.write(records.platform_file(self.settings), state)

    def _record(self) -> None:
        """Writes the state of each part, if it is another one than before, or if the file says something else."""
        supervisor, now = ProcessName.of(os.getpid()), time.monotonic()
        if supervisor is None:  # a system that tells nothing of its processes
            return
        record = PlatformRecord(supervisor, self._since, tuple(self._recorded(part, now) for part in self._parts()))
        if record != records.read_record(self.settings):
            with suppress(OSError):  # a full disk or a lost folder ends nothing that runs; the next round tries again
                records.write_record(self.settings, record)

    def _recorded(self, part: Part, now: float) -> PartRecord:
        ended, restarts = part.ended(), part.restarts
        process = ProcessName.of(part.pid) if part.pid and ended is None else None
        state = restarts.state(now, ended is not None)
        repeated = max(0, restarts.starts - 1)
        detail = ended or restarts.hearing.detail()
        return PartRecord(part.name, process, state, restarts.since, repeated, detail)

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
        log = self._logs / f"{child.name}.log"
        if log.exists() and log.stat().st_size > LONGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        # The kernel means the starting thread when it says parent, and only the first thread lives as long as we do.
        dies = threading.current_thread() is threading.main_thread()
        environment = {**self.environment(), **({HEARTBEAT_VARIABLE: str(child.heartbeat)} if child.heartbeat else {})}
        with log.open("ab") as output:
            if child.forks and self._imported and forked.alone():
                module, arguments = child.argv[2], child.argv[3:]
                child.process = forked.start(child.name, module, arguments, environment, output.fileno())
            else:
                child.process = subprocess.Popen(
                    child.argv,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=ends_with_parent() if dies else None,  # noqa: PLW1509  it only calls into the kernel
                )
        child.restarts.started(time.monotonic())
        self._record()

    def _await(self, children: list[Child], deadline: float) -> None:
        waiting = list(children)
        while waiting and not self._stop.is_set():
            for child in list(waiting):
                if ended := child.ended():
                    raise StartFailed(f"{child.name} {ended} during start-up:\n{self.tail(child)}")
                if child.ready():
                    waiting.remove(child)
                    child.restarts.answered = True
                    self._say(f"{child.name} is up ({time.monotonic() - child.restarts.started_at:.1f} s)")
            if waiting and time.monotonic() > deadline:
                raise StartFailed(f"{waiting[0].name} did not answer in time:\n{self.tail(waiting[0])}")
            if waiting:
                time.sleep(0.05)

    def tail(self, part: Part, lines: int = 15) -> str:
        """The last lines of a part's log."""
        server = self.runtime.server
        path = server.log if server and isinstance(part, EmbeddedDatabase) else self._logs / f"{part.name}.log"
        text = path.read_text(encoding="utf-8", errors="replace")[-8000:] if path.exists() else ""
        return "\n".join([*text.splitlines()[-lines:], f"(from {path})"])

    def watch(self) -> None:
        """Restarts what ends, with an increasing delay, until `request_stop`."""
        while not self._stop.is_set():
            if self._adopts:
                adopted(self.children)
            self._add_wanted()
            now = time.monotonic()
            started = [self._tend(part, now) for part in self._parts()]
            self._hearings.hold(self._parts(), now)
            if any(started):
                self._write_state()
            self._record()
            quiet = all(part.restarts.answered and part.ended() is None for part in self._parts())
            alive = [part.pid for part in self._parts() if part.ended() is None]
            self._waiting.wait(IDLE_SECONDS if quiet else BUSY_SECONDS, alive)

    def _add_wanted(self) -> None:
        """Starts the node of durable objects when the first one is called."""
        if self.settings.objects_wanted.exists() and all(child.name != "object-node" for child in self.children):
            self.children.append(command_lines.object_node(self.settings))
            self._spawn(self.children[-1])
            self._write_state()

    def _tend(self, part: Part, now: float) -> bool:
        """Whether it has started the part again."""
        restarts, ended = part.restarts, part.ended()
        if ended is None:
            if not restarts.hearing.silences:
                restarts.steady(now)
            if not restarts.answered and part.ready():
                restarts.answered = True
                again = " again" if restarts.starts > 1 else ""
                self._say(f"{part.name} is up{again} ({now - restarts.started_at:.1f} s)")
        elif not restarts.restart_at:
            self._plan_restart(part, f"{part.name} {ended}; restarting", now)
        elif now >= restarts.restart_at:
            try:
                self._spawn(part) if isinstance(part, Child) else part.start_again()
                return True
            except (DatabaseNotStarted, OSError) as error:
                self._plan_restart(part, f"{part.name}: {error}; trying again", now)
        return False

    def _plan_restart(self, part: Part, what: str, now: float) -> None:
        self._say(f"{what} in {part.restarts.plan(now):.1f} s")
        if part.restarts.failures == FAILING:
            self._say(
                f"{part.name} keeps failing: {FAILING} times in a row. It is tried again after growing delays, and "
                f"`penstock status` shows how it does. The end of its log:\n{self.tail(part)}"
            )

    def request_stop(self) -> None:
        self._stop.set()
        self._waiting.wake()

    def hasten(self) -> None:
        """Starts now what waits to be started again."""
        for part in self._parts():
            part.restarts.hasten(time.monotonic())
        self._waiting.wake()

    def stop(self) -> None:
        """Stops every child: SIGTERM, then SIGKILL after its time of grace. Idempotent."""
        self.request_stop()
        records.platform_file(self.settings).unlink(missing_ok=True)
        alive = [c for c in reversed(self.children) if c.process is not None and c.process.poll() is None]
        for child in alive:
            _signal(child, signal.SIGTERM)
            _signal(child, signal.SIGCONT)  # one that is stopped gets no other
        if self.database is not None:
            self.database.go_on()
        began = time.monotonic()
        for child in sorted(alive, key=lambda child: child.grace):
            assert child.process is not None  # noqa: S101
            try:
                child.process.wait(max(0.1, began + child.grace - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.process.wait(5)
        if self._adopts:
            spared = self._others | ({self.database.pid} if self.database else set())
            end_adopted(self.children, spared, STOP_SECONDS / 2)
        records.forget(self.settings)


@contextmanager
def stop_on_signals(supervisor: Supervisor) -> Iterator[None]:
    """Inside the block SIGTERM, SIGINT and SIGHUP end `watch`; SIGUSR1 starts at once what waits for its restart."""
    handlers: dict[signal.Signals, Callable[[], None]] = {
        **dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), supervisor.request_stop),
        signal.SIGUSR1: supervisor.hasten,
    }
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        signal.signal(number, lambda *_, handler=handler: handler())
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is not None:
        child.process.send_signal(number)
