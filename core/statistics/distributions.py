"""The few distribution functions that the tests need: normal, Student's t, beta and binomial; and percentiles.

Written out because the platform carries numpy but not scipy. Accurate to about 1e-10, which is far
beyond what a decision needs; not meant for extreme tails.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()
_TINY = 1e-300


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def normal_cdf(x: float) -> float:
    return _NORMAL.cdf(x)


def normal_quantile(p: float) -> float:
    """Raises `ValueError` outside (0, 1)."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"a quantile's probability lies between 0 and 1, not at {p}")
    return _NORMAL.inv_cdf(p)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b): the continued fraction of DLMF 8.17.22, by Lentz's method."""
    if a <= 0 or b <= 0:
        raise ValueError(f"the beta distribution needs positive parameters, not {a} and {b}")
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, 2000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            step = c * d
            fraction *= step
        if abs(step - 1.0) < 1e-14:
            break
    return min(1.0, front * fraction / a)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(p: float, a: float, b: float) -> float:
    """By bisection: the distribution function is monotone, and 60 halvings reach double precision."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def t_cdf(t: float, degrees: float) -> float:
    """Student's t, through the incomplete beta function (DLMF 8.17.vii)."""
    tail = 0.5 * beta_cdf(degrees / (degrees + t * t), degrees / 2.0, 0.5)
    return 1.0 - tail if t > 0 else tail


def t_quantile(p: float, degrees: float) -> float:
    """Upper quantiles of Student's t; `degrees` may be fractional and must be positive."""
    if not 0.0 < p < 1.0 or degrees <= 0:
        raise ValueError(f"no quantile {p} of Student's t with {degrees} degrees of freedom")
    if p < 0.5:
        return -t_quantile(1.0 - p, degrees)
    if degrees > 1e6:
        return normal_quantile(p)
    x = beta_quantile(2.0 * (1.0 - p), degrees / 2.0, 0.5)
    return math.sqrt(degrees * (1.0 - x) / x) if x > 0.0 else math.inf


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k), through the incomplete beta function (DLMF 8.17.5)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    return beta_cdf(1.0 - p, n - k, k + 1.0)


def log_factorials(n: int) -> NDArray[np.float64]:
    """Natural logarithms of 0! to n!; shape (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
