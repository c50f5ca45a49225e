import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.shared import ranking_metrics as metrics


def test_metrics_of_known_rankings() -> None:
    ranked = ["a", "b", "c", "d"]
    assert metrics.recall(ranked, ["b", "x"], 3) == 0.5
    assert metrics.reciprocal_rank(ranked, ["c"], 10) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(ranked, ["c"], 2) == 0
    assert metrics.ndcg(ranked, ["a", "b"], 10) == 1
    assert metrics.ndcg(ranked, ["b"], 10) == pytest.approx(1 / math.log2(3))
    assert metrics.overlap(ranked, ["b", "a", "x"], 2) == 1


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
