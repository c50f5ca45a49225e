"""How likely a proposal is to be the edit that maintainers made: a conditional logit over each function's proposals.

The probability of proposal i among those of one function is exp(s_i) / sum_j exp(s_j), with
s = a log(weight) + operator + statement kind + a linear term in the counts of `features`. Proposals that were not made
are sampled, and weighted by the inverse of the share (D. McFadden 1978: estimates stay consistent). Coefficients are
shrunk towards zero by a Gaussian prior, an operator's towards its family's. Packages are left out in turn to see what
holds for code that was not learned on.
"""

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from assets.executions.engines.search.likelihood import Likelihood, features

RIDGE_OPERATOR = 1.0
RIDGE_FAMILY = 0.3
RIDGE_OTHER = 0.1
RARE = 3
"""Operators that made fewer edits get their family's coefficient alone."""
FOLDS = 5
STRENGTH = 0.15
"""Histories hold more extensions and changes of style than faults, and the operators' weights know the symptoms: most
of the gain is here, and on the development cases of `repair` a larger strength loses."""


@dataclass
class Data:
    """Rows of features, with the example of each row, whether it made the edit, and the logarithm of how many
    proposals it stands for."""

    names: list[str]
    x: np.ndarray
    example: np.ndarray
    made: np.ndarray
    stands: np.ndarray
    ridge: np.ndarray


def read_examples(paths: Sequence[Path]) -> list[dict[str, Any]]:
    rows = [json.loads(line) for path in paths for line in path.open()]
    return [row for row in rows if row["made"]]


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        for name in {made[0] for made in row["made"]}:
            counts[name] += 1
    kinds = {one[2] for row in rows for one in (*row["made"], *row["others"])}
    names = ["weight", *features("", "")]
    operators = {one[0] for row in rows for one in (*row["made"], *row["others"])}
    families = sorted({name.split(":")[0] for name in operators})
    names += [f"family {name}" for name in families]
    names += sorted(f"operator {name}" for name in operators if counts[name] >= RARE)
    return names + sorted(f"statement {kind}" for kind in kinds)


def table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Data:
    at = {name: i for i, name in enumerate(names)}
    xs, example, made, stands = [], [], [], []
    for number, row in enumerate(rows):
        rest = max(1, row["proposed"] - len(row["made"]))
        for is_made, some in ((True, row["made"]), (False, row["others"])):
            for operator, weight, kind, old, new in some:
                x = np.zeros(len(names), dtype=np.float32)
                x[at["weight"]] = math.log(max(weight, 1e-4))
                for name, value in features(old, new).items():
                    if name in at:
                        x[at[name]] = value
                for name in (f"family {operator.split(':')[0]}", f"operator {operator}", f"statement {kind}"):
                    if name in at:
                        x[at[name]] = 1.0
                xs.append(x)
                example.append(number)
                made.append(is_made)
                stands.append(0.0 if is_made else math.log(rest / max(1, len(row["others"]))))
    ridge = np.array([_ridge(name) for name in names])
    return Data(list(names), np.array(xs), np.array(example), np.array(made), np.array(stands), ridge)


def _ridge(name: str) -> float:
    if name.startswith(("operator ", "statement ")):
        return RIDGE_OPERATOR
    return RIDGE_FAMILY if name.startswith("family ") else RIDGE_OTHER


def fit(data: Data, at_most: int = 300) -> np.ndarray:
    start = np.zeros(len(data.names))
    start[0] = 1.0
    center = start.copy()
    count = int(data.example.max()) + 1

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        s = data.x @ b + data.stands
        top = np.full(count, -np.inf)
        np.maximum.at(top, data.example, s)
        e = np.exp(s - top[data.example])
        total = np.bincount(data.example, e, count)
        good = np.bincount(data.example, e * data.made, count)
        p_all = e / total[data.example]
        p_good = e * data.made / good[data.example]
        gradient = data.x.T @ (p_all - p_good) + data.ridge * (b - center)
        value = float(np.sum(np.log(total) - np.log(good)) + 0.5 * np.sum(data.ridge * (b - center) ** 2))
        return value, gradient

    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": at_most}).x)


def places(data: Data, b: np.ndarray) -> list[float]:
    """The place of each example's best proposal that makes the edit, estimated from the sample."""
    s = data.x @ b
    found = []
    for number in range(int(data.example.max()) + 1):
        mine = data.example == number
        best = s[mine & data.made].max()
        others = mine & ~data.made
        if not others.any():
            found.append(1.0)
            continue
        scale = math.exp(float(data.stands[others][0]))
        better = float(np.sum(s[others] > best) + 0.5 * np.sum(s[others] == best))
        found.append(1.0 + scale * better)
    return found


def summary(found: Sequence[float]) -> dict[str, float]:
    return {
        "examples": len(found),
        "median place": round(statistics.median(found), 1),
        "mean log2 place": round(statistics.mean(math.log2(p) for p in found), 3),
        **{f"within {n}": round(sum(p <= n for p in found) / len(found), 3) for n in (10, 50, 200, 1000)},
    }


def cross_validated(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Summaries by an operator's weight alone and with what was learned, of packages that were left out."""
    packages = sorted({row["package"] for row in rows})
    found: dict[str, list[float]] = {"weights": [], f"with strength {STRENGTH}": [], "learned alone": []}
    for fold in range(FOLDS):
        out = set(packages[fold::FOLDS])
        inside = [row for row in rows if row["package"] not in out]
        outside = [row for row in rows if row["package"] in out]
        names = columns(inside)
        b = fit(table(inside, names))
        held = table(outside, names)
        plain = np.zeros(len(names))
        plain[0] = 1.0
        for some, mixed in zip(found.values(), (0.0, STRENGTH, 1.0), strict=True):
            some.extend(places(held, (1 - mixed) * plain + mixed * b))
    return {name: summary(some) for name, some in found.items()}


def learned(rows: Sequence[dict[str, Any]]) -> Likelihood:
    names = columns(rows)
    data = table(rows, names)
    b = fit(data)
    parts: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in zip(names, b, strict=True):
        group, _, key = name.partition(" ")
        if group in ("family", "operator", "statement"):
            parts[group][key] = round(float(value), 3)
        elif group != "weight":
            parts["features"][name] = round(float(value), 3)
    beyond = data.x @ b - data.x[:, 0]
    zero = float(np.average(beyond, weights=np.exp(data.stands)))
    return Likelihood(round(float(b[0]), 3), dict(parts["operator"]), dict(parts["family"]), dict(parts["statement"]),
                      dict(parts["features"]), STRENGTH, round(zero, 3))  # fmt: skip
