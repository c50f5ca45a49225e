"""Early stopping: sequential tests that stay valid however often one looks at the data.

A wager that would be fair if the hypothesis were true is repeated cluster by cluster; how much it has won
is the evidence against it (an e-process). It may be looked at after every cluster, so neither the number
of looks nor their times are planned, which suits runs that are resumed, cut short or extended. A
group-sequential design would stop a little earlier at its planned looks, and allows no decision between them.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Stop(StrEnum):
    """Why no more cases are needed."""

    WORSE = "worse"
    NOT_WORSE = "not worse"
    BETTER = "better"


@dataclass
class SequentialTest:
    """Watches the mean of cluster differences, each within [-1, 1], against 0 and against a margin below it.

    Under "mean at most m", capital multiplied by 1 + bet (x - m) is a nonnegative supermartingale, so it exceeds
    1 / alpha with probability at most alpha, ever (Ville 1939; Waudby-Smith and Ramdas 2023, JRSS B 86:1,
    section 4). The bet is spread over a fixed grid. Add clusters in an order fixed before the run, never in the
    order in which they end: quick cases differ from slow ones. The mean is over clusters, not over cases.
    """

    margin: float
    alpha: float = 0.05
    seen: int = field(default=0, init=False)
    _capital: dict[Stop, NDArray[np.float64]] = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1 or not 0 < self.alpha < 1:
            raise ValueError(f"margin {self.margin} and alpha {self.alpha} must be between 0 and 1")
        self._grid = np.linspace(0.05, 0.95, 19)
        self._capital = {stop: np.zeros(self._grid.size) for stop in Stop}

    def add(self, difference: float) -> Stop | None:
        """Adds a cluster's mean difference, candidate minus baseline. Returns the reason to stop, or None."""
        if not -1.0 <= difference <= 1.0:
            raise ValueError(f"a difference of rates is in [-1, 1], not {difference}")
        self.seen += 1
        # Each test spends alpha / 2: "worse" and "better" are two sides of one question, "not worse" is another one.
        self._capital[Stop.WORSE] += np.log1p(self._grid * -difference)
        self._capital[Stop.BETTER] += np.log1p(self._grid * difference)
        reach = self._grid / (1.0 - self.margin)
        self._capital[Stop.NOT_WORSE] += np.log1p(reach * (difference + self.margin))
        if self.evidence(Stop.WORSE) >= 2.0 / self.alpha:
            return Stop.WORSE
        if self.evidence(Stop.BETTER) >= 2.0 / self.alpha:
            return Stop.BETTER
        if self.evidence(Stop.NOT_WORSE) >= 2.0 / self.alpha:
            return Stop.NOT_WORSE
        return None

    def evidence(self, stop: Stop) -> float:
        """The capital that a wager of 1 has become; 1 / capital is an anytime-valid p-value."""
        logs = self._capital[stop]
        top = float(logs.max())
        return math.exp(min(700.0, top + math.log(float(np.exp(logs - top).mean()))))
