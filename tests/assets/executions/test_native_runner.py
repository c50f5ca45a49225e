"""Which trials of a batch count, and when a candidate is tried by itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from assets.executions.attempt.native_runner import BATCH, NativeRunner
from assets.executions.engines.protocol import Candidate, FileChange
from assets.executions.engines.search.native.engine import NativeCandidate
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.worker_client import WorkerDied
from core.work import Outcome, TestRun
from sandbox.environments.languages.javascript.direct import direct_command
from sandbox.environments.languages.protocol import TestPlan

TARGET = "a_test.go::TestA"


class Worker:
    """Answers batches and single trials, and notes what was asked."""

    overhead = 0.0

    def __init__(self, together: Callable[[str], str | None], alone: Callable[[str], str]) -> None:
        self._together, self._alone = together, alone
        self.batches: list[int] = []
        self.singles: list[str] = []

    def ask(self, operation: str, timeout: float, **fields: Any) -> dict[str, Any]:
        if operation == "try":
            self.batches.append(len(fields["candidates"]))
            statuses = [self._together(files["a.go"]) for files in fields["candidates"]]
            return {"trials": [status and {"s": status, "p": []} for status in statuses]}
        self.singles.append(fields["files"]["a.go"])
        return {"trial": {"s": self._alone(fields["files"]["a.go"]), "p": []}}


def candidate(text: str, kind: type[Candidate] = NativeCandidate) -> Candidate:
    return kind((), "op", 1.0, 1.0, "a.go", 1, (), (FileChange("a.go", "old", text),))


def runner_of(worker: Any) -> NativeRunner:
    run = TestRun(command=("go",), outcomes={TARGET: Outcome.FAILED}, exit_code=1, seconds=1.0, complete=True)
    baseline = Baseline(run, (TARGET,), {}, {TARGET: 0.1}, (), {}, frozenset(), frozenset(), frozenset())
    runner = NativeRunner(worker, baseline, {})
    runner.set_targets((TARGET,))
    return runner


def test_what_passes_in_a_batch_is_tried_by_itself_and_only_that_counts() -> None:
    worker = Worker(
        lambda text: "pass" if text in ("1", "3") else "fail", lambda text: "pass" if text == "3" else "compile"
    )
    runner = runner_of(worker)
    seen = runner.try_all([candidate(str(n)) for n in range(6)], 60)
    assert [one.status for one in seen] == ["fail", "compile", "fail", "pass"]
    assert worker.singles == ["1", "3"]
    assert (runner.batched, runner.fresh) == (6, 2)
    rest = runner.try_all([candidate(str(n)) for n in (4, 5)], 60)
    assert [one.status for one in rest] == ["fail", "fail"]
    assert worker.batches == [6]


def test_what_does_not_fit_a_batch_and_candidates_of_others_are_tried_by_themselves() -> None:
    worker = Worker(lambda text: None if text == "1" else "fail", lambda text: "fail")
    seen = runner_of(worker).try_all([candidate("0"), candidate("1"), candidate("2", Candidate), candidate("3")], 60)
    assert [one.status for one in seen] == ["fail"] * 4
    assert worker.batches == [3]
    assert worker.singles == ["1", "2"]


def test_batches_are_bounded() -> None:
    worker = Worker(lambda text: "fail", lambda text: "fail")
    assert len(runner_of(worker).try_all([candidate(str(n)) for n in range(BATCH + 5)], 60)) == BATCH + 5
    assert worker.batches == [BATCH, 5]


def test_a_batch_that_cannot_be_run_costs_nothing_but_time() -> None:
    class Broken(Worker):
        def ask(self, operation: str, timeout: float, **fields: Any) -> dict[str, Any]:
            if operation == "try":
                raise WorkerDied("no room")
            return super().ask(operation, timeout, **fields)

    worker = Broken(lambda text: "fail", lambda text: "fail")
    assert len(runner_of(worker).try_all([candidate("1"), candidate("2")], 60)) == 2
    assert worker.singles == ["1", "2"]


def test_without_time_nothing_is_said_of_a_candidate() -> None:
    assert runner_of(Worker(lambda text: None, lambda text: "fail")).try_all([candidate("1"), candidate("2")], 0) == []


def plan(**fields: Any) -> TestPlan:
    given = {"runner": "node", "files": ["test/a.test.js"], "builds": [], "variables": {"TZ": "UTC"},
             "bins": ["/workspace/node_modules/.bin"], "report": "/r.json", "glob": True,
             "command": ["node", "--test", "--test-reporter=x", "test/a.test.js"], **fields}  # fmt: skip
    return TestPlan(("node", "run.cjs", json.dumps(given)))


def test_a_file_of_node_test_runs_in_one_process() -> None:
    command = direct_command(plan())
    assert command is not None
    assert command[:2] == ["/bin/sh", "-c"]
    assert command[4:] == ["/workspace/node_modules/.bin", "TZ=UTC", "PENSTOCK_REPORT=/r.json", "node",
                           "--test-reporter=x", "test/a.test.js"]  # fmt: skip


def test_other_runners_are_started_by_themselves() -> None:
    command = direct_command(plan(runner="mocha", command=["mocha", "--reporter", "r", "test/a.test.js"]))
    assert command is not None
    assert command[-4:] == ["mocha", "--reporter", "r", "test/a.test.js"]


@pytest.mark.parametrize(
    "fields",
    [{"builds": [["", "tsc"]]}, {"files": []}, {"each": ["test/a.test.js"]}, {"command": ["jest", "--config", "c.js"]}],
)
def test_what_is_built_or_not_chosen_needs_more(fields: dict[str, Any]) -> None:
    assert direct_command(plan(**fields)) is None
