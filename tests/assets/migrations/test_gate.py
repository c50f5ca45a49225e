import math
import uuid
from dataclasses import replace

import numpy as np
import pytest

from assets.migrations.gate.judge import SAFE, PairedAnswer, decide, judge_models
from assets.migrations.gate.queries import JudgedQuery, clean_message
from assets.migrations.lifecycle.plan import disk_bytes, index_bytes
from core.statistics import Verdict
from core.teams import DEFAULT_TEAM

K = 10
MARGIN = 0.03


def answers(ranks: np.ndarray, others: np.ndarray) -> list[PairedAnswer]:
    """One query per pair: the rank of its one right file for the old and the new model (K: not found)."""
    found = []
    for number, (one, other) in enumerate(zip(ranks, others, strict=True)):
        query = JudgedQuery(DEFAULT_TEAM, "s", f"query {number}", ("right",), f"cluster {number}", "py")
        found.append(
            PairedAnswer(uuid.UUID(int=0), "s", query.text, listed(int(one)), listed(int(other)), 1.0, 1.0, query)
        )
    return found


def listed(place: int) -> tuple[str, ...]:
    paths = [f"wrong {number}" for number in range(K)]
    if place < K:
        paths[place] = "right"
    return tuple(paths)


def simulated(rng: np.random.Generator, queries: int, lost: float) -> list[PairedAnswer]:
    """Old and new agree on most queries and differ at random on the rest; the new one misses `lost` more."""
    old = np.minimum(rng.geometric(0.25, queries) - 1, K)
    new = np.where(rng.random(queries) < 0.7, old, np.minimum(rng.geometric(0.25, queries) - 1, K))
    return answers(old, np.where(rng.random(queries) < lost, K, new))


def test_equal_models_are_called_different_no_more_often_than_stated() -> None:
    rng = np.random.default_rng(1)
    verdicts = [decide(simulated(rng, 100, 0.0), k=K, margin=MARGIN, seed=n, draws=200)[1] for n in range(500)]
    assert verdicts.count(Verdict.WORSE) / 500 <= 0.05
    assert (verdicts.count(Verdict.WORSE) + verdicts.count(Verdict.BETTER)) / 500 <= 0.05 + 2 * math.sqrt(
        0.05 * 0.95 / 500
    )


def test_a_planted_loss_of_five_points_beyond_the_margin_never_passes_and_is_detected() -> None:
    rng = np.random.default_rng(2)
    results = [decide(simulated(rng, 400, 0.13), k=K, margin=MARGIN, seed=n, draws=200) for n in range(50)]
    lost = np.mean([effects[0].estimate for effects, _, _ in results])
    assert -0.10 < lost < -0.06
    verdicts = [verdict for _, verdict, _ in results]
    assert verdicts.count(Verdict.WORSE) / len(results) >= 0.8
    assert sum(verdict in SAFE for verdict in verdicts) / len(results) <= 0.025 + 0.05


def test_few_queries_are_inconclusive_and_say_how_many_more_would_decide() -> None:
    result = judge_models(simulated(np.random.default_rng(3), 12, 0.0), k=K, margin=MARGIN)
    assert result["verdict"] == "inconclusive"
    assert not result["safe"]
    more = result["more_queries"]
    assert more > 0
    again = judge_models(simulated(np.random.default_rng(4), 12 + 2 * more, 0.0), k=K, margin=MARGIN)
    assert again["safe"]


def test_no_queries_at_all_are_inconclusive() -> None:
    result = judge_models([], k=K, margin=MARGIN)
    assert (result["verdict"], result["safe"], result["more_queries"]) == ("inconclusive", False, 101)


@pytest.mark.parametrize("queries", [6, 40, 99])
def test_few_queries_that_all_agree_prove_nothing(queries: int) -> None:
    result = judge_models(answers(np.zeros(queries), np.zeros(queries)), k=K, margin=MARGIN)
    assert (result["verdict"], result["safe"]) == ("inconclusive", False)
    assert "may miss rare failures" in result["reason"]
    assert judge_models(answers(np.zeros(120), np.zeros(120)), k=K, margin=MARGIN)["safe"]
    assert 101 <= queries + result["more_queries"] <= 102


