"""Comparing runs end to end: the right verdict if the data allow one, and `inconclusive` if they do not."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest

from assets.evals.compare.breakdown import scatters
from assets.evals.compare.comparison import NotComparable, compare_runs, hidden
from assets.evals.runs.runner import RunLimits, run_set
from assets.evals.runs.store import ResultStore, StoreError
from assets.evals.runs.subject import Attempt, CaseOutcome, CaseResult, InfrastructureFailure
from assets.evals.sets.eval_set import EvalSet
from core.statistics import MetricSpec, PairedData, Verdict, compare_metric, conclude
from tests.assets.evals.eval_cases import METRICS, QUICK, plain_set, record_of, run_it, scripted


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "evals")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> EvalSet:
    return plain_set(tmp_path_factory.mktemp("sets") / "toy", 240)


class Fixed:
    """Succeeds on cases whose number is below `successes`; leaves out a metric for every `gap`-th case."""

    kinds = ("plain",)

    def __init__(self, name: str, successes: int, *, gap: int = 0, lost: int = 0) -> None:
        self.name, self.successes, self.gap, self.lost = name, successes, gap, lost

    def identity(self) -> dict[str, str]:
        return {"engine": self.name}

    def start(self) -> None:
        """Does nothing."""

    def solve(self, attempt: Attempt) -> CaseResult:
        number = attempt.case.payload.input["n"]
        if number < self.lost:
            raise InfrastructureFailure("gone")
        metrics = {} if self.gap and number % self.gap == 0 else {"iterations": 5.0 + number % 7}
        won = number < self.successes
        return CaseResult(CaseOutcome.CORRECT if won else CaseOutcome.UNRESOLVED, won, metrics)


@pytest.mark.parametrize(
    ("quality", "verdict"),
    [
        ({"skill": 0.8, "seed": 9}, Verdict.NOT_WORSE),
        ({"skill": -0.4, "seed": 9}, Verdict.WORSE),
        ({"skill": 2.0, "seed": 9}, Verdict.BETTER),
        ({"skill": 0.8, "seed": 9, "effort": 1.8}, Verdict.WORSE),
    ],
)
def test_a_subject_of_known_quality_gets_its_verdict(
    store: ResultStore, found: EvalSet, quality: dict[str, float], verdict: Verdict
) -> None:
    first = run_it(store, found, scripted("base", skill=0.8), repeats=3)
    second = run_it(store, found, scripted("other", **quality), repeats=3)
    compared = compare_runs(store, first, second)
    assert compared.verdict is verdict
    assert compared.sentence.startswith(str(verdict).capitalize())
    assert (compared.cases, compared.clusters) == (240, 80)


def test_an_inconclusive_comparison_names_the_effect_and_its_interval(store: ResultStore, found: EvalSet) -> None:
    first = run_it(store, found, Fixed("one", 200))
    compared = compare_runs(store, first, run_it(store, found, Fixed("other", 185)))
    assert compared.verdict is Verdict.INCONCLUSIVE, compared.sentence
    assert "; success 83.3% to 77.1% (-6.2 points, 95% interval " in compared.sentence


def test_amounts_that_are_all_0_get_no_chart() -> None:
    for amounts, drawn in (([0.0, 0.0], 0), ([0.0, 3.0], 1)):
        pairs = polars.DataFrame({"a seconds": amounts, "b seconds": [0.0, 0.0]})
        effect = compare_metric(MetricSpec("seconds", "ratio", "lower", 0.1), None)
        assert len(scatters(pairs, [effect])) == drawn


def test_swapping_the_runs_inverts_the_effects(store: ResultStore, found: EvalSet) -> None:
    one = run_it(store, found, scripted("one", skill=0.2), repeats=2)
    other = run_it(store, found, scripted("other", skill=1.2, seed=1), repeats=2)
    there, back = compare_runs(store, one, other), compare_runs(store, other, one)
    assert there.effects[0].estimate == pytest.approx(-(back.effects[0].estimate or 0))
    assert [flip.case for flip in there.gained] == [flip.case for flip in back.lost]
    assert there.gained


@pytest.mark.parametrize("successes", [0, 240])
def test_a_comparison_where_all_succeed_or_all_fail_is_inconclusive(
    store: ResultStore, found: EvalSet, successes: int
) -> None:
    first, second = (run_it(store, found, Fixed(name, successes)) for name in ("one", "other"))
    compared = compare_runs(store, first, second)
    assert compared.verdict is Verdict.INCONCLUSIVE
    assert "cannot tell them apart" in compared.reason


def test_an_incomplete_run_is_inconclusive_however_clear_it_looks(store: ResultStore, found: EvalSet) -> None:
    first = run_it(store, found, scripted("base", skill=2.0))
    subject = scripted("half", skill=-1.0)
    second = record_of(found, subject)
    ticks = iter(range(10_000))
    run_set(found, subject, store, second, limits=QUICK, should_stop=lambda: next(ticks) > 100)
    compared = compare_runs(store, first, second)
    assert 0 < compared.cases < 240
    assert compared.verdict is Verdict.INCONCLUSIVE
    assert "lack a result on one side" in compared.reason
    assert any("run is incomplete" in remark for remark in compared.remarks)


def test_a_run_without_a_single_result_is_inconclusive(store: ResultStore, found: EvalSet) -> None:
    first = run_it(store, found, scripted("base"))
    subject = scripted("none")
    second = record_of(found, subject)
    run_set(found, subject, store, second, limits=QUICK, should_stop=lambda: True)
    compared = compare_runs(store, first, second)
    assert (compared.verdict, compared.cases) == (Verdict.INCONCLUSIVE, 0)


def test_results_lost_to_infrastructure_are_left_out_and_reported(store: ResultStore, found: EvalSet) -> None:
    first = run_it(store, found, Fixed("one", 200))
    subject = Fixed("other", 200, lost=3)
    second = record_of(found, subject)
    run_set(found, subject, store, second, limits=QUICK)
    compared = compare_runs(store, first, second)
    assert (compared.verdict, compared.cases) == (Verdict.NOT_WORSE, 237)
    assert "3 results of the candidate were lost to infrastructure and are left out" in compared.remarks
    wider = Fixed("broken", 200, lost=40)
    third = record_of(found, wider)
    run_set(found, wider, store, third, limits=RunLimits(pause_seconds=0, tries=1, broken_in_a_row=1000))
    assert compare_runs(store, first, third).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("candidate", "verdict"), [(200, Verdict.NOT_WORSE), (182, Verdict.INCONCLUSIVE)])
def test_a_few_missing_results_make_a_close_verdict_inconclusive(
    store: ResultStore, found: EvalSet, candidate: int, verdict: Verdict
) -> None:
    """Ten of 240 cases are lost. They cannot overturn the verdict of a tie, but can overturn that of a loss of eight
    points, which is close to the margin."""
    first = run_it(store, found, Fixed("one", 200))
    whole = compare_runs(store, first, run_it(store, found, Fixed("whole", candidate)))
    assert whole.verdict is (Verdict.NOT_WORSE if candidate == 200 else whole.verdict)
    subject = Fixed("other", candidate, lost=10)
    second = record_of(found, subject)
    run_set(found, subject, store, second, limits=RunLimits(pause_seconds=0, tries=1, broken_in_a_row=1000))
    compared = compare_runs(store, first, second)
    assert compared.verdict is verdict, compared.sentence


def test_a_regression_that_missing_results_could_overturn_is_inconclusive() -> None:
    metric = MetricSpec("success", "rate", "higher", 0.1, "primary")
    rng = np.random.default_rng(1)
    before = (rng.random(90) < 0.8).astype(float)
    after = np.where(rng.random(90) < 0.14, 0.0, before)
    (effect,), verdict, _ = conclude([compare_metric(metric, PairedData.of(before, after))])
    assert effect.gain is not None and effect.gain.high < 0
    assert verdict in (Verdict.WORSE, Verdict.INCONCLUSIVE)
    worse = replace(effect, verdict=Verdict.WORSE)
    assert hidden([worse], Verdict.WORSE, 0) is None
    assert hidden([worse], Verdict.WORSE, 1) is None or effect.gain.high > -0.012
    assert "might not be worse at all" in (hidden([worse], Verdict.WORSE, 12) or "")


def test_a_damaged_parquet_file_is_rebuilt_from_the_journal(store: ResultStore, found: EvalSet) -> None:
    record = run_it(store, found, scripted("a"))
    path = store.settle(record)
    stamp = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:500])
    os.utime(path, ns=(stamp, stamp))
    assert store.load(record).height == 240


def test_a_metric_missing_for_some_cases_is_inconclusive(store: ResultStore, found: EvalSet) -> None:
    first, second = run_it(store, found, Fixed("one", 200)), run_it(store, found, Fixed("gap", 200, gap=3))
    compared = compare_runs(store, first, second)
    effect = next(effect for effect in compared.effects if effect.metric.name == "iterations")
    assert effect.reason == "measured on both sides in only 160 of 240 cases"
    assert compared.verdict is Verdict.INCONCLUSIVE
    cost = next(effect for effect in compared.effects if effect.metric.name == "cost")
    assert cost.reason == "no case has this metric on both sides"


def test_a_small_set_is_inconclusive(store: ResultStore, tmp_path: Path) -> None:
    for cases in (1, 9):
        small = plain_set(tmp_path / f"small-{cases}", cases)
        first = run_it(store, small, Fixed("one", cases), f"one-{cases}")
        second = run_it(store, small, Fixed("other", 0), f"other-{cases}")
        compared = compare_runs(store, first, second)
        assert compared.verdict is Verdict.INCONCLUSIVE
        assert "too few independent clusters" in compared.reason


def test_a_custom_metric_is_compared(store: ResultStore, tmp_path: Path) -> None:
    own = {"name": "warmth", "kind": "mean", "better": "higher", "margin": 0.5}
    mine = plain_set(tmp_path / "own", 40, metrics=[METRICS[0], own])

    class Warm(Fixed):
        def solve(self, attempt: Attempt) -> CaseResult:
            number = attempt.case.payload.input["n"]
            return CaseResult(CaseOutcome.CORRECT, number % 3 > 0, {"warmth": self.successes + number % 5})

    first, second = run_it(store, mine, Warm("cold", 1)), run_it(store, mine, Warm("hot", 3))
    effect = compare_runs(store, first, second).effects[1]
    assert (effect.estimate, effect.verdict) == (pytest.approx(2.0), Verdict.BETTER)


def test_other_versions_splits_and_sets_are_not_compared_silently(store: ResultStore, tmp_path: Path) -> None:
    old = plain_set(tmp_path / "toy", 60)
    first = run_it(store, old, scripted("a"), "old")
    new = plain_set(tmp_path / "toy", 66, version="1.1.0")
    second = run_it(store, new, scripted("a", skill=9.0), "new")
    with pytest.raises(NotComparable, match=r"toy 1\.0\.0 .* of 1\.1\.0 .*--across-versions"):
        compare_runs(store, first, second)
    across = compare_runs(store, first, second, across_versions=True)
    assert (across.verdict, across.cases) == (Verdict.INCONCLUSIVE, 60)
    assert "equal ids may differ" in across.reason
    with pytest.raises(NotComparable, match="with itself"):
        compare_runs(store, first, first)
    with pytest.raises(NotComparable, match="is of set toy"):
        compare_runs(store, first, second.model_copy(update={"set_name": "other"}))


@pytest.mark.parametrize(
    ("loads", "said"), [((0.4, 0.9), False), ((1.4, 0.1), False), ((6.0, 5.0), False), ((1.0, 4.0), True)]
)
def test_a_run_on_a_much_busier_machine_is_not_compared(
    store: ResultStore, found: EvalSet, loads: tuple[float, float], said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for name, load in zip(("one", "other"), loads, strict=True):
        monkeypatch.setattr("assets.evals.runs.result_rows.machine_load", lambda load=load: load)
        runs.append(run_it(store, found, Fixed(name, 200)))
    compared = compare_runs(store, *runs)
    assert compared.verdict is (Verdict.INCONCLUSIVE if said else Verdict.NOT_WORSE)
    assert ("4.0 during other" in compared.reason) is said


def test_differences_between_the_subjects_are_listed(store: ResultStore, found: EvalSet) -> None:
    first = run_it(store, found, scripted("a", skill=1.0))
    second = run_it(store, found, scripted("b", skill=1.5), code_commit="def", parallel=2)
    compared = compare_runs(store, first, second)
    assert compared.changes == (("code commit", "abc", "def"), ("subject", "a", "b"), ("skill", "1.0", "1.5"))
    assert "the runs differ in parallel (1 and 2); times are not comparable" in compared.remarks


def test_runs_are_found_by_name_and_by_subject(store: ResultStore, found: EvalSet) -> None:
    run_it(store, found, scripted("a"), "first")
    last = run_it(store, found, scripted("a"), "second")
    assert store.resolve("first").run == "first"
    assert store.resolve("a").run == store.resolve("toy/a").run == last.run
    with pytest.raises(StoreError, match="is neither a run nor a subject"):
        store.resolve("b")


def test_a_parquet_file_follows_its_journal(store: ResultStore, found: EvalSet) -> None:
    subject = scripted("a")
    record = record_of(found, subject)
    run_set(found, subject, store, record, limits=QUICK, should_stop=iter([False, True, True, True]).__next__)
    before = store.load(record).height
    path = store.settle(record)
    written = path.stat().st_ino
    assert store.settle(record).stat().st_ino == written
    run_set(found, subject, store, record, limits=QUICK)
    assert before < store.load(record).height == 240
