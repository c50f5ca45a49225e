"""The suite on the unchanged commit: outcomes, failures, coverage by test, and which tests are flaky.

One start of the worker does it all, and the same worker then tries candidates.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from assets.executions.repository.test_command import TestCommand, number_of_tests
from assets.executions.trial.raised import Around, Raised, around_of, raised_of
from assets.executions.trial.worker_client import Worker
from core.work import EnvironmentFailure, Outcome, TestRun

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


@dataclass(frozen=True)
class Failure:
    """One failure of one test. `frames` are (path, line, function) inside the repository, innermost last;
    `compare` is the failed comparison as (operator, left, right, left type, right type)."""

    type: str
    message: str
    frames: tuple[tuple[str, int, str], ...] = ()
    when: str = "call"
    compare: tuple[str, ...] = ()
    cause: str = ""
    raised: tuple[Raised, ...] = ()
    """The exception and its causes, outermost first; empty for a hang, a crash or a repeated run."""
    around: Around = field(default_factory=Around)

    @property
    def short(self) -> str:
        first = self.message.strip().split("\n", 1)[0][:300]
        return f"{self.type}: {first}" if first else self.type

    @property
    def signature(self) -> str:
        where = self.frames[-1] if self.frames else ("", 0, "")
        return f"{self.type}|{_ADDRESS.sub('0x', self.message)[:400]}|{where[0]}|{where[2]}"


@dataclass(frozen=True)
class Baseline:
    """What the suite gave on the unchanged commit."""

    run: TestRun
    tests: tuple[str, ...]
    failures: dict[str, tuple[Failure, ...]]
    seconds: dict[str, float]
    places: tuple[tuple[str, int], ...]
    """(path, line) of every statement that was executed."""
    hits: dict[str, tuple[int, ...]]
    """The places that each test executed, as indices into `places`."""
    imported: frozenset[int]
    """The places that importing the tests executed, as indices into `places`."""
    spawned: frozenset[str]
    """Tests that started other processes, which coverage and in-place edits do not reach."""
    uncollected: frozenset[str]
    """Ids of collection errors."""
    flaky: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    """Ids of black-box commands: compared before and after a patch, but never targets."""
    environment: tuple[EnvironmentFailure, ...] = ()
    """What tests need and is missing here. Their outcome is unknown: they neither reproduce a problem nor can a patch
    be credited or blamed for them."""

    def with_outcome(self, command: str, outcome: Outcome, output: str) -> "Baseline":
        """With the outcome of a black-box command as one more test."""
        return replace(self, run=with_outcome(self.run, command, outcome, output), commands=(*self.commands, command))

    @property
    def apart(self) -> frozenset[str]:
        """Tests that fail for their environment."""
        return frozenset(test for failure in self.environment for test in failure.tests)

    def without(self, missing: Sequence[EnvironmentFailure]) -> "Baseline":
        """With the tests of these failures set apart: named in `environment`, their outcome unknown."""
        if not missing:
            return self
        apart = replace(self, environment=(*self.environment, *missing))
        outcomes = {t: Outcome.UNKNOWN if t in apart.apart else o for t, o in self.run.outcomes.items()}
        return replace(apart, run=self.run.model_copy(update={"outcomes": outcomes}))

    @property
    def failing(self) -> list[str]:
        """Failing tests in the order of the suite, also those that were stopped before their end, which may hang;
        without flaky ones and black-box commands."""
        failed = (self.run.failing() | set(self.run.stopped)) - set(self.flaky) - set(self.commands) - self.apart
        ordered = [test for test in self.tests if test in failed]
        return ordered + sorted(failed - set(ordered))

    def covering(self, places: Collection[tuple[str, int]]) -> frozenset[str]:
        """Tests that execute one of these (path, line), as far as they were run, and other cases of the same test
        functions. Places that importing the tests executes are reached by every test."""
        wanted = {number for number, place in enumerate(self.places) if place in places}
        if wanted & self.imported:
            return frozenset(self.run.outcomes)
        functions = {_function(test) for test, hits in self.hits.items() if not wanted.isdisjoint(hits)}
        return frozenset(test for test in self.run.outcomes if _function(test) in functions)


def _function(test: str) -> str:
    return test.split("[", 1)[0]


def with_outcome(run: TestRun, test: str, outcome: Outcome, output: str) -> TestRun:
    """A run with one more outcome; `output` is its failure if it failed."""
    failed = outcome is Outcome.FAILED
    return run.model_copy(
        update={
            "outcomes": {**run.outcomes, test: outcome},
            "failures": {**run.failures, test: output} if failed else run.failures,
            "exit_code": int(failed) if run.exit_code == 0 else run.exit_code,
        }
    )


_TRACE_LINE = re.compile(r'File "(?:/workspace/)?([^"/][^"\n]*\.py)", line (\d+)(?:, in (\w+))?')


def failure_of(raw: dict[str, Any]) -> Failure:
    """Parses a worker's failure; tracebacks of other processes that the message quotes add frames."""
    message = str(raw.get("message", ""))
    quoted = tuple((p, int(n), f or "") for p, n, f in _TRACE_LINE.findall(message.replace("\\n", "\n"))[-20:])
    return Failure(
        type=str(raw.get("type", "Error"))[:200],
        message=message[:4000],
        frames=(*((str(p), int(n), str(f)) for p, n, f in raw.get("frames", ())), *quoted),
        when=str(raw.get("when", "call")),
        compare=tuple(str(part) for part in raw.get("compare") or ()),
        cause=str(raw.get("cause", ""))[:500],
        raised=raised_of(raw.get("raised")),
        around=around_of(raw.get("around")),
    )