def test_a_model_that_loses_everything_is_worse_and_its_worst_queries_are_shown() -> None:
    result = judge_models(answers(np.zeros(40), np.full(40, K)), k=K, margin=MARGIN)
    assert result["verdict"] == "worse"
    assert len(result["worst"]) == 20
    assert (result["worst"][0]["old_ndcg"], result["worst"][0]["new_ndcg"]) == (1.0, 0.0)
    assert {(s["kind"], s["name"]) for s in result["strata"]} == {("source", "s"), ("language", "py")}


def test_lines_that_tools_added_are_removed_from_commit_messages() -> None:
    message = "Fix the parser\n\nIt lost\x00 a token.\n\nSigned-off-by: A <a@example.org>\nChange-Id: I12"
    assert clean_message(message) == "Fix the parser It lost  a token."


def test_disk_is_estimated_by_page() -> None:
    assert disk_bytes(0, 384) == 0
    # 24 + 16 + 8 + 4 + 8 + 1536 bytes and a line pointer: five rows a page.
    assert disk_bytes(5000, 384) == (1000 + 19) * 8192 + 0


@pytest.mark.parametrize(("dimensions", "measured"), [(64, 551.6), (384, 1223.3), (1024, 2733.4)])
def test_the_index_of_a_large_table_is_estimated_too(dimensions: int, measured: float) -> None:
    assert index_bytes(1000, dimensions) / 1000 == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("alike", [0.6, 1.0])
def test_the_stated_number_of_further_queries_decides_however_they_are_clustered(size: int, alike: float) -> None:
    decided = 0
    for seed in range(25):
        rng = np.random.default_rng([size, seed])
        first = clustered(rng, 15, size, alike)
        said = judge_models(first, k=K, margin=MARGIN, draws=200)
        assert said["verdict"] == "inconclusive"
        assert said["more_queries"] == pytest.approx(size * said["more_files"], abs=size)
        again = judge_models(first + clustered(rng, said["more_files"], size, alike), k=K, margin=MARGIN, draws=200)
        decided += again["verdict"] != "inconclusive"
    assert decided >= 17  # of 25 at a power of 0.8, less often than once in a thousand by chance


def clustered(rng: np.random.Generator, files: int, size: int, alike: float) -> list[PairedAnswer]:
    """Equally good models; where they rank a file differently, they do so for each query about it."""
    old = np.minimum(rng.geometric(0.25, files * size) - 1, K)
    other = np.minimum(rng.geometric(0.25, files * size) - 1, K)
    made = answers(old, np.where(np.repeat(rng.random(files) < alike, size), old, other))
    named = [f"{rng.integers(1 << 60)}" for _ in range(files)]
    return [
        replace(one, query=replace(one.query, cluster=named[place // size]))
        for place, one in enumerate(made)
        if one.query is not None
    ]


def test_the_number_for_the_measured_difference_is_stated_if_it_differs() -> None:
    rng = np.random.default_rng(5)
    result = judge_models(simulated(rng, 300, 0.02), k=K, margin=MARGIN)
    assert result["verdict"] == "inconclusive"
    assert result["more_queries_as_seen"] > 1.25 * result["more_queries"]
    assert "if the difference stays as it is" in result["reason"]


def test_each_further_comparison_has_half_the_significance_level_of_the_one_before() -> None:
    known = simulated(np.random.default_rng(6), 200, 0.0)
    first, second = (judge_models(known, k=K, margin=MARGIN, look=look) for look in (1, 2))
    assert (first["level"], second["level"]) == (0.05, 0.025)
    assert second["metrics"][0]["low"] < first["metrics"][0]["low"]


@pytest.mark.parametrize(
    ("old_ms", "new_ms", "said"),
    [(44.0, 250.0, 5.7), (100.0, 190.0, None), (2.0, 6.0, None), (44.0, 20.0, None)],
)
def test_a_model_that_makes_searches_much_slower_is_for_an_operator(
    old_ms: float, new_ms: float, said: float | None
) -> None:
    known = [replace(answer, old_ms=old_ms, new_ms=new_ms) for answer in answers(np.zeros(120), np.zeros(120))]
    result = judge_models(known, k=K, margin=MARGIN)
    assert (result["safe"], result["slower"]) == (True, said)
    assert judge_models(known, k=K, margin=MARGIN, slower=6.0)["slower"] is None
