"""The quantiles and distribution functions that the tests need, and percentiles of samples.

The normal distribution is the standard library's. The others are of `scipy.special`, imported at the first use,
since the import takes as long as starting a command.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

normal_cdf = NormalDist().cdf

normal_quantile = NormalDist().inv_cdf
"""Raises `ValueError` outside (0, 1)."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def beta_quantile(p: float, a: float, b: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(a, b, p))


def t_quantile(p: float, degrees: float) -> float:
    """Student's t; `degrees` may be fractional. Raises `ValueError` unless 0 < p < 1 and `degrees` > 0."""
    from scipy.special import stdtrit

    if not 0.0 < p < 1.0 or degrees <= 0:
        raise ValueError(f"no quantile {p} of Student's t with {degrees} degrees of freedom")
    return float(stdtrit(degrees, p))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k)."""
    from scipy.special import bdtr

    return float(bdtr(k, n, p))


def log_factorials(n: int) -> NDArray[np.float64]:
    """Natural logarithms of 0! to n!; shape (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
