"""Evals and migrations meet: results of runs that name two embedding models become evidence for a migration."""

from pathlib import Path
from typing import Any

import pytest

from assets.evals.runs.scripted import Quality, ScriptedSubject
from assets.evals.runs.store import ResultStore
from assets.evals.sets.eval_set import EvalSet
from assets.migrations.gate.evidence import EvalEvidence
from core.embedding import open_embedder
from dagster_project.migration_evidence import evidence_of, model_evals
from dagster_project.subjects.retrieval import RetrievalSubject
from tests.assets.evals.eval_cases import plain_set, run_it

OLD, NEW = "old-64@sha256:1", "new-64@sha256:2"


class Retrieval(ScriptedSubject):
    """A scripted subject that says that it searches with a model."""

    def __init__(self, name: str, model: str, **changes: Any) -> None:
        engine = changes.pop("engine", "retrieval")
        super().__init__(Quality(**changes), name)
        self._identity = {"engine": engine, "embedding_model": name, "model_digest": model}

    def identity(self) -> dict[str, str]:
        return self._identity


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "evals")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> EvalSet:
    return plain_set(tmp_path_factory.mktemp("sets") / "toy", 180)


def test_the_newest_runs_of_both_models_are_compared(store: ResultStore, questions: EvalSet) -> None:
    run_it(store, questions, Retrieval("old", OLD, skill=1.0), "old-run")
    run_it(store, questions, Retrieval("new", NEW, skill=3.0), "first")
    run_it(store, questions, Retrieval("new", NEW, skill=-1.5), "second")
    run_it(store, questions, Retrieval("other", "other-64@sha256:3", skill=3.0), "third")
    found = [EvalEvidence.model_validate(one) for one in evidence_of(store, OLD, NEW)]
    assert [(one.set_name, one.verdict, one.retrieval, one.old_run, one.new_run) for one in found] == [
        ("toy", "worse", True, "old-run", "second")
    ]
    assert found[0].cases == 180
    assert found[0].metrics[0].name == "success"
    assert (found[0].metrics[0].new or 0) < (found[0].metrics[0].old or 0)
    assert len(found[0].lost) > len(found[0].gained)


def test_runs_of_other_questions_or_other_engines_are_no_evidence(
    store: ResultStore, questions: EvalSet, tmp_path: Path
) -> None:
    run_it(store, questions, Retrieval("old", OLD, skill=1.0), "old-run")
    assert evidence_of(store, OLD, NEW) == []
    later = plain_set(tmp_path / "toy", 60, version="1.1.0")
    run_it(store, later, Retrieval("new", NEW, skill=1.0), "of-another-version")
    run_it(store, questions, Retrieval("new", NEW, skill=1.0, engine="model"), "of-another-engine")
    assert evidence_of(store, OLD, NEW) == []
    run_it(store, questions, Retrieval("old", OLD, skill=1.0, engine="model"), "old-engine")
    assert [one["retrieval"] for one in evidence_of(store, OLD, NEW)] == [False]
    assert evidence_of(ResultStore(tmp_path / "nothing"), OLD, NEW) == []


def test_the_identities_of_real_retrieval_subjects_meet(store: ResultStore, questions: EvalSet) -> None:
    models = {name: open_embedder(name).identity for name in ("hashing", "wordllama")}
    for name in models:
        subject = Retrieval(name, "")
        subject._identity = RetrievalSubject(name).identity()
        run_it(store, questions, subject, f"{name}-run")
    found = evidence_of(store, models["hashing"], models["wordllama"])
    assert [(one["old_run"], one["new_run"], one["retrieval"]) for one in found] == [
        ("hashing-run", "wordllama-run", True)
    ]


def test_runs_by_the_same_code_go_before_newer_ones(store: ResultStore, questions: EvalSet) -> None:
    run_it(store, questions, Retrieval("old", OLD, skill=1.0), "old-run")
    run_it(store, questions, Retrieval("new", NEW, skill=1.0), "same-code")
    run_it(store, questions, Retrieval("new", NEW, skill=1.0), "other-code", code_commit="def")
    assert [one["new_run"] for one in evidence_of(store, OLD, NEW)] == ["same-code"]


def test_results_that_cannot_be_read_decide_nothing(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.root / "runs" / "broken").mkdir(parents=True)
    (store.root / "runs" / "broken" / "run.json").write_text("{")
    monkeypatch.setattr("dagster_project.eval_places.result_store", lambda: store)
    found = EvalEvidence.model_validate(model_evals(OLD, NEW)[0])
    assert (found.verdict, found.retrieval) == ("inconclusive", True)
    assert "cannot be read" in found.sentence
