"""Statistics of paired comparisons: formulas against published values, and properties that must hold for any data."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.statistics import (
    Interval,
    MetricSpec,
    PairedData,
    TooFewClusters,
    Verdict,
    bootstrap,
    cases_for_margin,
    cases_for_mean,
    cases_for_rate,
    clopper_pearson,
    cluster_interval,
    compare_metric,
    conclude,
    design_effect,
    effect_for_rate,
    holm,
    kish_size,
    mcnemar,
    mcnemar_power,
    paired_rate_interval,
    percentile,
    power_for_rate,
    sign_flip,
    wilson,
)
from core.statistics.distributions import beta_quantile, binomial_cdf, t_quantile

SUCCESS = MetricSpec("success", "rate", "higher", 0.10, "primary")
SECONDS = MetricSpec("seconds", "ratio", "lower", 0.10)


@pytest.mark.parametrize(
    ("baseline", "candidate", "reason"),
    [
        (0.0, 0.0, "it is 0 in every case of the baseline and the candidate, so there is no ratio to compare"),
        (2.0, 0.0, "it is 0 in every case of the candidate, so there is no ratio to compare"),
        (-1.0, 2.0, "the baseline has an amount below 0, so there is no ratio to compare"),
    ],
)
def test_amounts_without_a_ratio_say_why(baseline: float, candidate: float, reason: str) -> None:
    effect = compare_metric(SECONDS, PairedData.of(np.full(20, baseline), np.full(20, candidate)))
    assert (effect.verdict, effect.reason) == (Verdict.INCONCLUSIVE, reason)


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3, 1, 2, 4], 0.5) == 2
    assert percentile([3, 1, 2, 4], 0.95) == 4
    assert percentile([], 0.5) == 0


def test_distributions_agree_with_published_values() -> None:
    assert t_quantile(0.975, 5) == pytest.approx(2.57058184, abs=1e-7)
    assert t_quantile(0.995, 15) == pytest.approx(2.94671288, abs=1e-7)
    assert t_quantile(0.9, 1.5) == pytest.approx(2.19639842, abs=1e-7)
    assert t_quantile(0.025, 5) == pytest.approx(-2.57058184, abs=1e-7)
    assert beta_quantile(0.025, 3, 8) == pytest.approx(0.0667395112, abs=1e-9)
    assert beta_quantile(0.3521975860, 2.5, 4) == pytest.approx(0.3, abs=1e-9)
    assert binomial_cdf(3, 20, 0.3) == pytest.approx(0.1070868045, abs=1e-9)


@pytest.mark.parametrize(("p", "degrees"), [(0.0, 5), (1.0, 5), (0.9, 0)])
def test_a_quantile_that_does_not_exist_is_an_error(p: float, degrees: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        t_quantile(p, degrees)


def test_intervals_of_a_rate_agree_with_published_values() -> None:
    exact, score = clopper_pearson(7, 57), wilson(7, 57)
    assert (exact.low, exact.high) == pytest.approx((0.0508289402, 0.2367949994), abs=1e-8)
    assert (score.low, score.high) == pytest.approx((0.0607806016, 0.2324644844), abs=1e-8)


@given(trials=st.integers(1, 200), data=st.data())
def test_the_exact_interval_contains_the_rate_and_reaches_0_only_without_successes(
    trials: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, trials))
    for interval in (clopper_pearson(successes, trials), wilson(successes, trials)):
        assert 0 <= interval.low <= successes / trials + 1e-12
        assert successes / trials - 1e-12 <= interval.high <= 1
    assert (clopper_pearson(successes, trials).low == 0) == (successes == 0)


def test_the_paired_interval_agrees_with_tangos_own_example() -> None:
    # Tango 1998, table II: 44 pairs of contact lens treatments, 1 and 0 discordant.
    found = paired_rate_interval(1, 0, 44, 1.959964)
    assert (found.low, found.high) == pytest.approx((-0.0597, 0.1184), abs=2e-3)


def test_without_a_single_differing_pair_the_interval_still_has_width() -> None:
    z = 1.959964
    found = paired_rate_interval(0, 0, 57, z)
    assert found.high == pytest.approx(z * z / (57 + z * z), abs=1e-6)
    assert found.low == pytest.approx(-found.high, abs=1e-6)


@given(wins=st.integers(0, 60), losses=st.integers(0, 60), agree=st.integers(1, 200))
def test_the_paired_interval_contains_the_estimate_and_is_mirrored_when_subjects_swap(
    wins: int, losses: int, agree: int
) -> None:
    pairs = wins + losses + agree
    one, other = paired_rate_interval(wins, losses, pairs, 1.96), paired_rate_interval(losses, wins, pairs, 1.96)
    assert one.low <= (wins - losses) / pairs <= one.high
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-6)


def test_mcnemars_test_agrees_with_the_binomial_test() -> None:
    assert mcnemar(4, 11) == pytest.approx(0.11846923828, abs=1e-9)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0


@given(wins=st.integers(0, 30), losses=st.integers(0, 30), agree=st.integers(0, 30))
def test_sign_flips_of_single_cases_are_mcnemars_test(wins: int, losses: int, agree: int) -> None:
    first = [0.0] * wins + [1.0] * losses + [1.0] * agree
    second = [1.0] * wins + [0.0] * losses + [1.0] * agree
    assert sign_flip(PairedData.of(first, second)) == pytest.approx(mcnemar(wins, losses), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=14, max_size=16))
def test_the_exact_ways_to_flip_signs_agree(sums: list[int]) -> None:
    values = np.array(sums, dtype=float)
    exact = sign_flip(PairedData.of(np.zeros(values.size), values))
    flips = np.abs(values)
    signs = 1.0 - 2.0 * ((np.arange(1 << values.size)[:, None] >> np.arange(values.size)) & 1)
    assert exact == pytest.approx(float(np.mean(np.abs(signs @ flips) >= abs(values.sum()) - 1e-9)), abs=1e-9)


def test_drawn_flips_come_close_to_the_exact_ones() -> None:
    whole = np.array([1.0, -2, 3, 2, 1, 1, 2, -1, 3, 1, 2, -2, 1, 1, 2, 1, -1, 2])
    exact = sign_flip(PairedData.of(np.zeros(whole.size), whole))
    drawn = sign_flip(PairedData.of(np.zeros(whole.size), whole + 1e-7 * np.arange(whole.size)))
    assert drawn == pytest.approx(exact, abs=0.01)
    assert drawn == sign_flip(PairedData.of(np.zeros(whole.size), whole + 1e-7 * np.arange(whole.size)))


def test_a_cluster_counts_once_however_many_cases_it_has() -> None:
    first, second = np.ones(60), np.concatenate([np.zeros(20), np.ones(40)])
    apart = sign_flip(PairedData.of(first, second))
    together = sign_flip(PairedData.of(first, second, np.repeat(np.arange(12), 5)))
    assert apart < 1e-5
    assert together == pytest.approx(2 / 2**4)


def test_the_bootstrap_interval_agrees_with_the_t_interval_on_well_behaved_data() -> None:
    rng = np.random.default_rng(3)
    difference = rng.normal(1.0, 2.0, 80)
    found = bootstrap(PairedData.of(np.zeros(80), difference), "difference")
    half = t_quantile(0.975, 79) * difference.std(ddof=1) / math.sqrt(80)
    assert found.low == pytest.approx(difference.mean() - half, abs=0.15)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.15)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.2, 5.0), seed=st.integers(0, 100))
def test_the_interval_of_a_ratio_shifts_with_the_unit_and_is_mirrored_when_subjects_swap(
    factor: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.lognormal(0, 1, 30), rng.lognormal(0.1, 1, 30)
    plain = bootstrap(PairedData.of(first, second), "log ratio", draws=500)
    scaled = bootstrap(PairedData.of(first, second * factor), "log ratio", draws=500)
    turned = bootstrap(PairedData.of(second, first), "log ratio", draws=500)
    assert scaled.low - plain.low == pytest.approx(math.log(factor), abs=1e-6)
    assert turned.low == pytest.approx(-plain.high, abs=0.05)


def test_clustered_cases_give_a_wider_interval_than_independent_ones() -> None:
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(15), 8)
    difference = rng.normal(0, 1, 15)[label] + rng.normal(0, 0.3, 120)
    apart = bootstrap(PairedData.of(np.zeros(120), difference), "difference")
    together = bootstrap(PairedData.of(np.zeros(120), difference, label), "difference")
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_the_interval_is_never_shorter_than_student_s_or_the_bootstrap_s() -> None:
    rng = np.random.default_rng(9)
    label = np.repeat(np.arange(8), 4)
    data = PairedData.of(rng.lognormal(1, 1, 32), rng.lognormal(1, 1, 32), label)
    for statistic in ("difference", "log ratio"):
        whole, part = cluster_interval(data, statistic), bootstrap(data, statistic)
        assert whole.low <= part.low < part.high <= whole.high
    half = t_quantile(0.975, 7) * math.sqrt(data.mean_variance)
    whole = cluster_interval(data, "difference")
    middle = float(data.difference.mean())
    assert whole.low <= middle - half + 1e-9
    assert middle + half - 1e-9 <= whole.high


def test_the_interval_of_a_rate_is_wider_where_whole_clusters_flip() -> None:
    label = np.repeat(np.arange(20), 6)
    lost = np.isin(label, (1, 2, 3))
    together = compare_metric(SUCCESS, PairedData.of(np.ones(120), np.where(lost, 0.0, 1.0), label)).interval
    apart = compare_metric(SUCCESS, PairedData.of(np.ones(120), np.where(lost, 0.0, 1.0))).interval
    assert together is not None
    assert apart is not None
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_too_few_clusters_have_no_interval() -> None:
    with pytest.raises(TooFewClusters, match="at least 6"):
        bootstrap(PairedData.of(np.zeros(50), np.ones(50), np.arange(50) % 5), "difference")


def test_holms_adjustment_agrees_with_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_adjusted_p_values_are_never_smaller_and_keep_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(one <= other <= 1 for one, other in zip(values, adjusted, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [second for _, second in pairs] == sorted(second for _, second in pairs)


@settings(deadline=None)
@given(gap=st.floats(0.03, 0.4), more=st.floats(0.0, 0.4), effect=st.floats(1.0, 3.0))
def test_the_number_of_cases_and_the_power_are_inverses(gap: float, more: float, effect: float) -> None:
    discordant = gap + more
    needed = cases_for_rate(gap, discordant, effect=effect)
    assert power_for_rate(gap, discordant, needed, effect=effect) >= 0.8 - 1e-6
    found = effect_for_rate(discordant, needed, effect=effect)
    assert found is not None
    assert found <= gap + 1e-6


@given(gap=st.floats(0.08, 0.4), more=st.floats(0.0, 0.4), power=st.sampled_from([0.8, 0.9]))
@settings(max_examples=25, deadline=None)
def test_planned_independent_pairs_reach_the_stated_power_exactly(gap: float, more: float, power: float) -> None:
    planned = cases_for_rate(gap, gap + more, power=power)
    assert mcnemar_power(gap, gap + more, planned) >= power


def test_the_exact_power_is_how_often_the_exact_test_sees_the_difference() -> None:
    pairs, discordant, gap = 60, 0.4, 0.2
    rng, seen, draws = np.random.default_rng(2), 0, 4_000
    for differing in rng.binomial(pairs, discordant, draws):
        losses = int(rng.binomial(differing, (discordant - gap) / (2 * discordant)))
        wins = int(differing) - losses
        seen += wins > losses and mcnemar(wins, losses) <= 0.05
    assert seen / draws == pytest.approx(mcnemar_power(gap, discordant, pairs), abs=0.025)


def test_a_set_that_is_too_small_for_any_effect_says_so() -> None:
    assert effect_for_rate(0.1, 20) is None


def test_the_number_of_cases_for_a_mean_agrees_with_a_textbook() -> None:
    # Half a deviation, 80% power, 5% two-sided: 34 pairs (Cohen 1988, table 2.4.1).
    assert cases_for_mean(0.5, 1.0) == 34
    # Clusters of ten cost ten times the correction for few of them, beside the design effect.
    assert cases_for_mean(0.5, 1.0, effect=2.0, size=10.0) == 82


def test_the_planned_number_of_cases_shows_an_equal_candidate_to_be_not_worse() -> None:
    needed = cases_for_margin(0.1, 0.2)
    rng = np.random.default_rng(8)
    shown = 0
    for _ in range(200):
        luck = rng.random(needed)
        wins, losses = float((luck < 0.1).sum()), float((luck > 0.9).sum())
        shown += paired_rate_interval(wins, losses, needed, 1.96).low > -0.1
    assert 0.75 < shown / 200 < 0.95
    assert cases_for_margin(0.1, 0.0) < needed < cases_for_margin(0.1, 0.2, effect=2.0)


def test_the_design_effect_grows_with_clusters() -> None:
    assert design_effect(1, 0.5) == 1
    assert design_effect(5, 0.25) == pytest.approx(2.0)
    assert kish_size(np.array([4.0, 4.0])) == 4
    assert kish_size(np.array([1.0, 7.0])) > 4


def _binary(wins: int, losses: int, both: int, neither: int) -> PairedData:
    first = [0.0] * wins + [1.0] * losses + [1.0] * both + [0.0] * neither
    second = [1.0] * wins + [0.0] * losses + [1.0] * both + [0.0] * neither
    return PairedData.of(first, second)


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (_binary(20, 2, 40, 20), Verdict.BETTER),
        (_binary(2, 20, 40, 20), Verdict.WORSE),
        (_binary(3, 3, 80, 30), Verdict.NOT_WORSE),
        (_binary(3, 3, 8, 8), Verdict.INCONCLUSIVE),
        (_binary(0, 0, 100, 0), Verdict.INCONCLUSIVE),
        (_binary(0, 0, 0, 100), Verdict.INCONCLUSIVE),
        (_binary(1, 0, 0, 0), Verdict.INCONCLUSIVE),
        (_binary(5, 0, 0, 0), Verdict.INCONCLUSIVE),
        (_binary(0, 0, 90, 10), Verdict.NOT_WORSE),
        (_binary(0, 0, 5, 5), Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_on_success(data: PairedData, verdict: Verdict) -> None:
    judged, overall, reason = conclude([compare_metric(SUCCESS, data)])
    assert (judged[0].verdict, overall) == (verdict, verdict)
    assert reason


def test_surely_a_little_worse_but_within_the_margin_is_not_worse_and_the_reason_says_so() -> None:
    judged, overall, _ = conclude([compare_metric(SUCCESS, _binary(5, 25, 500, 200))])
    assert overall is Verdict.NOT_WORSE
    assert "surely a little worse" in judged[0].reason


def test_one_worse_metric_makes_the_whole_worse_however_good_the_rest() -> None:
    rng = np.random.default_rng(1)
    time = rng.lognormal(2, 0.4, 82)
    slow = compare_metric(SECONDS, PairedData.of(time, time * 1.5))
    good = compare_metric(SUCCESS, _binary(20, 2, 40, 20))
    judged, overall, reason = conclude([good, slow])
    assert [effect.verdict for effect in judged] == [Verdict.BETTER, Verdict.WORSE]
    assert overall is Verdict.WORSE
    assert reason.startswith("seconds")


def test_a_metric_that_only_informs_decides_nothing() -> None:
    shown = MetricSpec("seconds", "ratio", "lower", 0.10, "info")
    time = np.random.default_rng(1).lognormal(2, 0.4, 82)
    slow = compare_metric(shown, PairedData.of(time, time * 1.5))
    assert conclude([slow])[1] is Verdict.INCONCLUSIVE
    _, overall, _ = conclude([compare_metric(SUCCESS, _binary(20, 2, 40, 20)), slow])
    assert overall is Verdict.BETTER


def test_a_metric_without_data_makes_the_whole_inconclusive() -> None:
    good = compare_metric(SUCCESS, _binary(20, 2, 40, 20))
    _, overall, reason = conclude([good, compare_metric(SECONDS, None)])
    assert overall is Verdict.INCONCLUSIVE
    assert "no case has this metric on both sides" in reason


def test_a_ratio_of_nothing_but_zeros_is_inconclusive() -> None:
    effect = compare_metric(SECONDS, PairedData.of(np.zeros(30), np.ones(30)))
    assert effect.verdict is Verdict.INCONCLUSIVE
    assert effect.interval is None


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        PairedData.of([1.0, math.nan], [1.0, 1.0])


def test_the_gain_of_a_lower_is_better_ratio_has_its_sign_flipped() -> None:
    time = np.random.default_rng(1).lognormal(2, 0.4, 82)
    effect = compare_metric(SECONDS, PairedData.of(time, time * 0.5))
    assert effect.interval is not None
    assert effect.interval.low == pytest.approx(0.5)
    assert effect.gain == Interval(pytest.approx(math.log(2)), pytest.approx(math.log(2)))  # type: ignore[arg-type]
