"""Damaged or incomplete results are found, both by the checks and by the Great Expectations suites."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from assets.evals.runs.result_checks import CHECKS, check_results
from assets.evals.runs.results import RunRecord
from assets.evals.runs.store import ResultStore
from assets.evals.sets.eval_set import EvalSet
from assets.evals.sets.set_suites import result_docs
from tests.assets.evals.eval_cases import plain_set, record_of, run_it, scripted

Rows = list[dict[str, Any]]


def _set(name: str, value: object) -> Callable[[Rows], None]:
    def damage(rows: Rows) -> None:
        rows[0][name] = value

    return damage


DAMAGES: dict[str, tuple[Callable[[Rows], None], str, str]] = {
    "a row is gone": (lambda rows: rows.__delitem__(3), "results_are_whole", "29 of 30 results"),
    "a row is there twice": (
        lambda rows: rows.__setitem__(1, rows[0]), "results_are_whole", "more than one result for case-000 (0)",
    ),
    "a case is invented": (_set("case", "invented"), "results_are_whole", "invented (0) is not in the plan"),
    "a repeat is invented": (_set("repeat", 7), "results_are_whole", "case-000 (7) is not in the plan"),
    "a cost is negative": (_set("cost", -1.0), "results_are_sound", "case-000 (0) has a metric that is negative"),
    "a cost is not a number": (
        _set("cost", float("nan")), "results_are_sound", "case-000 (0) has a metric that is negative or not finite",
    ),
    "nobody knows the outcome": (
        _set("success", None), "results_are_sound", "case-000 (0) has a success that does not fit its outcome",
    ),
    "an outcome is unknown": (_set("outcome", "lucky"), "results_are_sound", "case-000 (0) has an unknown outcome"),
    "it was never tried": (_set("tries", 0), "results_are_sound", "case-000 (0) lacks its end time"),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultStore, EvalSet, RunRecord]:
    root = tmp_path_factory.mktemp("results")
    found, store = plain_set(root / "toy", 30), ResultStore(root / "evals")
    return store, found, run_it(store, found, scripted("base"), "one")


def test_sound_results_have_no_problems(results: tuple[ResultStore, EvalSet, RunRecord]) -> None:
    store, found, record = results
    looked = check_results(store, record, found)
    assert looked.problems == ()
    assert {result.name: result.passed for result in result_docs("one", looked, store.root).results} == dict.fromkeys(
        CHECKS, True
    )


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_results_are_found_by_check_and_suite(
    name: str, results: tuple[ResultStore, EvalSet, RunRecord], tmp_path: Path
) -> None:
    store, found, record = results
    damage, check, said = DAMAGES[name]
    path = store.parquet(record)
    whole = polars.read_parquet(path, hive_partitioning=False)
    rows = whole.to_dicts()
    damage(rows)
    try:
        polars.DataFrame(rows, schema=whole.schema).write_parquet(path)
        looked = check_results(store, record, found)
    finally:
        whole.write_parquet(path)
    assert [problem for problem in looked.by_check[check] if said in problem], looked.by_check
    assert {name for name, problems in looked.by_check.items() if problems} == {check}
    docs = result_docs("damaged", looked, tmp_path)
    assert {result.name for result in docs.results if not result.passed} == {check}, docs


def test_an_input_without_a_version_is_reported(results: tuple[ResultStore, EvalSet, RunRecord]) -> None:
    store, found, record = results
    for changes, said in (
        ({"code_commit": ""}, "code commit has no version"),
        ({"identity": {**record.identity, "engine": ""}}, "identity of the subject has no version"),
    ):
        looked = check_results(store, record.model_copy(update=changes), found)
        assert said in looked.by_check["versions_are_known"]


def test_results_of_an_older_version_are_not_checked_against_the_present_cases(
    results: tuple[ResultStore, EvalSet, RunRecord], tmp_path: Path
) -> None:
    store, _, record = results
    assert check_results(store, record, plain_set(tmp_path / "toy", 10, version="2.0.0")).problems == ()


def test_a_run_without_rows_is_not_whole(tmp_path: Path) -> None:
    found, store = plain_set(tmp_path / "toy", 30), ResultStore(tmp_path / "evals")
    record = record_of(found, scripted("base"), "empty")
    with store.journal(record):
        pass
    assert check_results(store, record, found).by_check["results_are_whole"][0].startswith("0 of 30 results")
