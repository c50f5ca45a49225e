"""Statistics of paired comparisons: is a candidate better than, no worse than, or worse than a baseline?

Each case is a pair; the cases of a cluster are resampled and flipped together. Not for reading results or writing
reports: it takes arrays, and returns numbers with their meaning.
"""

from .distributions import percentile
from .intervals import Interval, clopper_pearson, paired_rate_interval, wilson
from .paired import PairedData, TooFewClusters, bootstrap, cluster_interval, mcnemar, sign_flip
from .power import (
    cases_for_margin,
    cases_for_mean,
    cases_for_rate,
    design_effect,
    effect_for_rate,
    kish_size,
    mcnemar_power,
    power_for_rate,
)
from .sequential import SequentialTest
from .verdict import Effect, MetricSpec, Verdict, compare_metric, conclude, holm

__all__ = [
    "Effect",
    "Interval",
    "MetricSpec",
    "PairedData",
    "SequentialTest",
    "TooFewClusters",
    "Verdict",
    "bootstrap",
    "cases_for_margin",
    "cases_for_mean",
    "cases_for_rate",
    "clopper_pearson",
    "cluster_interval",
    "compare_metric",
    "conclude",
    "design_effect",
    "effect_for_rate",
    "holm",
    "kish_size",
    "mcnemar",
    "mcnemar_power",
    "paired_rate_interval",
    "percentile",
    "power_for_rate",
    "sign_flip",
    "wilson",
]
