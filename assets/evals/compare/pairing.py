"""Pairs of cases from two runs, and the effect of one metric over those pairs.

A case is the mean of its repeats. Results that infrastructure lost are left out before the mean.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from assets.evals.runs.results import METRICS
from core.statistics import Effect, MetricSpec, PairedData, compare_metric

if TYPE_CHECKING:
    import polars

MEASURED = 0.9
"""A metric that fewer of the paired cases have on both sides describes those, not the set."""


def _by_case(rows: "polars.DataFrame", metrics: Sequence[MetricSpec], side: str) -> "polars.DataFrame":
    """A row a case that was learnt about: mean success, means of metrics over all repeats or over those resolved."""
    import polars as pl

    rows = rows.drop_nulls("success").with_columns(pl.col("success").cast(pl.Float64))
    wanted = {metric.name for metric in metrics} - {"success", *METRICS}
    if wanted:
        parsed = [json.loads(text) for text in rows["more"].to_list()]
        rows = rows.with_columns(
            pl.Series(name, [one.get(name) for one in parsed], dtype=pl.Float64) for name in sorted(wanted)
        )
    columns = []
    for metric in metrics:
        value = pl.col(metric.name)
        if metric.over == "both resolved":
            value = value.filter(pl.col("success") > 0)
        if metric.name != "success":
            columns.append(value.mean().alias(f"{side} {metric.name}"))
    shown = [pl.col(name).drop_nulls().mean().alias(f"{side} shown {name}") for name in ("cost", "seconds")]
    return rows.sort("case", "repeat").group_by("case", maintain_order=True).agg(
        pl.col("cluster").first(),
        pl.col("strata").first(),
        pl.col("success").mean().alias(f"{side} success"),
        pl.col("outcome").first().alias(f"{side} outcome"),
        pl.col("trajectory").first().alias(f"{side} trajectory"),
        pl.col("patch").first().alias(f"{side} patch"),
        *columns,
        *shown,
    )  # fmt: skip


def pair_cases(
    first: "polars.DataFrame", second: "polars.DataFrame", metrics: Sequence[MetricSpec]
) -> "polars.DataFrame":
    one, other = _by_case(first, metrics, "a"), _by_case(second, metrics, "b")
    return one.join(other.drop("cluster", "strata"), on="case", how="inner").sort("case")


def paired_effect(metric: MetricSpec, pairs: "polars.DataFrame", seed: int) -> Effect:
    """One metric over the pairs that have it; undecided, with the reason, where too few have."""
    import polars as pl

    names = (f"a {metric.name}", f"b {metric.name}")
    having = pairs.drop_nulls(list(names))
    eligible = pairs.height
    if metric.over == "both resolved":
        # A case whose right answer is no answer has nothing to measure on either side.
        resolved = pairs.filter((pl.col("a success") > 0) & (pl.col("b success") > 0))
        eligible = resolved.filter(pl.col(names[0]).is_not_null() | pl.col(names[1]).is_not_null()).height
    if having.height == 0:
        return compare_metric(metric, None)
    if having.height < MEASURED * eligible:
        empty = compare_metric(metric, None)
        why = f"measured on both sides in {having.height} of {eligible} cases only"
        return _replace_reason(empty, why, having.height)
    first, second = (having[name].to_numpy() for name in names)
    return compare_metric(metric, PairedData.of(first, second, having["cluster"].to_numpy()), seed=seed)


def _replace_reason(effect: Effect, reason: str, cases: int) -> Effect:
    return replace(effect, reason=reason, cases=cases)
