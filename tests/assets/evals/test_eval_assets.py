"""Evals as Dagster sees them: partitions, blocking checks, and a comparison with its report."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars
import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, MultiPartitionKey, build_schedule_context, materialize

from assets.evals.assets import SETS, SUBJECTS, eval_cases, eval_results
from assets.evals.bench import EvalBench
from assets.evals.comparison_assets import eval_comparison, eval_pair
from assets.evals.runs.store import ResultStore
from assets.evals.sets.eval_set import load_set, seal
from core.health.eval_status import read_status
from dagster_project.jobs.evals import eval_baseline_nightly
from dagster_project.subjects.registry import open_subject
from tests.assets.evals.eval_cases import plain_set, run_it, scripted


@pytest.fixture
def bench(tmp_path: Path) -> EvalBench:
    plain_set(tmp_path / "toy", 90)
    return EvalBench(ResultStore(tmp_path / "evals"), lambda name: tmp_path / name, open_subject, lambda: "abc")


def _run(bench: EvalBench, subject: str, **config: Any) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SETS.name or "", ["toy", "gone"])
        instance.add_dynamic_partitions(SUBJECTS.name or "", [subject])
        return materialize(
            config.pop("assets", [eval_results]),
            instance=instance,
            partition_key=MultiPartitionKey({"set": config.pop("set", "toy"), "subject": subject}),
            resources={"eval_bench": bench},
            run_config={"ops": {"eval_results": {"config": config}}},
            raise_on_error=False,
        )


def _checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_a_partition_is_run_and_checked(bench: EvalBench) -> None:
    result = _run(bench, "scripted:skill=0.9", run="first", repeats=2)
    assert result.success
    assert _checks(result) == {
        "results_are_whole": True,
        "results_are_sound": True,
        "versions_are_known": True,
        "baseline_has_not_drifted": True,
    }
    metadata = result.asset_materializations_for_node("eval_results")[0].metadata
    assert metadata["results"].value == 180
    assert Path(str(metadata["parquet"].value)).is_file()
    assert metadata["code_commit"].value == "abc"
    assert "all 3 expectations" in _metadata(result, "results_are_whole")["suite"]
    page = Path(str(metadata["data_docs"].value))
    assert "results_are_sound" in page.read_text()
    [status] = read_status(bench.store.root)
    assert (status.run, status.drifted) == ("first", None)


def test_counts_are_shown_at_the_asset_while_it_runs(bench: EvalBench) -> None:
    result = _run(bench, "scripted:skill=0.9", run="first")
    *_, live = result.asset_observations_for_node("eval_results")
    assert (live.metadata["done"].value, live.metadata["of"].value) == (90, 90)


def test_a_set_that_is_not_sound_stops_the_run_before_its_first_case(bench: EvalBench) -> None:
    root = bench.find_set("toy")
    lines = (root / "cases.jsonl").read_text().splitlines()
    twin = json.loads(lines[0]) | {"id": "twin", "cluster": "alone"}
    (root / "cases.jsonl").write_text("\n".join([*lines, json.dumps(twin)]) + "\n")
    (root / "version").write_text("1.1.0\n")
    seal(root)
    result = _run(bench, "scripted", assets=[eval_cases, eval_results], run="never")
    assert not result.success
    assert _checks(result)["cases_are_distinct"] is False
    assert "case-000, twin are the same case" in _metadata(result, "cases_are_distinct")["problems"]
    assert "content expect_column_values_to_be_unique" in _metadata(result, "cases_are_distinct")["suite"]
    assert bench.store.runs() == []
    alone = _run(bench, "scripted", run="never")
    assert "are the same case" in _said(alone)
    assert bench.store.runs() == []


def test_a_sound_set_is_shown_before_its_results(bench: EvalBench) -> None:
    result = _run(bench, "scripted", assets=[eval_cases, eval_results], run="first")
    assert result.success
    assert all(_checks(result).values())
    shown = result.asset_materializations_for_node("eval_cases")[0].metadata
    assert (shown["cases"].value, shown["clusters"].value) == (90, 30)
    assert Path(str(shown["data_docs"].value)).is_file()


@pytest.mark.parametrize("assets", [[eval_pair, eval_comparison], [eval_comparison]])
def test_damaged_results_are_not_compared(bench: EvalBench, assets: Any) -> None:
    found = load_set(bench.find_set("toy"))
    run_it(bench.store, found, scripted("base"), "one")
    path = bench.store.parquet(run_it(bench.store, found, scripted("cand"), "two"))
    frame = polars.read_parquet(path, hive_partitioning=False)
    frame.slice(0, 89).write_parquet(path)
    result = _compare(bench, "one", "two", assets)
    assert not result.success
    assert "eval_comparison" not in {str(event.asset_key) for event in result.all_events if event.is_step_success}
    assert not result.asset_materializations_for_node("eval_comparison")
    if eval_pair in assets:
        assert {name for name, passed in _checks(result).items() if not passed} == {"results_are_whole"}
        assert "two: 89 of 90 results" in _metadata(result, "results_are_whole")["problems"]
    else:
        assert "two: 89 of 90 results" in _said(result)


def _compare(bench: EvalBench, baseline: str, candidate: str, assets: Any = None) -> ExecuteInProcessResult:
    return materialize(
        assets or [eval_pair, eval_comparison],
        resources={"eval_bench": bench},
        run_config={"ops": {"eval_comparison": {"config": {"baseline": baseline, "candidate": candidate}}}},
        raise_on_error=False,
    )


def _metadata(result: ExecuteInProcessResult, check: str) -> dict[str, str]:
    [one] = [one for one in result.get_asset_check_evaluations() if one.check_name == check]
    return {name: str(value.value) for name, value in one.metadata.items()}


def _said(result: ExecuteInProcessResult) -> str:
    return " ".join(str(event.event_specific_data) for event in result.all_events if event.is_step_failure)


def test_lost_results_and_drift_are_seen_by_checks(bench: EvalBench) -> None:
    assert _run(bench, "scripted:skill=2.5,name=base", run="first").success
    # The same identity in the record, but a subject that became much worse: what drift looks like from outside.
    worse = EvalBench(bench.store, bench.find_set, lambda _: _Drifted(), bench.code_commit)
    drifted = _run(worse, "scripted:skill=2.5,name=base", run="second")
    assert _checks(drifted)["baseline_has_not_drifted"] is False
    [status] = read_status(bench.store.root)
    assert (status.subject, status.run, status.drifted) == ("base", "second", True)
    broken = _run(bench, "scripted:broken=1.0,name=broken", run="third", parallel=8)
    assert not broken.success, "five losses in a row end a run, and then results are missing"
    assert _checks(broken)["results_are_whole"] is False


class _Drifted:
    name, kinds = "base", ("plain",)

    def __init__(self) -> None:
        self._as_before = open_subject("scripted:skill=2.5,name=base")
        self._now = open_subject("scripted:skill=-2,name=base")

    def identity(self) -> dict[str, str]:
        return self._as_before.identity()

    def start(self) -> None:
        """Needs nothing."""

    def solve(self, attempt: Any) -> Any:
        return self._now.solve(attempt)


@pytest.mark.parametrize(
    ("subject", "changes", "message"),
    [
        ("scripted", {"set": "gone"}, "set.json: No such file"),
        ("magic", {}, "'magic' is not a subject"),
        ("scripted:skill=much", {}, "could not convert"),
        ("scripted", {"split": "check"}, "is no split of toy"),
    ],
)
def test_what_cannot_be_run_fails_with_its_reason(
    bench: EvalBench, subject: str, changes: dict[str, str], message: str
) -> None:
    result = _run(bench, subject, **changes)
    assert not result.success
    assert message in _said(result)


def test_a_comparison_leaves_a_report_and_its_check_says_whether_to_switch(bench: EvalBench) -> None:
    _run(bench, "scripted:skill=1.5,name=base", run="one", repeats=3)
    _run(bench, "scripted:skill=-0.5,name=cand", run="two", repeats=3)
    for baseline, candidate, passed in (("one", "two", False), ("two", "one", True)):
        result = _compare(bench, baseline, candidate)
        assert _checks(result).pop("candidate_may_replace_baseline") is passed
        metadata = result.asset_materializations_for_node("eval_comparison")[0].metadata
        assert metadata["verdict"].value == ("better" if passed else "worse")
        assert Path(str(metadata["report"].value)).read_text().startswith("<!doctype html>")


def test_the_nightly_baseline_asks_for_its_partition_once_a_night(tmp_path: Path) -> None:
    night = datetime(2026, 3, 1, 1, 23, tzinfo=UTC)
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        asked = [
            eval_baseline_nightly(build_schedule_context(instance, scheduled_execution_time=night)) for _ in range(2)
        ]
        assert instance.get_dynamic_partitions(SETS.name or "") == ["repair"]
    first = asked[0][0]  # type: ignore[index]
    assert first.partition_key == MultiPartitionKey({"set": "repair", "subject": "search"})
    assert first.run_key == asked[1][0].run_key  # type: ignore[index]