def outcomes_of(answer: dict[str, Any]) -> dict[str, Outcome]:
    """A worker's outcomes by test: a collection error is an error with an id of its own, and a test that was stopped or
    never started is unknown."""
    mapped = {str(test): Outcome(outcome) for test, outcome in answer.get("outcomes", {}).items()}
    for test in answer.get("unfinished", ()):
        mapped[str(test)] = Outcome.UNKNOWN
    for test in answer.get("errors", {}):
        mapped[str(test)] = Outcome.ERROR
    if answer.get("broken"):
        mapped[broken_id(answer["broken"])] = Outcome.ERROR
    return mapped


def run_of(answer: dict[str, Any], command: tuple[str, ...], seconds: float, took: Collection[str] = ()) -> TestRun:
    """A worker's answer as a run of `command` that took `seconds`; keeps the seconds of the tests `took`."""
    outcomes = outcomes_of(answer)
    unknown = any(outcome is Outcome.UNKNOWN for outcome in outcomes.values())
    failed = any(outcome in (Outcome.FAILED, Outcome.ERROR) for outcome in outcomes.values())
    broken = answer.get("broken")
    durations = answer.get("seconds", {})
    return TestRun(
        command=command,
        outcomes=outcomes,
        failures={test: found[0].short for test, found in failures_of(answer).items() if found},
        stopped={str(test): round(float(s), 3) for test, s in answer.get("stopped", {}).items()},
        took={test: round(float(durations[test]), 4) for test in took if test in durations},
        seconds=round(seconds, 4),
        exit_code=None if unknown else int(failed),
        output_tail=str(broken["message"])[-2000:] if broken else "",
        complete=not unknown and not answer.get("ended"),
    )


def failures_of(answer: dict[str, Any]) -> dict[str, tuple[Failure, ...]]:
    found = {str(t): tuple(failure_of(f) for f in raw) for t, raw in answer.get("failures", {}).items()}
    for test, raw in answer.get("errors", {}).items():
        found[str(test)] = (failure_of(raw),)
    if answer.get("broken"):
        found[broken_id(answer["broken"])] = (failure_of(answer["broken"]),)
    return found


def broken_id(raw: dict[str, Any]) -> str:
    """The id of a broken configuration: the conftest.py in which it broke, else `collection`."""
    for path, _, _ in reversed(raw.get("frames", [])):
        if str(path).endswith("conftest.py"):
            return str(path)
    return "collection"


