"""What a backend's recent requests say about it: a circuit breaker that also opens by error rate. Pure.

Closed, it takes requests. Open, it takes none until `until`; then one request is its trial. A failed trial opens it for
longer. The rate matters beside failures in a row, since a backend that fails every second request, and fast, would
otherwise stay the least busy one and attract requests.
"""

import math
from dataclasses import dataclass, replace

IN_A_ROW = 5
"""Failures without a success between them that open the circuit."""
WINDOW = 20
"""Outcomes that the error rate is taken of, the newest ones."""
LEAST = 10
"""Outcomes below which a rate says nothing."""
RATE = 0.5
HALF_LIFE = 10.0
"""Seconds in which what failures say about a closed backend loses half of its weight."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
_ALL = (1 << WINDOW) - 1


@dataclass(frozen=True, slots=True)
class Standing:
    """`outcomes` are the newest ones as bits, the newest lowest, 1 for a failure; `counted` is how many there are."""

    outcomes: int = 0
    counted: int = 0
    in_a_row: int = 0
    until: float | None = None
    """When an open circuit may be tried; None while it is closed."""
    openings: int = 0
    """Times that it opened without `WINDOW` successes in between; each doubles the pause."""
    failed_at: float = float("-inf")

    def rate(self, now: float) -> float:
        """The share of failures, as if there had been two successes before, halved for each `HALF_LIFE` since the last
        failure: a backend that is avoided for its failures has no other way to be taken back."""
        faded = math.pow(0.5, min(60.0, (now - self.failed_at) / HALF_LIFE))
        return self.outcomes.bit_count() / (self.counted + 2) * faded

    def closed(self) -> bool:
        return self.until is None

    def on_trial(self, now: float) -> bool:
        """Whether it is open, and the next request is its trial."""
        return self.until is not None and now >= self.until


def succeeded(standing: Standing, now: float) -> Standing:
    """After an answer. A successful trial closes the circuit and forgets the outcomes before it."""
    if standing.until is not None:
        return standing if now < standing.until else Standing(openings=standing.openings)
    counted = min(WINDOW, standing.counted + 1)
    outcomes = (standing.outcomes << 1) & _ALL
    forgiven = counted == WINDOW and outcomes == 0
    return replace(
        standing, outcomes=outcomes, counted=counted, in_a_row=0, openings=0 if forgiven else standing.openings
    )


def failed(standing: Standing, now: float, *, at_once: bool = False) -> Standing:
    """After a failure. `at_once` opens the circuit whatever came before, for a server that cannot be reached."""
    if standing.until is not None and now < standing.until:
        return standing  # of a request that was sent before it opened
    after = replace(
        standing,
        outcomes=((standing.outcomes << 1) | 1) & _ALL,
        counted=min(WINDOW, standing.counted + 1),
        in_a_row=standing.in_a_row + 1,
        failed_at=now,
    )
    often = after.counted >= LEAST and after.outcomes.bit_count() >= RATE * after.counted
    if at_once or standing.until is not None or after.in_a_row >= IN_A_ROW or often:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(standing.openings, 10))
        return replace(after, until=now + pause, openings=standing.openings + 1)
    return after


def reached_again(standing: Standing, now: float) -> Standing:
    """After a probe found a server that was away: its trial may be now."""
    return standing if standing.until is None else replace(standing, until=min(standing.until, now))
