"""Pairs the cases of two runs, and computes the effect of one metric over the pairs.

A case counts as the mean of its repeats, without those lost to infrastructure.
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
"""If a smaller share of the paired cases has a metric on both sides, the metric does not represent the set."""


def _by_case(rows: "polars.DataFrame", metrics: Sequence[MetricSpec], side: str) -> "polars.DataFrame":
    """One row per case with a result: mean success, and the mean of each metric over all repeats or the resolved ones.
    Columns are prefixed with `side`."""
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
    """One row per case with a result in both runs. Columns of the first run start with `a `, the second's with `b `."""
    one, other = _by_case(first, metrics, "a"), _by_case(second, metrics, "b")
    return one.join(other.drop("cluster", "strata"), on="case", how="inner").sort("case")


def paired_effect(metric: MetricSpec, pairs: "polars.DataFrame", seed: int) -> Effect:
    """The effect of one metric over the pairs that have it; inconclusive, with the reason, if too few have it."""
    import polars as pl

    names = (f"a {metric.name}", f"b {metric.name}")
    having = pairs.drop_nulls(list(names))
    eligible = pairs.height
    if metric.over == "both resolved":
        # A case that is resolved by giving no answer has no such metric on either side, which is not a gap.
        resolved = pairs.filter((pl.col("a success") > 0) & (pl.col("b success") > 0))
        eligible = resolved.filter(pl.col(names[0]).is_not_null() | pl.col(names[1]).is_not_null()).height
    if having.height == 0:
        return compare_metric(metric, None)
    if having.height < MEASURED * eligible:
        why = f"measured on both sides in only {having.height} of {eligible} cases"
        return replace(compare_metric(metric, None), reason=why, cases=having.height)
    first, second = (having[name].to_numpy() for name in names)
    return compare_metric(metric, PairedData.of(first, second, having["cluster"].to_numpy()), seed=seed)
