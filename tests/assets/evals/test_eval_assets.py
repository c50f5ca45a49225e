"""Evals as Dagster sees them: partitions, checks, and a comparison with its report."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, MultiPartitionKey, build_schedule_context, materialize

from assets.evals.assets import SETS, SUBJECTS, EvalBench, eval_comparison, eval_results
from assets.evals.store import ResultStore
from dagster_project.eval_jobs import eval_baseline_nightly
from dagster_project.subjects import open_subject
from tests.assets.evals.eval_cases import plain_set


@pytest.fixture
def bench(tmp_path: Path) -> EvalBench:
    plain_set(tmp_path / "toy", 90)
    return EvalBench(ResultStore(tmp_path / "evals"), lambda name: tmp_path / name, open_subject, lambda: "abc")


def _run(bench: EvalBench, subject: str, **config: Any) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SETS.name or "", ["toy", "gone"])
        instance.add_dynamic_partitions(SUBJECTS.name or "", [subject])
        return materialize(
            [eval_results],
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
        "set_is_sound": True,
        "results_are_whole": True,
        "baseline_has_not_drifted": True,
    }
    metadata = result.asset_materializations_for_node("eval_results")[0].metadata
    assert metadata["results"].value == 180
    assert Path(str(metadata["parquet"].value)).is_file()
    assert metadata["code_commit"].value == "abc"


def test_lost_results_and_drift_are_seen_by_checks(bench: EvalBench) -> None:
    assert _run(bench, "scripted:skill=2.5,name=base", run="first").success
    # The same identity in the record, but a subject that became much worse: what drift looks like from outside.
    worse = EvalBench(bench.store, bench.find_set, lambda _: _Drifted(), bench.code_commit)
    drifted = _run(worse, "scripted:skill=2.5,name=base", run="second")
    assert _checks(drifted)["baseline_has_not_drifted"] is False
    broken = _run(bench, "scripted:broken=1.0,name=broken", run="third", parallel=8)
    assert broken.success
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
        ("magic", {}, "'magic' is no subject"),
        ("scripted:skill=much", {}, "could not convert"),
        ("scripted", {"split": "check"}, "is no split of toy"),
    ],
)
def test_what_cannot_be_run_fails_with_its_reason(
    bench: EvalBench, subject: str, changes: dict[str, str], message: str
) -> None:
    result = _run(bench, subject, **changes)
    assert not result.success
    said = " ".join(str(event.event_specific_data) for event in result.all_events if event.is_step_failure)
    assert message in said


def test_a_comparison_leaves_a_report_and_its_check_says_whether_to_switch(bench: EvalBench) -> None:
    _run(bench, "scripted:skill=1.5,name=base", run="one", repeats=3)
    _run(bench, "scripted:skill=-0.5,name=cand", run="two", repeats=3)
    for baseline, candidate, passed in (("one", "two", False), ("two", "one", True)):
        result = materialize(
            [eval_comparison],
            resources={"eval_bench": bench},
            run_config={"ops": {"eval_comparison": {"config": {"baseline": baseline, "candidate": candidate}}}},
        )
        assert _checks(result) == {"candidate_may_replace_baseline": passed}
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