@dataclass(frozen=True)
class Allowance:
    """Time limits of a run in seconds: `seconds` in all; `cpu` of processor time and `wall` for each test at first;
    `deferred` for all repeats of tests that were stopped, each with a longer limit."""

    seconds: float
    cpu: float = 1.0
    wall: float = 4.0
    deferred: float = 20.0

    def within(self, seconds: float) -> "Allowance":
        """The same limits with less time in all, but at least one second."""
        seconds = max(1.0, min(self.seconds, seconds))
        return replace(self, seconds=seconds, deferred=min(self.deferred, seconds))

    def as_fields(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "cpu": min(self.cpu, self.seconds),
            "wall": min(self.wall, self.seconds),
            "deferred": self.deferred,
        }


def measure(worker: Worker, command: TestCommand, allowance: Allowance) -> Baseline:
    """Collects and runs the suite, and failing tests once more to find flaky ones. Raises `WorkerDied`."""
    opened = worker.ask("open", allowance.seconds + 5, coverage=True, instrument_seconds=allowance.seconds / 4)
    notes: list[str] = []
    answer: dict[str, Any] = {"outcomes": {}, "failures": {}, "seconds": {}, "unfinished": []}
    chosen = opened["unittest"] if command.runner == "unittest" else None
    tests = tuple(chosen if chosen is not None else opened["tests"])
    left = max(1.0, allowance.seconds - float(opened["seconds"]))
    if tests:
        fields = {**allowance.as_fields(), "seconds": left}
        answer = worker.ask("run", left + 15, select=chosen, **fields)
    merged = {**answer, "errors": opened["errors"], "broken": opened["broken"]}
    flaky, again = _flaky(worker, answer, allowance)
    if flaky:
        shown = ", ".join(flaky[:3])
        notes.append(f"{number_of_tests(flaky)} failed once and passed once on the same code; left out: {shown}.")
    if opened.get("native_async"):
        notes.append("No plugin for coroutine tests is installed; coroutine test functions were run with asyncio.run.")
    spent = sum(answer["seconds"].values()) + float(opened["seconds"])
    run = run_of(merged, command.shown, spent)
    notes += unknown_notes(run)
    if answer.get("ended") and Outcome.UNKNOWN not in run.outcomes.values():
        notes.append(
            "The time limit ended the tests: those without a result by then are unknown. A larger budget helps."
        )
    broken = opened["broken"]
    files = answer.get("files", [])
    return Baseline(
        run=run,
        tests=tests,
        failures=failures_of(merged),
        seconds={t: min(float(s), again.get(t, float(s))) for t, s in answer["seconds"].items()},
        places=tuple((files[f], line) for f, line in answer.get("places", ())),
        hits={t: tuple(h) for t, h in answer.get("hits", {}).items()},
        imported=frozenset(answer.get("imported", ())),
        spawned=frozenset(answer.get("spawned", ())),
        uncollected=frozenset([*opened["errors"], *([broken_id(broken)] if broken else [])]),
        flaky=tuple(flaky),
        notes=tuple(notes),
    )


def unknown_notes(run: TestRun) -> list[str]:
    """Sentences about tests that did not run to their end, with how to give them time."""
    notes = []
    if run.stopped:
        longest = max(run.stopped.values())
        notes.append(
            f"{number_of_tests(run.stopped)} did not end within the time there was (stopped after {longest:.0f} s or "
            f"less): {', '.join(list(run.stopped)[:3])}. A larger budget gives them more."
        )
    never = [t for t, o in run.outcomes.items() if o is Outcome.UNKNOWN and t not in run.stopped]
    if never:
        notes.append(
            f"{number_of_tests(never)} could not be started within the time there was: {', '.join(never[:3])}."
        )
    return notes


def _flaky(worker: Worker, answer: dict[str, Any], allowance: Allowance) -> tuple[list[str], dict[str, float]]:
    """Failing tests that pass when they are run again (hung ones are not run again), and the seconds of each test in
    that second run: in the first run, the first failure also pays for imports that only reports need."""
    failed = [t for t, o in answer["outcomes"].items() if o in ("failed", "error")][:200]
    if not failed:
        return [], {}
    again = worker.ask("run", allowance.seconds + 15, select=failed, **allowance.as_fields())
    flaky = [t for t in failed if again["outcomes"].get(t) == "passed"]
    return flaky, {t: float(s) for t, s in again["seconds"].items()}
