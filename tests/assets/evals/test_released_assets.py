"""Released fixes in Dagster: a case whose source cannot be fetched is lost to infrastructure, and rerun later."""

from pathlib import Path

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, MultiPartitionKey, materialize

from assets.evals.assets import SETS, SUBJECTS, eval_results
from assets.evals.bench import EvalBench
from assets.evals.harvest import releases
from assets.evals.runs.store import ResultStore
from assets.evals.sets.eval_set import seal
from dagster_project.subjects.registry import open_subject
from sandbox.protocol import Sandbox
from tests.assets.evals.released_sdists import Registry, case_of, write_case


def _run(bench: EvalBench) -> ExecuteInProcessResult:
    subject = "search:seconds=5"
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SETS.name or "", ["toy"])
        instance.add_dynamic_partitions(SUBJECTS.name or "", [subject])
        return materialize(
            [eval_results],
            instance=instance,
            partition_key=MultiPartitionKey({"set": "toy", "subject": subject}),
            resources={"eval_bench": bench},
            run_config={"ops": {"eval_results": {"config": {"run": "first"}}}},
            raise_on_error=False,
        )


def test_a_missing_source_is_an_infrastructure_failure_and_the_run_resumes_once_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    monkeypatch.setattr(releases, "CACHE", tmp_path / "cache")
    registry = Registry(tmp_path / "registry", monkeypatch)
    write_case(tmp_path / "toy", case_of(registry))
    seal(tmp_path / "toy")
    bench = EvalBench(ResultStore(tmp_path / "evals"), lambda name: tmp_path / name, open_subject, lambda: "abc")

    registry.folder.rename(tmp_path / "away")
    lost = {one.check_name: one for one in _run(bench).get_asset_check_evaluations()}
    assert not lost["results_are_whole"].passed
    assert "1 lost to infrastructure" in str(lost["results_are_whole"].description)

    (tmp_path / "away").rename(registry.folder)
    result = _run(bench)
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert result.success and all(checks.values()), checks
    [row] = bench.store.load(bench.store.record("first")).to_dicts()
    assert row["outcome"] in ("unresolved", "correct", "wrong")
