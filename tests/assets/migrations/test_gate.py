import math
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.migrations import metrics
from assets.migrations.judge import SAFE, Answer, decide, judge
from assets.migrations.plan import disk_bytes
from assets.migrations.queries import JudgedQuery, clean_message
from core.statistics import Verdict
from core.teams import DEFAULT_TEAM

K = 10
MARGIN = 0.03


def test_metrics_of_known_rankings() -> None:
    ranked = ["a", "b", "c", "d"]
    assert metrics.recall(ranked, ["b", "x"], 3) == 0.5
    assert metrics.reciprocal_rank(ranked, ["c"], 10) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(ranked, ["c"], 2) == 0
    assert metrics.ndcg(ranked, ["a", "b"], 10) == 1
    assert metrics.ndcg(ranked, ["b"], 10) == pytest.approx(1 / math.log2(3))
    assert metrics.overlap(ranked, ["b", "a", "x"], 2) == 1
    assert metrics.percentile([3, 1, 2, 4], 0.5) == 2
    assert metrics.percentile([], 0.5) == 0


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=4),
    st.integers(1, 10),
)
def test_metrics_lie_between_0_and_1_and_the_best_order_scores_best(
    ranked: list[str], relevant: set[str], k: int
) -> None:
    best = sorted(ranked, key=lambda path: path not in relevant)
    for measure in (metrics.recall, metrics.ndcg, metrics.reciprocal_rank):
        assert 0 <= measure(ranked, relevant, k) <= measure(best, relevant, k) <= 1


def answers(ranks: np.ndarray, others: np.ndarray) -> list[Answer]:
    """A query each: the place of its one right file for the old model and for the new one (K: not found)."""
    found = []
    for number, (one, other) in enumerate(zip(ranks, others, strict=True)):
        query = JudgedQuery(DEFAULT_TEAM, "s", f"query {number}", ("right",), f"cluster {number}", "py")
        found.append(Answer(uuid.UUID(int=0), "s", query.text, listed(int(one)), listed(int(other)), 1.0, 1.0, query))
    return found


def listed(place: int) -> tuple[str, ...]:
    paths = [f"wrong {number}" for number in range(K)]
    if place < K:
        paths[place] = "right"
    return tuple(paths)


def simulated(rng: np.random.Generator, queries: int, lost: float) -> list[Answer]:
    """Old and new agree on most queries and differ at random on the rest; the new one misses `lost` more."""
    old = np.minimum(rng.geometric(0.25, queries) - 1, K)
    new = np.where(rng.random(queries) < 0.7, old, np.minimum(rng.geometric(0.25, queries) - 1, K))
    return answers(old, np.where(rng.random(queries) < lost, K, new))


def test_two_equal_models_are_called_different_no_more_often_than_is_stated() -> None:
    rng = np.random.default_rng(1)
    verdicts = [decide(simulated(rng, 100, 0.0), k=K, margin=MARGIN, seed=n, draws=200)[1] for n in range(500)]
    assert verdicts.count(Verdict.WORSE) / 500 <= 0.05
    assert (verdicts.count(Verdict.WORSE) + verdicts.count(Verdict.BETTER)) / 500 <= 0.05 + 2 * math.sqrt(
        0.05 * 0.95 / 500
    )


def test_a_planted_loss_of_five_points_beyond_the_margin_never_passes_and_is_caught() -> None:
    rng = np.random.default_rng(2)
    results = [decide(simulated(rng, 400, 0.13), k=K, margin=MARGIN, seed=n, draws=200) for n in range(50)]
    lost = np.mean([effects[0].estimate for effects, _, _ in results])
    assert -0.10 < lost < -0.06
    verdicts = [verdict for _, verdict, _ in results]
    assert verdicts.count(Verdict.WORSE) / len(results) >= 0.8
    assert sum(verdict in SAFE for verdict in verdicts) / len(results) <= 0.025 + 0.05


def test_few_queries_are_inconclusive_and_say_how_many_more_would_decide() -> None:
    result = judge(simulated(np.random.default_rng(3), 12, 0.0), k=K, margin=MARGIN)
    assert result["verdict"] == "inconclusive"
    assert not result["safe"]
    more = result["more_queries"]
    assert more > 0
    again = judge(simulated(np.random.default_rng(4), 12 + 2 * more, 0.0), k=K, margin=MARGIN)
    assert again["safe"]


def test_no_queries_at_all_are_inconclusive() -> None:
    result = judge([], k=K, margin=MARGIN)
    assert (result["verdict"], result["safe"], result["more_queries"]) == ("inconclusive", False, 101)


@pytest.mark.parametrize("queries", [6, 40, 99])
def test_few_queries_that_all_agree_prove_nothing(queries: int) -> None:
    result = judge(answers(np.zeros(queries), np.zeros(queries)), k=K, margin=MARGIN)
    assert (result["verdict"], result["safe"]) == ("inconclusive", False)
    assert "may miss failures that are rare" in result["reason"]
    assert judge(answers(np.zeros(120), np.zeros(120)), k=K, margin=MARGIN)["safe"]
    assert 101 <= queries + result["more_queries"] <= 102


def test_a_model_that_loses_everything_is_worse_and_its_worst_queries_are_shown() -> None:
    result = judge(answers(np.zeros(40), np.full(40, K)), k=K, margin=MARGIN)
    assert result["verdict"] == "worse"
    assert len(result["worst"]) == 20
    assert (result["worst"][0]["old_ndcg"], result["worst"][0]["new_ndcg"]) == (1.0, 0.0)
    assert {(s["kind"], s["name"]) for s in result["strata"]} == {("source", "s"), ("language", "py")}


def test_a_commit_message_is_asked_without_what_tools_added() -> None:
    message = "Fix the parser\n\nIt lost\x00 a token.\n\nSigned-off-by: A <a@example.org>\nChange-Id: I12"
    assert clean_message(message) == "Fix the parser It lost  a token."


def test_disk_is_estimated_by_page() -> None:
    assert disk_bytes(0, 384) == 0
    # 24 + 16 + 8 + 4 + 8 + 1536 bytes and a line pointer: five rows a page.
    assert disk_bytes(5000, 384) == (1000 + 19) * 8192 + 0
