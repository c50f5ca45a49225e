import numpy as np
import pytest

from assets.migrations.gate.calibration import K, Rate, calibrate, planned_queries, simulated
from assets.shared import ranking_metrics as metrics


def test_the_gate_errs_as_rarely_as_stated_and_detects_a_planted_loss() -> None:
    found = calibrate(40, seed=1)
    assert found.holds, found.as_dict()
    rates = {rate.name: rate.rate for rate in found.rates}
    assert rates["a planted loss called worse"] >= 0.7
    assert rates["a planted loss let through"] == 0
    assert 150 < found.queries < 600


def test_the_planted_loss_is_the_requested_one() -> None:
    answers = simulated(np.random.default_rng(2), 20_000, 0.1)
    old, new = (
        np.mean([metrics.ndcg(getattr(one, side), ("right",), K) for one in answers]) for side in ("old", "new")
    )
    assert new == pytest.approx(0.9 * old, abs=0.005)
    clusters = [one.query.cluster for one in answers if one.query]
    assert len(set(clusters)) == len(clusters) // 2


def test_smaller_losses_need_more_queries() -> None:
    assert planned_queries(0.03, 0.6) > 2 * planned_queries(0.06, 0.6)


def test_a_rate_holds_until_its_whole_interval_is_on_the_wrong_side() -> None:
    assert Rate("x", 3, 100, 0.03, 0.006, 0.085, 0.025, True).holds
    assert not Rate("x", 10, 100, 0.1, 0.05, 0.18, 0.025, True).holds
    assert not Rate("x", 50, 100, 0.5, 0.4, 0.6, 0.8, False).holds


@pytest.mark.parametrize("given", [{"loss": 0.0}, {"margin": 0.9}, {"migrations": 0}])
def test_a_calibration_that_would_show_nothing_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="show nothing"):
        calibrate(**{"migrations": 5, **given})  # type: ignore[arg-type]
