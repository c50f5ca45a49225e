"""Running a set: a kill loses no result, infrastructure failures are separate from answers, and limits hold."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assets.evals.compare.comparison import compare_runs
from assets.evals.report.summary import summarise
from assets.evals.runs.early_stop import EarlyStop
from assets.evals.runs.result_checks import check_results
from assets.evals.runs.runner import RunLimits, planned_order, run_set
from assets.evals.runs.store import ResultStore, StoreError
from assets.evals.runs.subject import (
    Attempt,
    CaseOutcome,
    CaseResult,
    InfrastructureFailure,
    NotRunnable,
    SubjectCannotStart,
    seed_for,
)
from assets.evals.sets.eval_set import EvalSet
from assets.evals.sets.set_files import EvalSetError
from core.statistics import Verdict
from tests.assets.evals.eval_cases import QUICK, plain_set, record_of, run_it, scripted


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "evals")


@pytest.fixture
def found(tmp_path: Path) -> EvalSet:
    return plain_set(tmp_path / "toy", 30)


class Odd:
    """A subject whose behaviour a test sets by case."""

    name, kinds = "odd", ("plain",)

    def __init__(self, **cases: object) -> None:
        self.cases = {name.replace("_", "-"): what for name, what in cases.items()}
        self.solved: list[str] = []

    def identity(self) -> dict[str, str]:
        return {"engine": "odd"}

    def start(self) -> None:
        if "start" in self.cases:
            raise SubjectCannotStart("no model server here")

    def solve(self, attempt: Attempt) -> CaseResult:
        what = self.cases.get(attempt.case.id, self.cases.get("all"))
        if isinstance(what, list):
            what = what.pop(0) if what else None
        if isinstance(what, Exception):
            raise what
        if isinstance(what, float):
            time.sleep(what)
        self.solved.append(attempt.case.id)
        if isinstance(what, dict):
            return CaseResult(CaseOutcome.CORRECT, True, what)
        return CaseResult(CaseOutcome.CORRECT, True, {"iterations": 1.0})


def test_every_case_and_repeat_has_one_row(store: ResultStore, found: EvalSet) -> None:
    record = run_it(store, found, scripted("a"), repeats=3, parallel=4)
    rows = store.load(record)
    assert rows.height == 90
    assert rows.select("case", "repeat").n_unique() == 90
    assert rows["set_sha256"].unique().to_list() == [found.sha256]
    assert rows["engine"].unique().to_list() == ["scripted"]


def test_the_same_inputs_give_the_same_results_however_parallel(store: ResultStore, found: EvalSet) -> None:
    runs = [run_it(store, found, scripted("a"), name, parallel=n) for name, n in (("one", 1), ("four", 4))]
    one, four = (store.load(run).select("case", "success", "iterations").sort("case") for run in runs)
    assert one.equals(four)


def test_seeds_are_shared_between_subjects_but_not_between_cases_and_repeats() -> None:
    seeds = {seed_for(1, case, repeat) for case in ("a", "b") for repeat in (0, 1)}
    assert len(seeds) == 4
    assert seed_for(1, "a", 0) == seed_for(1, "a", 0) != seed_for(2, "a", 0)


def test_any_first_part_of_the_order_is_a_sample_of_whole_clusters(found: EvalSet) -> None:
    order = planned_order(found.cases, 2, seed=3)
    clusters = [case.cluster for case, repeat in order if repeat == 0]
    assert len(clusters) == 30
    assert [repeat for _, repeat in order] == [0] * 30 + [1] * 30
    changes = sum(one != other for one, other in itertools.pairwise(clusters))
    assert changes == found.clusters - 1
    assert clusters != sorted(clusters)


def test_infrastructure_failures_are_retried_and_not_counted_against_the_subject(
    store: ResultStore, found: EvalSet
) -> None:
    broken = InfrastructureFailure("sandbox gone")
    subject = Odd(case_003=[broken], case_004=broken)
    state = run_set(found, subject, store, record_of(found, subject), limits=QUICK)
    assert (state.succeeded, state.failed, state.infrastructure, state.complete) == (29, 0, 1, False)
    rows = {row.case: row for row in store.rows("odd")}
    assert (rows["case-003"].tries, rows["case-003"].success) == (2, True)
    assert (rows["case-004"].tries, rows["case-004"].success, rows["case-004"].summary) == (3, None, "sandbox gone")


def test_results_lost_to_infrastructure_are_run_again_on_resume(store: ResultStore, found: EvalSet) -> None:
    first = Odd(case_004=InfrastructureFailure("gone"))
    run_set(found, first, store, record_of(found, first), limits=QUICK)
    second = Odd()
    state = run_set(found, second, store, record_of(found, second), limits=QUICK)
    assert second.solved == ["case-004"]
    assert (state.complete, state.resumed) == (True, 29)
    assert store.load(store.record("odd"))["success"].null_count() == 0


def test_infrastructure_that_is_down_ends_the_run(store: ResultStore, found: EvalSet) -> None:
    subject = Odd(all=InfrastructureFailure("server down"))
    state = run_set(found, subject, store, record_of(found, subject), limits=QUICK)
    assert state.done == QUICK.broken_in_a_row
    assert "5 infrastructure failures in a row" in str(state.stopped)
    assert "server down" in str(state.stopped)


def test_cases_that_this_machine_cannot_run_are_neither_failures_nor_losses(store: ResultStore, found: EvalSet) -> None:
    def subject(name: str) -> Odd:
        lacking = {f"case_{n:03}": NotRunnable("there is no `go` on this machine") for n in range(12)}
        one = Odd(**lacking)
        one.name = name
        return one

    for name in ("odd", "other"):
        state = run_set(found, subject(name), store, record_of(found, subject(name)), limits=QUICK)
        assert (state.succeeded, state.failed, state.infrastructure, state.not_runnable) == (18, 0, 0, 12)
        assert (state.complete, state.stopped, state.retried) == (True, None, 0)
    row = store.rows("odd")[0]
    assert (row.outcome, row.success, row.tries) == ("not runnable", None, 1)
    assert not check_results(store, store.record("odd"), found).problems
    summary = summarise(store, store.record("odd"))
    assert (summary.cases, summary.success, summary.not_runnable, summary.complete) == (18, 1.0, 12, True)
    compared = compare_runs(store, store.record("odd"), store.record("other"))
    assert compared.cases == 18
    assert "lack a result" not in compared.reason
    assert "12 cases could not be run on the baseline's machine and are left out" in compared.remarks


def test_cases_that_only_one_machine_could_run_leave_a_comparison_open(store: ResultStore, found: EvalSet) -> None:
    whole, partly = Odd(), Odd(**{f"case_{n:03}": NotRunnable("no go") for n in range(12)})
    partly.name = "partly"
    for subject in (whole, partly):
        run_set(found, subject, store, record_of(found, subject), limits=QUICK)
    compared = compare_runs(store, store.record("odd"), store.record("partly"))
    assert compared.verdict is Verdict.INCONCLUSIVE
    assert "12 of 30 cases lack a result on one side" in compared.reason


def test_a_subject_that_raises_fails_the_case_and_not_the_run(store: ResultStore, found: EvalSet) -> None:
    subject = Odd(case_002=ZeroDivisionError("oh"), case_003={"iterations": float("nan")})
    state = run_set(found, subject, store, record_of(found, subject), limits=QUICK)
    assert (state.succeeded, state.failed, state.complete) == (28, 2, True)
    rows = {row.case: row for row in store.rows("odd")}
    assert rows["case-002"].summary == "ZeroDivisionError: oh"
    assert rows["case-003"].summary == "iterations is not a finite number"


def test_a_subject_that_cannot_start_leaves_no_results(store: ResultStore, found: EvalSet) -> None:
    subject = Odd(start=True)
    with pytest.raises(SubjectCannotStart, match="no model server"):
        run_set(found, subject, store, record_of(found, subject))
    assert store.rows("odd") == []


def test_a_case_that_does_not_return_is_abandoned(store: ResultStore, found: EvalSet) -> None:
    limits = RunLimits(case_seconds=5.0, grace_seconds=0.1, tries=1, pause_seconds=0.0)
    subject = Odd(case_002=3600.0)
    began = time.monotonic()
    record = record_of(found, subject, limits=limits)
    state = run_set(found, subject, store, record, limits=limits)
    assert time.monotonic() - began < 600
    assert (state.succeeded, state.failed) == (29, 1)
    assert {row.case: row.outcome for row in store.rows("odd")}["case-002"] == "timeout"


def test_limits_stop_the_run_between_cases_and_it_can_be_resumed(store: ResultStore, found: EvalSet) -> None:
    subject = Odd(all={"tokens": 100.0, "cost": 0.5})
    record = record_of(found, subject)
    tokens = run_set(found, subject, store, record, limits=RunLimits(total_tokens=350))
    assert (tokens.done, tokens.stopped) == (4, "the run's limit of 350 tokens is reached")
    cost = run_set(found, subject, store, record, limits=RunLimits(total_cost=4))
    assert (cost.done, cost.stopped) == (8, "the run's cost limit of 4 is reached")
    assert run_set(found, subject, store, record).complete
    assert len(subject.solved) == 30


def test_flaky_cases_are_named(store: ResultStore, found: EvalSet) -> None:
    subject = scripted("a", noise=3.0)
    state = run_set(found, subject, store, record_of(found, subject, repeats=4), limits=QUICK)
    ends: dict[str, set[bool | None]] = {}
    for row in store.rows("a"):
        ends.setdefault(row.case, set()).add(row.success)
    assert state.flaky == tuple(sorted(case for case, seen in ends.items() if len(seen) == 2))
    assert state.flaky


def test_a_run_is_not_resumed_with_other_inputs(store: ResultStore, found: EvalSet, tmp_path: Path) -> None:
    run_it(store, found, scripted("a"))
    with pytest.raises(StoreError, match=r"seed: 0, not 1.*use another name"):
        run_it(store, found, scripted("a"), seed=1)
    other = plain_set(tmp_path / "toy", 30, version="1.1.0")
    with pytest.raises(StoreError, match=r"set_version: 1\.0\.0, not 1\.1\.0"):
        run_it(store, other, scripted("a"))


@pytest.mark.parametrize("names", [("../x", "a"), ("Upper", "a"), ("a", "../x"), ("a", ""), ("x" * 200, "a")])
def test_a_run_or_subject_name_that_cannot_name_a_folder_is_refused(found: EvalSet, names: tuple[str, str]) -> None:
    with pytest.raises(StoreError, match="is not a valid name of a"):
        record_of(found, scripted(names[1]), names[0])


def test_an_impossible_scripted_quality_is_refused() -> None:
    for wrong in ({"skill": float("nan")}, {"seconds": -1.0}, {"broken": 1.5}, {"effort": 0.0}, {"seed": -1}):
        with pytest.raises(ValueError, match="give finite numbers"):
            scripted("a", **wrong)


def test_an_unknown_split_is_refused(found: EvalSet) -> None:
    with pytest.raises(EvalSetError, match="choose main or all"):
        found.split("check")


def test_two_processes_do_not_write_one_run(store: ResultStore, found: EvalSet) -> None:
    record = record_of(found, scripted("a"))
    with store.journal(record), pytest.raises(StoreError, match="written by another process"), store.journal(record):
        pass


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from assets.evals.runs.runner import run_set
from assets.evals.sets.eval_set import load_set
from assets.evals.runs.store import ResultStore
from tests.assets.evals.eval_cases import QUICK, record_of, scripted
found = load_set(Path(sys.argv[2]))
subject = scripted("killed", seconds=0.02)
run_set(found, subject, ResultStore(Path(sys.argv[3])), record_of(found, subject, parallel=2), limits=QUICK)
"""


