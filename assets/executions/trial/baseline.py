"""The suite on the unchanged commit: outcomes, failures, coverage by test, and which tests are flaky.

One start of the worker does it all, and the same worker then tries candidates.
"""

import re
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
    def failing(self) -> list[str]:
        """Failing tests in the order of the suite, without flaky ones and black-box commands."""
        failed = self.run.failing() - set(self.flaky) - set(self.commands)
        ordered = [test for test in self.tests if test in failed]
        return ordered + sorted(failed - set(ordered))


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
    """A worker's outcomes by test: a hang counts as failed, a collection error as an error with an id of its own."""
    mapped: dict[str, Outcome] = {}
    for test, outcome in answer.get("outcomes", {}).items():
        mapped[str(test)] = Outcome.FAILED if outcome == "hang" else Outcome(outcome)
    for test in answer.get("errors", {}):
        mapped[str(test)] = Outcome.ERROR
    if answer.get("broken"):
        mapped[broken_id(answer["broken"])] = Outcome.ERROR
    return mapped


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
    """Time limits of a run in seconds: in all, `short` for each test at first, `long` for each slow test when it is
    run again, and `deferred` for all these repeats together."""

    seconds: float
    short: float = 2.0
    long: float = 10.0
    deferred: float = 12.0

    def as_fields(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "short": min(self.short, self.seconds),
            "long": min(self.long, self.seconds),
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
    outcomes = outcomes_of(merged)
    failures = failures_of(merged)
    hung = [t for t, o in answer["outcomes"].items() if o == "hang"]
    if hung:
        notes.append(f"{number_of_tests(hung)} did not end in time and counted as failing: {', '.join(hung[:3])}.")
    flaky, again = _flaky(worker, answer, allowance)
    if flaky:
        shown = ", ".join(flaky[:3])
        notes.append(f"{number_of_tests(flaky)} failed once and passed once on the same code; left out: {shown}.")
    unfinished = list(answer.get("unfinished", ()))
    if unfinished:
        notes.append(f"{number_of_tests(unfinished)} of the suite could not be run within {allowance.seconds:.0f} s.")
    if opened.get("native_async"):
        notes.append("No plugin for coroutine tests is installed; coroutine test functions were run with asyncio.run.")
    spent = sum(answer["seconds"].values()) + float(opened["seconds"])
    broken = opened["broken"]
    run = TestRun(
        command=command.shown,
        outcomes=outcomes,
        failures={test: found[0].short for test, found in failures.items() if found},
        seconds=round(spent, 4),
        exit_code=None if unfinished else int(any(o in (Outcome.FAILED, Outcome.ERROR) for o in outcomes.values())),
        limit="wall" if unfinished else None,
        output_tail=str(broken["message"])[-2000:] if broken else "",
        complete=not unfinished,
    )
    files = answer.get("files", [])
    return Baseline(
        run=run,
        tests=tests,
        failures=failures,
        seconds={t: min(float(s), again.get(t, float(s))) for t, s in answer["seconds"].items()},
        places=tuple((files[f], line) for f, line in answer.get("places", ())),
        hits={t: tuple(h) for t, h in answer.get("hits", {}).items()},
        imported=frozenset(answer.get("imported", ())),
        spawned=frozenset(answer.get("spawned", ())),
        uncollected=frozenset([*opened["errors"], *([broken_id(broken)] if broken else [])]),
        flaky=tuple(flaky),
        notes=tuple(notes),
    )


def _flaky(worker: Worker, answer: dict[str, Any], allowance: Allowance) -> tuple[list[str], dict[str, float]]:
    """Failing tests that pass when they are run again (hung ones are not run again), and the seconds of each test in
    that second run: in the first run, the first failure also pays for imports that only reports need."""
    failed = [t for t, o in answer["outcomes"].items() if o in ("failed", "error")][:200]
    if not failed:
        return [], {}
    again = worker.ask("run", allowance.seconds + 15, select=failed, **allowance.as_fields())
    flaky = [t for t in failed if again["outcomes"].get(t) == "passed"]
    return flaky, {t: float(s) for t, s in again["seconds"].items()}
