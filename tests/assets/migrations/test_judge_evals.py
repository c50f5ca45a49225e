from collections.abc import Callable
from typing import Any

import pytest

from assets.migrations.gate import evidence
from assets.migrations.gate.evidence import EvalEvidence, combine, first_sentence
from assets.migrations.gate.judge import judge_models
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.record import Migration
from assets.migrations.report import report
from assets.platform import Platform
from core.embedding.spec import BuiltIn
from core.statistics import Verdict

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)
Begin = Callable[..., Migration]


def found(verdict: str, name: str = "localisation", *, retrieval: bool = True) -> EvalEvidence:
    return EvalEvidence(
        set_name=name, set_version="1.0.0", retrieval=retrieval, cases=300, verdict=Verdict(verdict),
        sentence=f"The new model is {verdict}.", reason=f"recall is {verdict}", old_run="old-run", new_run="new-run",
        metrics=({"name": "MRR", "role": "primary", "old": 0.5, "new": 0.4, "difference": -0.1, "low": -0.15,
                  "high": -0.05, "verdict": verdict},),
        lost=("click-001", "<b>case</b>"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("queries", "sets", "expected"),
    [
        ("not worse", [], "not worse"),
        ("not worse", ["not worse"], "not worse"),
        ("not worse", ["better"], "better"),
        ("better", ["not worse"], "better"),
        ("better", ["inconclusive"], "inconclusive"),
        ("better", ["better", "worse"], "worse"),
        ("inconclusive", ["better"], "inconclusive"),
        ("inconclusive", ["worse"], "worse"),
        ("worse", ["better"], "worse"),
    ],
)
def test_queries_and_each_retrieval_set_must_be_shown_to_be_no_worse(
    queries: str, sets: list[str], expected: str
) -> None:
    verdict, reason = combine(Verdict(queries), "the queries say so", [found(one, one) for one in sets])
    assert verdict == expected
    if expected in sets and expected != queries:
        assert reason == f"eval set {expected}: recall is {expected}"


def test_sets_of_other_kinds_are_shown_and_do_not_decide() -> None:
    assert combine(Verdict.BETTER, "why", [found("worse", retrieval=False)]) == (Verdict.BETTER, "why")


def test_without_queries_a_good_eval_set_is_inconclusive() -> None:
    result = judge_models([], k=10, margin=0.03, evals=[found("better")])
    assert (result["verdict"], result["safe"], result["queries_verdict"]) == ("inconclusive", False, "inconclusive")
    assert result["evals"][0]["set_name"] == "localisation"


def test_an_eval_set_that_found_the_new_model_worse_prevents_the_cut_over(platform: Platform, begin: Begin) -> None:
    asked: list[tuple[str, str]] = []

    def evals(old: str, new: str) -> list[dict[str, Any]]:
        asked.append((old, new))
        return [found("worse").model_dump(mode="json")]

    platform.model_evals = evals
    driven = drive(platform, begin(GOOD).id)
    assert driven.migration.state == "judged"
    assert driven.waits_for.startswith("an operator: the gate says worse (eval set localisation: recall is worse)")
    assert [one.partition("@")[0] for one in asked[0]] == ["hashing-256", "hashing-512"]
    comparison = driven.migration.comparison
    assert comparison is not None
    assert comparison["queries_verdict"] in ("better", "not worse")
    assert comparison["metrics"][0]["bm25"] > 0.5  # BM25 alone
    assert set(comparison["changed"]) == {"better", "same", "worse"}

    evidence.update(platform, driven.migration)
    with platform.database.system() as connection:
        migration, events = report.read(connection)
    assert [event.kind for event in events].count("evals") == 1
    said = "No: the eval set localisation found good worse than hashing."
    assert report.as_data(migration, events)["sentence"] == said
    page, text = report.as_html(migration, events), report.as_markdown(migration, events)
    for told in (page, text):
        assert said in told
        assert "The new model is worse." in told
    assert "penstock eval compare old-run new-run" in page
    assert "&lt;b&gt;case&lt;/b&gt;" in page
    assert "<b>case" not in page

    # What evals find later is told, and again only when it changed.
    platform.model_evals = lambda old, new: [found("better").model_dump(mode="json")]
    evidence.update(platform, migration)
    with platform.database.system() as connection:
        events = record.timeline(connection, migration.id)
    assert first_sentence(migration, evidence.latest(events)).startswith("Yes: good can take over from hashing; ")


def test_records_that_are_not_evidence_are_refused(platform: Platform, begin: Begin) -> None:
    platform.model_evals = lambda old, new: [{"set_name": "x", "verdict": "fine"}]
    with pytest.raises(ValueError, match="verdict"):
        evidence.update(platform, begin(GOOD))
