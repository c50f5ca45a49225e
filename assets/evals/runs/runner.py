"""Runs a subject over every case and repeat of a set, several at a time, and stores each result immediately.

A run that was killed resumes where it stopped when it is started again under the same name. Infrastructure failures
are retried and counted separately; a subject that does not return within its limit is abandoned. Not for interpreting
results, which `compare` does.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from assets.evals.sets.eval_set import Case, EvalSet

from .early_stop import EarlyStop
from .result_rows import lost_row, result_row
from .results import SUBJECT_NAME, ResultRow, RunRecord
from .store import RUN_NAME, Journal, ResultStore, StoreError
from .subject import Attempt, CaseOutcome, InfrastructureFailure, NotRunnable, Subject, identity_digest, seed_for
from .threads import Threads

SYNC_SECONDS = 1.0


@dataclass(frozen=True)
class RunLimits:
    """Limits of a run. A run that reaches a total stops between cases; it can be resumed with a higher total.

    The subject receives `case_seconds` as its time limit; the runner stops waiting `grace_seconds` after it. `tries`
    bounds the attempts at a case whose infrastructure fails, with pauses that double from `pause_seconds`.
    `broken_in_a_row` cases lost to infrastructure in a row end the run.
    """

    case_seconds: float = 120.0
    grace_seconds: float = 60.0
    total_seconds: float | None = None
    total_tokens: float | None = None
    total_cost: float | None = None
    tries: int = 3
    pause_seconds: float = 0.5
    broken_in_a_row: int = 5

    @property
    def patience(self) -> float:
        """Seconds after which a case, including all its tries, is abandoned."""
        pauses: float = self.pause_seconds * 2**self.tries
        return (self.case_seconds + self.grace_seconds) * self.tries + pauses


@dataclass(frozen=True)
class RunState:
    """The live counts of a run, reported after every case. `not_runnable` cases say nothing about the subject and lack
    something on this machine; `stopped` is why the run ended before its last case."""

    total: int
    done: int = 0
    succeeded: int = 0
    failed: int = 0
    infrastructure: int = 0
    not_runnable: int = 0
    retried: int = 0
    resumed: int = 0
    tokens: float = 0.0
    cost: float = 0.0
    last: str = ""
    stopped: str | None = None
    flaky: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return self.done == self.total and self.infrastructure == 0


Tell = Callable[[RunState], None]


def new_record(
    found: EvalSet,
    split: str,
    subject: Subject,
    *,
    run: str,
    repeats: int,
    seed: int,
    parallel: int,
    limits: RunLimits,
    code_commit: str,
) -> RunRecord:
    """The record of a run that starts now. Raises `EvalSetError` for an unknown split, `StoreError` for the name of a
    run or subject that cannot name a folder, and `SubjectCannotStart`."""
    for what, name, pattern in (("subject", subject.name, SUBJECT_NAME), ("run", run, RUN_NAME)):
        if not pattern.fullmatch(name):
            raise StoreError(
                f"{name[:200]!r} is not a valid name of a {what}: use at most "
                f"{80 if what == 'subject' else 120} small letters, digits, '.', '_' and '-'"
            )
    identity = subject.identity()
    return RunRecord(
        run=run,
        set_name=found.name,
        set_version=found.version,
        set_sha256=found.sha256,
        split=split,
        subject=subject.name,
        identity=identity,
        identity_digest=identity_digest(identity),
        code_commit=code_commit,
        repeats=repeats,
        seed=seed,
        cases=len(found.split(split)),
        metrics=found.manifest.metrics,
        parallel=parallel,
        case_seconds=limits.case_seconds,
        started=datetime.now(UTC),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    )


def planned_order(
    cases: Sequence[Case], repeats: int, seed: int, *, cluster_by_cluster: bool = False
) -> list[tuple[Case, int]]:
    """Every case and repeat, with the clusters in a random order drawn from the seed, so that the first part of a run
    is a fair sample of clusters. All first repeats come before all second ones, unless `cluster_by_cluster`."""
    names = sorted({case.cluster for case in cases})
    place = {name: index for index, name in enumerate(np.random.default_rng(seed).permutation(names).tolist())}
    ordered = sorted(cases, key=lambda case: (place[case.cluster], case.id))
    order = [(case, repeat) for repeat in range(repeats) for case in ordered]
    return sorted(order, key=lambda planned: place[planned[0].cluster]) if cluster_by_cluster else order


def run_set(
    found: EvalSet,
    subject: Subject,
    store: ResultStore,
    record: RunRecord,
    *,
    limits: RunLimits = RunLimits(),
    tell: Tell = lambda state: None,
    should_stop: Callable[[], bool] = lambda: False,
    stop_early: RunRecord | None = None,
) -> RunState:
    """Runs the cases and repeats that have no result yet, then writes the run's Parquet file. Returns the final counts.

    With `stop_early`, the run of a baseline, it goes cluster by cluster and ends once the subject is found worse.

    Raises `ValueError` if the subject cannot solve this kind of set, `SubjectCannotStart`, `StoreError` if another
    process writes the run or its inputs differ, and `OSError` if the disk is full. Stored results stay, and the run can
    be resumed.
    """
    if found.manifest.kind not in subject.kinds:
        raise ValueError(f"{subject.name} cannot solve sets of kind {found.manifest.kind!r}")
    cases = found.split(record.split)
    with store.journal(record) as journal:
        subject.start()
        work = _Work(subject, journal, store.folder(record.run) / "trajectories", record, limits, tell)
        order = planned_order(cases, record.repeats, record.seed, cluster_by_cluster=stop_early is not None)
        if stop_early is not None:
            work.watch = EarlyStop(store, record, stop_early, order)
        state = work.run(order, should_stop)
    store.settle(store.record(record.run))
    return state


@dataclass
class _Work:
    subject: Subject
    journal: Journal
    trajectories: Path
    record: RunRecord
    limits: RunLimits
    tell: Tell
    watch: Callable[[ResultRow], str | None] | None = None
    found_early: str | None = None
    broken: int = 0
    counted: dict[tuple[str, int], ResultRow] = field(default_factory=dict)

    def run(self, order: list[tuple[Case, int]], should_stop: Callable[[], bool]) -> RunState:
        self.state = RunState(total=len(order))
        for case, repeat in order:
            row = self.journal.done.get((case.id, repeat))
            if row is not None and row.success is not None:
                self._count(row, resumed=True)
        missing = [(case, repeat) for case, repeat in order if (case.id, repeat) not in self.counted]
        self.tell(self.state)
        began = synced = time.monotonic()
        threads = Threads(self._attempt, self.record.parallel, self.limits.patience)
        try:
            position = 0
            while position < len(missing) or threads.busy:
                stopped = self._stopped(began) or ("stopped on request" if should_stop() else None)
                if stopped:
                    self.state = replace(self.state, stopped=stopped)
                    if not threads.busy:
                        break
                while not stopped and position < len(missing) and threads.free:
                    threads.give(*missing[position])
                    position += 1
                for row in threads.ended():
                    self.journal.append(row)
                    self._count(row)
                    self.tell(self.state)
                if time.monotonic() - synced > SYNC_SECONDS:
                    self.journal.sync()
                    synced = time.monotonic()
                if threads.lost >= max(2, self.record.parallel):
                    self.state = replace(self.state, stopped=f"{threads.lost} cases did not return; see the last")
                    break
        finally:
            threads.close()
        self.state = replace(self.state, flaky=flaky_cases(list(self.counted.values())))
        self.tell(self.state)
        return self.state

    def _stopped(self, began: float) -> str | None:
        limits, state = self.limits, self.state
        if self.found_early:
            return self.found_early
        if self.broken >= limits.broken_in_a_row:
            return f"{self.broken} infrastructure failures in a row; the last: {state.last}"
        if limits.total_seconds is not None and time.monotonic() - began > limits.total_seconds:
            return f"the run's limit of {limits.total_seconds:g} seconds is reached"
        if limits.total_tokens is not None and state.tokens >= limits.total_tokens:
            return f"the run's limit of {limits.total_tokens:g} tokens is reached"
        if limits.total_cost is not None and state.cost >= limits.total_cost:
            return f"the run's cost limit of {limits.total_cost:g} is reached"
        return None

    def _count(self, row: ResultRow, *, resumed: bool = False) -> None:
        self.counted[row.key] = row
        if self.watch is not None and self.found_early is None:
            self.found_early = self.watch(row)
        absent = row.outcome == CaseOutcome.NOT_RUNNABLE
        state, lost = self.state, row.success is None and not absent
        self.broken = self.broken + 1 if lost else (self.broken if resumed or absent else 0)
        self.state = replace(
            state,
            done=state.done + 1,
            succeeded=state.succeeded + (row.success is True),
            failed=state.failed + (row.success is False),
            infrastructure=state.infrastructure + lost,
            not_runnable=state.not_runnable + absent,
            retried=state.retried + (row.tries - 1),
            resumed=state.resumed + resumed,
            tokens=state.tokens + row.metrics.get("tokens", 0.0),
            cost=state.cost + row.metrics.get("cost", 0.0),
            last=f"{row.case}: {row.outcome}" + (f", {row.summary}" if lost or absent else ""),
        )

    def _attempt(self, case: Case, repeat: int) -> ResultRow:
        """One case with its retries, in a thread of the run. Any `Exception` of the subject becomes a row."""
        folder = self.trajectories / f"{case.id}-{repeat}"
        attempt = Attempt(
            case, repeat, seed_for(self.record.seed, case.id, repeat), self.limits.case_seconds, folder
        )  # fmt: skip
        for tries in range(1, self.limits.tries + 1):
            began = time.monotonic()
            try:
                found = self.subject.solve(attempt)
                return result_row(attempt, found, time.monotonic() - began, tries)
            except NotRunnable as error:
                return lost_row(attempt, CaseOutcome.NOT_RUNNABLE, str(error), tries)
            except InfrastructureFailure as error:
                lost = lost_row(attempt, CaseOutcome.INFRASTRUCTURE, str(error), tries)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                return replace(lost_row(attempt, CaseOutcome.ERROR, said, tries), success=False)
            if tries < self.limits.tries:
                time.sleep(self.limits.pause_seconds * 2 ** (tries - 1))
        return lost


def flaky_cases(rows: Sequence[ResultRow]) -> tuple[str, ...]:
    """Cases that succeeded in one repeat and failed in another."""
    seen: dict[str, set[bool]] = {}
    for row in rows:
        if row.success is not None:
            seen.setdefault(row.case, set()).add(row.success)
    return tuple(sorted(case for case, ends in seen.items() if len(ends) == 2))