def test_a_killed_run_loses_no_stored_result_and_resumes(store: ResultStore, found: EvalSet, tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", PROGRAM, root, str(found.root), str(store.root)]
    journal = store.folder("killed") / "journal.jsonl"
    process = subprocess.Popen(command, cwd=root)
    try:
        deadline = time.monotonic() + 300
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 5):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    stored = {row.case for row in store.rows("killed")}
    assert 5 <= len(stored) < 30
    with journal.open("ab") as file:
        file.write(b'{"case": "case-0')
    subject = scripted("killed", seconds=0.02)
    state = run_set(found, subject, store, record_of(found, subject, parallel=2), limits=QUICK)
    assert (state.complete, state.resumed) == (True, len(stored))
    lines = journal.read_text().splitlines()
    assert sorted(json.loads(line)["case"] for line in lines) == sorted(case.id for case in found.cases)


def test_a_full_disk_stops_the_run_and_leaves_whole_lines(
    store: ResultStore, found: EvalSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a limit on file size, which fails a write half-way like a full disk.
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    subject = scripted("a")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
        with pytest.raises(OSError, match=r"large|space"):
            run_set(found, subject, store, record_of(found, subject), limits=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    stored = len(store.rows("a"))
    assert 0 < stored < 30
    assert run_set(found, subject, store, record_of(found, subject), limits=QUICK).resumed == stored


def test_a_disk_too_full_for_parquet_is_reported_and_loses_nothing(store: ResultStore, found: EvalSet) -> None:
    record = run_it(store, found, scripted("a"))
    parquet = store.parquet(record)
    parquet.unlink()
    program = (
        "import resource, sys; from pathlib import Path; from assets.evals.runs.store import ResultStore, StoreError\n"
        "store = ResultStore(Path(sys.argv[1])); record = store.record('a')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: store.settle(record)\n"
        "except StoreError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.root)], capture_output=True, text=True, timeout=600, check=True
    )  # fmt: skip
    assert "free some disk space" in done.stdout and not parquet.exists()
    assert list(parquet.parent.iterdir()) == []
    assert store.load(record).height == len(found.cases)


def test_a_damaged_journal_is_named_with_its_line(store: ResultStore, found: EvalSet) -> None:
    run_it(store, found, scripted("a"))
    path = store.folder("a") / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"oh\n", *lines[3:]]))
    with pytest.raises(StoreError, match=r"journal\.jsonl:4: damaged"):
        store.rows("a")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "A", ".hidden"])
