"""The input of an attempt at a task, its callbacks, and the state that its steps share."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from assets.executions.attempt.findings import Findings, plain
from assets.executions.attempt.journal import Journal, Store, Unkept
from assets.executions.attempt.named_places import named_places
from assets.executions.attempt.planning import Planning
from assets.executions.engines.auto import AutoEngine
from assets.executions.engines.protocol import Candidate, Engine, SearchIndex, Spoken
from assets.executions.engines.search.files import EditableFiles
from assets.executions.engines.search.native.engine import NativeCandidate
from assets.executions.engines.search.native.files import ProgramFiles
from assets.executions.engines.search.native.syntaxes import LANGUAGES as SEARCHED
from assets.executions.repository.checkout import Checkout
from assets.executions.repository.environment import (
    has_lock,
    installed_in,
    open_environment,
    packages_of,
    remember_choice,
)
from assets.executions.repository.installed import Installed
from assets.executions.repository.languages import chosen_language, language_packages, open_language
from assets.executions.repository.services import SHARED, services_of
from assets.executions.repository.test_command import TestCommand
from assets.executions.trial.baseline import Allowance
from assets.executions.trial.native_worker import NativeWorker
from assets.executions.trial.worker_client import PytestWorker, Spare, Worker, WorkerDied
from core.work import Plan, TaskContext, TaskText
from sandbox.environments.languages.prepare import LanguageEnvironment
from sandbox.environments.prepare import Options, RegistryUnreachable, TestEnvironment
from sandbox.environments.services import Services
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Limits, Sandbox

POLL_SECONDS = 0.2
Record = Callable[[str, dict[str, Any]], object]
"""Appends an entry of a kind to the trajectory, before the next action starts."""


class OtherLanguage(Exception):
    """The tests are in a language in which the engine cannot repair programs; the message names one that can."""


class Stopped(Exception):
    """The task was cancelled, or its lease was lost."""


@dataclass(frozen=True)
class AttemptInput:
    """The task as it was reported, the outputs of earlier stages, and the files. `test_command` takes precedence over
    `penstock.toml`; `search` finds places in the repository for an engine that wants them; `environments` says how its
    environment is made, None to run its tests with Penstock's own packages."""

    task: TaskText
    context: TaskContext
    plan: Plan
    checkout: Checkout
    test_command: str | None = None
    search: SearchIndex | None = None
    environments: Options | None = None


def quiet(kind: str, body: dict[str, Any]) -> None:
    """Records nothing."""


