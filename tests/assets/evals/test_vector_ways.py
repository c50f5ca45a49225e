"""The ways to combine vectors that `python -m tests.bench.vectors` compares, with weights from other packages."""

import numpy as np
import pytest

from assets.evals.sets.localisation import LocalisationCase, Retrieval
from tests.bench.vectors import WAYS, left_out

SCORES = np.array([3.0, 2.0, 1.0])
CHUNKS = np.array([[0.1, 0.2, np.nan], [0.3, np.nan, np.nan], [0.8, 0.9, 0.7]])
JOINED = np.array([0.1, 0.2, 0.9])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_weight_0_keeps_the_order_and_a_large_weight_gives_that_of_the_vectors(way) -> None:  # type: ignore[no-untyped-def]
    assert np.argsort(-way(SCORES, CHUNKS, JOINED, 0.0)).tolist() == [0, 1, 2]
    assert np.argsort(-way(SCORES, CHUNKS, JOINED, 1000.0)).tolist() == [2, 1, 0]


def test_a_package_is_ranked_with_the_weight_that_is_best_for_the_others() -> None:
    cases = [LocalisationCase(str(n), f"p{n}", "1", "q", frozenset({"f"})) for n in range(3)]

    def scores(*ranks: float) -> dict[str, Retrieval]:
        return {str(n): Retrieval((0.0,) * 4, rank) for n, rank in enumerate(ranks)}

    low, high = scores(1.0, 0.5, 0.5), scores(0.0, 0.75, 0.75)
    chosen = left_out(cases, [low, high])
    assert chosen["0"] == high["0"], "not the weight that is best for itself"
    assert chosen["1"] == low["1"]