def test_a_run_cannot_be_named_out_of_its_folder(store: ResultStore, name: str) -> None:
    with pytest.raises(StoreError, match="is not a valid name of a run"):
        store.folder(name)


def test_a_subject_that_is_much_worse_is_not_run_to_the_end(store: ResultStore, tmp_path: Path) -> None:
    found = plain_set(tmp_path / "long", 300)
    baseline = run_it(store, found, scripted("base", skill=1.5))
    subject = scripted("bad", skill=-1.5, seed=4)
    record = record_of(found, subject, repeats=2, parallel=4)
    state = run_set(found, subject, store, record, limits=QUICK, stop_early=baseline)
    assert "worse than base's" in str(state.stopped)
    assert state.done < 300
    clusters = {row.cluster for row in store.rows("bad")}
    planned = dict.fromkeys(case.cluster for case, _ in planned_order(found.cases, 1, 0))
    assert clusters == set(list(planned)[: len(clusters)])
    compared = compare_runs(store, baseline, record)
    assert (compared.verdict, compared.cases < 300) == (Verdict.WORSE, True)
    assert compared.sentence.startswith("Worse: bad is worse than base: success was found worse")
    other = run_it(store, found, scripted("other", skill=1.4))
    assert compare_runs(store, other, record).verdict is Verdict.INCONCLUSIVE