def _unrevised(plan: Plan) -> None:
    """Stores nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Callbacks:
    """`revise` is called with each new revision of the plan; `should_stop` is polled several times a second. `store`
    keeps the trajectory in place of `record`, so that an attempt that is run again goes on where it was."""

    record: Record = quiet
    revise: Callable[[Plan], None] = _unrevised
    should_stop: Callable[[], bool] = _never
    store: Store | None = None


class AttemptState:
    """The state of a running attempt. `command`, set by `find_tests`, runs the suite; `black_box` is a command of which
    only the exit code is known; `extra` files are written into every worker; `derived` is the test file made from
    the task's text, if any, which is added to the patch; `reserve` seconds are held back for verification."""

    def __init__(self, given: AttemptInput, engine: Engine, sandbox: Sandbox, callbacks: Callbacks) -> None:
        self.task, self.context, self.checkout = given.task, given.context, given.checkout
        self.search = given.search
        self.engine, self.sandbox = engine, sandbox
        self.journal = Journal(callbacks.store or Unkept(callbacks.record))
        self.should_stop = _throttled(callbacks.should_stop)
        self.planning = Planning(given.plan, callbacks.revise, symbol_at=self._symbol_at, is_program=self._is_program)
        settings = given.checkout.settings
        self.test_command = given.test_command or settings.test
        self.budget = settings.narrowed(given.plan.budget)
        self.files = EditableFiles(given.checkout.root, settings, self.test_command)
        self.findings = Findings(sandbox.name, engine.name, self.files, self.journal.now)
        self.findings.derived_suffices = settings.derived_tests == "pass"
        self.findings.notes.extend(given.checkout.notes)
        self.reserve = 2.0
        # No process of this attempt runs for longer than its budget and 30 s.
        wall = self.budget.seconds + 30
        self.limits = Limits(wall_seconds=wall, cpu_seconds=2 * wall)
        if settings.limits.memory_mb is not None:
            memory = min(self.limits.memory_bytes, settings.limits.memory_mb << 20)
            self.limits = replace(self.limits, memory_bytes=memory)
        self.black_box: TestCommand | None = None
        self.command: TestCommand
        self.extra: dict[str, bytes] = {}
        self.derived: dict[str, str] = {}
        self.spoken: list[Spoken] = []
        """What people have said since the attempt began."""
        self.seen = 0
        """The number, in the trajectory, of what the latest run of the suite on the unchanged commit showed."""
        self.lacking = ""
        """What the task's text lacks for a test to be derived from it, as a question; empty when nothing is known."""
        self.environment: TestEnvironment | None = None
        self.native: LanguageEnvironment | None = None
        """Set when the tests are in another language than Python."""
        self.services: Services | None = None
        self._options = given.environments
        self._workers: list[Worker] = []
        self._spare: Spare | None = None

    def close(self) -> None:
        """Ends all its workers."""
        for worker in self._workers:
            worker.close()
        if self._spare is not None:
            self._spare.close()
        if self.environment is not None:
            self.environment.close()
        if self.native is not None:
            self.native.close()
        if self.services is not None:
            self.services.close()

    def open_environment(self, *, any_language: bool = False) -> None:
        """Makes the environment that the tests run in, with its services; its time is not the budget's. With
        `any_language`, also where the engine cannot repair programs in theirs. Raises `EnvironmentRefused` and
        `OtherLanguage`."""
        self._open_packages(any_language)
        if self._options is None:
            if self.checkout.settings.environment.services.declared:
                self.findings.notes.append(SHARED)
            return
        with self._apart_from_budget():
            self.services = services_of(self.checkout, self.sandbox, self._options, self._step)
        self.findings.services = self.services.labels
        self.findings.notes.extend(self.services.notes)

    def _open_packages(self, any_language: bool) -> None:
        if self._options is None or self._open_native(self._options, any_language):
            return
        try:
            environment, notes = self._made_environment(self._options)
        except RegistryUnreachable:
            raise
        except EnvironmentRefused as refused:
            older = self._older_options()
            if older is None:
                raise
            try:
                environment, notes = self._made_environment(older)
            except EnvironmentRefused:
                raise refused from None
            notes = (f"{refused} So versions of {older.before[:10]}, the commit's date, are used.", *notes)
            remember_choice(self.checkout, older)
        self.findings.notes.extend(notes)
        self._use(environment)

    def _open_native(self, options: Options, any_language: bool) -> bool:
        """Makes the environment of another language, if the tests to run are in one."""
        chosen, notes = chosen_language(self.checkout, self.test_command)
        self.findings.notes.extend(notes)
        if chosen is None:
            return False
        language = chosen[0]
        if not (any_language or self.engine.any_language or language.name in SEARCHED):
            raise OtherLanguage(
                f"The tests are in {language.title}, and the engine `{self.engine.name}` repairs Python, Go, "
                "JavaScript and TypeScript: use the engine `model` (`--engine model`, or the setting `engine`). No "
                "test was run."
            )
        with self._apart_from_budget():
            self.native = open_language(chosen, self.sandbox, options, self._step)
        self.findings.notes.extend(self.native.entry.facts.get("notes", ()))
        self.findings.packages = language_packages(self.native)
        return True

    def choose_engine(self) -> None:
        """Chooses the engine where that is left to rules, and records why. Raises what opening it raises."""
        if not isinstance(self.engine, AutoEngine):
            return
        language = self.native.language.name if self.native is not None else "python"
        self.findings.chosen = self.engine.choose(
            language, self.budget.seconds, searchable=self._searchable, derived=bool(self.derived)
        )
        self.findings.engine = self.engine.name
        self.record("engine", {"engine": self.engine.name, "why": self.findings.chosen})

    def open_older_environment(self) -> TestEnvironment | None:
        """The environment with versions of the commit's date, which `keep_older` takes; None when there is none. The
        caller closes it otherwise."""
        older = self._older_options() if self.environment is not None else None
        if older is None:
            return None
        try:
            return self._made_environment(older)[0]
        except EnvironmentRefused:
            return None

    def keep_older(self, why: str) -> None:
        """Makes the present environment, one with older versions, that of all tasks on these declarations."""
        older = self._older_options()
        if older is not None:
            remember_choice(self.checkout, older)
        self.findings.notes.append(why)

    def exchange(self, environment: TestEnvironment | None) -> TestEnvironment | None:
        """Uses another environment for workers that are opened from now on; returns the present one."""
        present = self.environment
        self._use(environment)
        return present

    def _use(self, environment: TestEnvironment | None) -> None:
        self.environment = environment
        self.findings.packages = packages_of(environment) if environment is not None else None

    def _made_environment(self, options: Options) -> tuple[TestEnvironment | None, tuple[str, ...]]:
        with self._apart_from_budget():
            return open_environment(self.checkout, self.sandbox, options, self._step)

    def _step(self, text: str) -> None:
        self.record("environment", {"step": text})

    @contextlib.contextmanager
    def _apart_from_budget(self) -> Iterator[None]:
        """Counts the time of what is done inside as the environment's, not as the budget's."""
        began = time.monotonic()
        try:
            with self.journal.paused():
                yield
        finally:
            self.findings.add("environment", time.monotonic() - began)

    def _older_options(self) -> Options | None:
        """To make the environment with versions of the commit's date; None where a lock file has the versions."""
        if self._options is None or not self.checkout.committed or has_lock(self.checkout, self._options):
            return None
        return replace(self._options, before=self.checkout.committed)

    @property
    def installed(self) -> Installed | None:
        """What the tests are run with; None for what is beside Penstock."""
        return installed_in(self.environment)

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.budget.seconds - self.journal.now()

    @property
    def kept(self) -> bool:
        """Whether outcomes are kept, so that the attempt can be resumed."""
        return self.journal.keeps

    def record(self, kind: str, body: dict[str, Any]) -> int:
        """Appends an entry to the trajectory, before the next action starts, and returns its number."""
        return self.journal.record(kind, body)

    @property
    def _searchable(self) -> bool:
        """Whether the engine `search` repairs programs in the language of the tests."""
        return self.native is None or self.native.language.name in SEARCHED

    def _is_program(self, path: str) -> bool:
        return self.native is not None or path in self.files

    def _symbol_at(self, path: str, line: int) -> str:
        source = self.files.get(path)
        return source.symbol_at(line) if source is not None else ""

    def check(self) -> None:
        """Raises `Stopped` once `should_stop` returns true."""
        if self.should_stop():
            raise Stopped("the task was cancelled, or its lease was lost")

    def listen(self) -> list[Spoken]:
        """Hears what people have said, revises the plan by it, and returns all of it so far."""
        for remark in self.journal.hear():
            likely = [one.path for one in self.planning.plan.hypotheses if one.path]
            likely += [one.path for one in self.findings.suspicious]
            paths, texts = (self.files, {}) if self.native is None else (self._program, self._program)
            places = named_places(remark.text, paths, self.files, dict.fromkeys(likely), texts)
            self.spoken.append(Spoken(remark.author, remark.text, places))
            self.planning.remarked(self.journal.last, remark.author, remark.text, places)
        return self.spoken

    @property
    def issue(self) -> str:
        """The task's text with what people have said since, the newest last."""
        said = (f"{one.author} says:\n\n{one.text}" for one in self.spoken)
        return "\n\n".join((self.task.text, *said))

    @cached_property
    def _program(self) -> ProgramFiles:
        """The files that a patch may change of a program in another language."""
        suffixes = self.native.language.suffixes if self.native is not None else ()
        return ProgramFiles(self.checkout.root, suffixes, self.files.refusal)

    @property
    def spent(self) -> str | None:
        """Which budget is spent, as text; None while more candidates may be tried."""
        if self.findings.tried >= self.budget.candidates:
            return f"the budget of {self.budget.candidates} candidates is spent"
        if self.left < self.reserve:
            return self.time_is_spent
        return None

    @property
    def time_is_spent(self) -> str:
        return f"the budget of {self.budget.seconds:g} s is spent"

    def open_worker(self) -> Worker:
        """A worker on a clean copy of the checkout, after `penstock.toml`'s set-up commands. Raises `WorkerDied`."""
        worker = self._new_worker()
        self._workers.append(worker)
        generated = self.environment.generated() if self.environment is not None else {}
        for path, file in generated.items():
            worker.session.write(path, file.read_bytes())
        for path, content in self.extra.items():
            worker.session.write(path, content)
        for line in self.checkout.settings.setup:
            limits = self.limits.with_wall(max(5.0, self.left / 4))
            done = worker.session.run(["/bin/sh", "-c", line], limits=limits, services=True)
            if not done.ok:
                output = (done.stderr or done.stdout)[-300:].decode(errors="replace").strip()
                raise WorkerDied(f"set-up command {line!r} failed ({done.limit or done.exit_code}): {output}")
        return worker

    def _new_worker(self) -> Worker:
        if self.native is not None:
            return NativeWorker(self.sandbox, self.checkout.root, self.native, self.limits, self.services)
        runtime = self.environment.runtime if self.environment is not None else None
        return PytestWorker(self.sandbox, self.checkout.root, self.command, self.limits, runtime, self.services)

    def prepare_worker(self) -> None:
        """Opens a worker in the background; one that was prepared earlier is closed."""
        if self._spare is not None:
            self._spare.close()
        self._spare = Spare(self.open_worker)

    def take_worker(self) -> Worker:
        """The worker that was prepared, else a new one. Raises `WorkerDied`."""
        spare, self._spare = self._spare, None
        return spare.take() if spare is not None else self.open_worker()

    def allowance(self, seconds: float) -> Allowance:
        """The time limits of a run of the suite that may take `seconds` in all."""
        wall = min(4.0, max(1.3, 0.05 * self.budget.seconds))
        return Allowance(max(1.0, seconds), cpu=min(1.0, wall), wall=wall, deferred=0.25 * self.budget.seconds)

    def describe(self, candidate: Candidate) -> str:
        """A candidate in one line, for the trajectory."""
        if isinstance(candidate, NativeCandidate) and candidate.pieces:
            edit = candidate.pieces[0]
            old = next((one.before or "" for one in candidate.whole if one.path == edit.path), "")[
                edit.start : edit.end
            ]
        elif not candidate.edits:
            return f"{plain(candidate.operator)}: {', '.join(change.path for change in candidate.whole)}"
        else:
            edit = candidate.edits[0]
            old = self.files[edit.path].text[edit.start : edit.end]
        old = old.strip()
        change = f"{old[:80]!r} -> {edit.text.strip()[:80]!r}"
        return f"{candidate.path}:{candidate.line} {plain(candidate.operator)}: {change}"


def _throttled(should_stop: Callable[[], bool]) -> Callable[[], bool]:
    """Calls `should_stop` at most every `POLL_SECONDS`, since it may query a database, and no more once it is true."""
    called_at = 0.0
    answer = False

    def stop() -> bool:
        nonlocal called_at, answer
        if not answer and time.monotonic() - called_at >= POLL_SECONDS:
            answer, called_at = should_stop(), time.monotonic()
        return answer

    return stop
