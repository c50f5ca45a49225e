"""Linear maps from one embedding space to another, learned from texts that both models embedded. Pure numpy.

Two kinds. Orthogonal Procrustes (Schoenemann 1966, Psychometrika 31:1) turns the space and keeps distances;
where the widths differ it is the partial isometry of the truncated SVD, which is what padding with zeros
gives. Low-rank affine is ridge regression (Hoerl and Kennard 1970, Technometrics 12:55) cut to the directions
that explain most of its own fit (reduced-rank regression: Izenman 1975, J. Multivariate Analysis 5:248).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.embedding import Vectors
from core.embedding.adapter import LinearMap

Doubles = NDArray[np.float64]

PROCRUSTES, AFFINE = "orthogonal Procrustes", "low-rank affine"
FEWEST_PAIRS = 100
"""And at least as many as the narrower space has dimensions: fewer do not say where each direction goes."""
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
_QUERY_WEIGHTS = (1.0, 8.0)
_RANKS = (0.125, 0.25, 0.5, 1.0)
_NEGLIGIBLE = 1e-6


class AdapterRefused(ValueError):
    """No map can be learned from what there is; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Vectors of the same texts by both models, row by row; float32 of shapes (n, new width) and (n, old width).

    `queries` counts the last rows, which are queries; the others are documents.
    """

    new: Vectors
    old: Vectors
    queries: int = 0

    @property
    def documents(self) -> int:
        return len(self.new) - self.queries

    def shuffled(self, seed: int) -> "Pairs":
        """The same vectors with nothing to learn: documents and queries paired at random."""
        rng = np.random.default_rng(seed)
        order = [rng.permutation(self.documents), self.documents + rng.permutation(self.queries)]
        return Pairs(self.new, self.old[np.concatenate(order)], self.queries)


def checked(pairs: Pairs) -> Pairs:
    """The pairs that can be learned from: rows of zeros, which texts without a known word have, are left out.

    Raises `AdapterRefused` for numbers that are not finite, too few pairs, and vectors that all lie in a few
    directions.
    """
    if pairs.new.ndim != 2 or pairs.old.ndim != 2 or len(pairs.new) != len(pairs.old):
        raise AdapterRefused(f"vectors of {pairs.new.shape} and {pairs.old.shape} are not pairs")
    if not (np.isfinite(pairs.new).all() and np.isfinite(pairs.old).all()):
        raise AdapterRefused("a stored vector holds a number that is not finite: embed that content again")
    kept = np.flatnonzero(pairs.new.any(axis=1) & pairs.old.any(axis=1))
    queries = int((kept >= pairs.documents).sum())
    pairs = Pairs(pairs.new[kept], pairs.old[kept], queries)
    narrower = min(pairs.new.shape[1], pairs.old.shape[1])
    fewest = max(FEWEST_PAIRS, narrower)
    if len(pairs.new) < fewest:
        raise AdapterRefused(
            f"{len(pairs.new)} texts have vectors of both models, and at least {fewest} are needed: build more first"
        )
    for name, side in (("new", pairs.new), ("old", pairs.old)):
        rows = side.astype(np.float64)
        values = np.linalg.eigvalsh(rows.T @ rows)
        rank = int((values > 1e-10 * values[-1]).sum())
        if rank < max(2, narrower // 4):
            raise AdapterRefused(
                f"the {name} model's vectors lie in {rank} of {side.shape[1]} directions: there is no map to learn"
            )
    return pairs


def procrustes(pairs: Pairs, *, centred: bool, query_weight: float = 1.0) -> LinearMap:
    """The rotation (or partial isometry) nearest to the pairs; `centred` takes the spaces' means to each other."""
    x, y, weights, mean_x, mean_y = _prepared(pairs, query_weight, centred)
    left, values, right = np.linalg.svd((x * weights).T @ y, full_matrices=False)
    spanned = values > _NEGLIGIBLE * max(values[0], 1e-30)
    rotation = left[:, spanned] @ right[spanned]
    kind = f"{PROCRUSTES}{', centred' if centred else ''}"
    return _map(kind, rotation, mean_y - mean_x @ rotation)


def affine(
    pairs: Pairs, *, ridge: float, ranks: Sequence[float] = _RANKS, query_weight: float = 1.0
) -> list[LinearMap]:
    """A map for each rank, given as a share of the narrower width. `ridge` is relative to the mean variance."""
    x, y, weights, mean_x, mean_y = _prepared(pairs, query_weight, True)
    gram = (x * weights).T @ x
    size = ridge * float(np.trace(gram)) / len(gram)
    full = np.linalg.solve(gram + max(size, 1e-12) * np.eye(len(gram)), (x * weights).T @ y)
    # Directions of the fitted values; x' is only needed through its gram matrix.
    _, directions = np.linalg.eigh(full.T @ gram @ full)
    directions = directions[:, ::-1]
    narrower = min(x.shape[1], y.shape[1])
    found = []
    for rank in sorted({max(1, round(share * narrower)) for share in ranks}):
        kept = directions[:, :rank]
        matrix = full @ kept @ kept.T
        found.append(_map(f"{AFFINE}, rank {rank}", matrix, mean_y - mean_x @ matrix))
    return found


def candidates(pairs: Pairs, apart: Pairs) -> list[LinearMap]:
    """The maps to choose from by what they find: both kinds, and for affine several ranks.

    The ridge, and how much a query counts beside a document, are settled by the cosine on `apart`, pairs that
    are not learned from. Raises `AdapterRefused` like `checked`.
    """
    pairs = checked(pairs)
    weights = _QUERY_WEIGHTS if pairs.queries else (1.0,)
    weight = max(weights, key=lambda one: agreement(procrustes(pairs, centred=True, query_weight=one), apart))
    settings = [(ridge, one) for ridge in _RIDGES for one in weights]
    fitted = {one: affine(pairs, ridge=one[0], query_weight=one[1]) for one in settings}
    best = max(settings, key=lambda one: max(agreement(found, apart) for found in fitted[one]))
    turned = [procrustes(pairs, centred=centred, query_weight=weight) for centred in (False, True)]
    return [*turned, *fitted[best]]


def agreement(found: LinearMap, pairs: Pairs) -> float:
    """Mean cosine of the mapped new vectors with the old ones; documents and queries count as two halves."""
    cosines = np.einsum("ij,ij->i", found.apply(pairs.new).astype(np.float64), pairs.old)
    halves = [half for half in (cosines[: pairs.documents], cosines[pairs.documents :]) if len(half)]
    return float(np.mean([half.mean() for half in halves])) if halves else 0.0


def _prepared(pairs: Pairs, query_weight: float, centred: bool) -> tuple[Doubles, Doubles, Doubles, Doubles, Doubles]:
    """Both sides in double precision about their means (or not), the weight of each row, and the means."""
    x, y = pairs.new.astype(np.float64), pairs.old.astype(np.float64)
    weights = np.ones((len(x), 1))
    weights[pairs.documents :] = query_weight
    weights /= weights.sum()
    mean_x = (x * weights).sum(axis=0) if centred else np.zeros(x.shape[1])
    mean_y = (y * weights).sum(axis=0) if centred else np.zeros(y.shape[1])
    return x - mean_x, y - mean_y, weights, mean_x, mean_y


def _map(kind: str, matrix: Doubles, offset: Doubles) -> LinearMap:
    try:
        return LinearMap(kind, matrix.astype(np.float32), offset.astype(np.float32))
    except ValueError as error:
        raise AdapterRefused(f"{kind}: {error}") from error