def test_clusters_are_tested_in_planned_order_whichever_ends_first(store: ResultStore, tmp_path: Path) -> None:
    found = plain_set(tmp_path / "long", 300)
    baseline = run_it(store, found, scripted("base", skill=30.0))
    record = run_it(store, found, scripted("bad", skill=-30.0))
    order = planned_order(found.cases, 1, 0, cluster_by_cluster=True)
    rows = {row.case: row for row in store.rows("bad")}
    watch = EarlyStop(store, record, baseline, order)
    assert [watch(rows[case.id]) for case, _ in order[1:]] == [None] * 299
    assert "worse than base's after" in str(watch(rows[order[0][0].id]))


def test_an_equal_subject_is_run_to_the_end(store: ResultStore, tmp_path: Path) -> None:
    found = plain_set(tmp_path / "long", 300)
    baseline = run_it(store, found, scripted("base", skill=1.5))
    subject = scripted("same", skill=1.5, seed=4)
    assert run_set(found, subject, store, record_of(found, subject), limits=QUICK, stop_early=baseline).complete
    with pytest.raises(StoreError, match="another version or split"):
        run_set(
            plain_set(tmp_path / "other", 30), subject, store,
            record_of(plain_set(tmp_path / "other", 30), subject, "x"), limits=QUICK, stop_early=baseline,
        )  # fmt: skip
