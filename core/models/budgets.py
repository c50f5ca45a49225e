"""What teams may use: tokens a minute, and money a day. In this process; money is corrected from the database.

An estimate is reserved before a request is sent, and replaced by what the server counted when it ends, so that many
requests at once cannot pass a limit together. A request whose estimate is above the whole limit is let through when
nothing else is used, since it could never be sent otherwise.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.models.config import TeamLimits
from core.models.pool import Refusal

DAY = 86_400.0


@dataclass(eq=False)
class _Team:
    tokens: float
    at: float
    reserved: float = 0.0
    """Money of requests that have not ended."""
    base: float = 0.0
    """Money of the day that is in the database."""
    unwritten: float = 0.0
    """Money of the day whose account is not in the database yet."""
    day: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    team: str
    tokens: float
    money: float
    day: int


@dataclass(eq=False)
class Budgets:
    """`clock` counts seconds for rates, `today` seconds since 1970."""

    clock: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    _teams: dict[str, _Team] = field(default_factory=dict)

    def reserve(self, team: str, limits: TeamLimits, tokens: int, money: float) -> Reservation:
        """Raises `Refusal` (429) with the time until the request fits."""
        found = self._team(team, limits)
        per_minute = limits.tokens_per_minute
        if per_minute is not None:
            asked = min(tokens, per_minute)
            if found.tokens < asked:
                wait = (asked - found.tokens) / (per_minute / 60.0)
                raise Refusal(
                    429,
                    "tokens_per_minute",
                    f"the team's limit of {per_minute} tokens a minute is used up: this request takes about {tokens}",
                    max(1.0, wait),
                )
            found.tokens -= tokens
        if limits.money_per_day is not None:
            used = found.base + found.unwritten + found.reserved
            if (used > 0 and used + money > limits.money_per_day) or limits.money_per_day == 0 < money:
                self._return(found, limits, tokens)
                raise Refusal(
                    429,
                    "money_per_day",
                    f"the team's budget of {limits.money_per_day:g} a day is used up ({used:.4g}, and this request "
                    f"costs about {money:.4g}); it begins anew at midnight UTC",
                    max(1.0, DAY - self.today() % DAY),
                )
        found.reserved += money
        return Reservation(team, tokens, money, found.day)

    def settle(self, reservation: Reservation, limits: TeamLimits, tokens: int, money: float) -> None:
        """Replaces a reservation by what the request took; `money` counts as unwritten until `written`."""
        found = self._team(reservation.team, limits)
        self._return(found, limits, reservation.tokens - tokens)
        if reservation.day == found.day:
            found.reserved = max(0.0, found.reserved - reservation.money)
        found.unwritten += money

    def written(self, team: str, money: float, day: int) -> None:
        """So much money of a team's requests is in the database now, or was given up."""
        found = self._teams.get(team)
        if found is not None and found.day == day:
            found.unwritten = max(0.0, found.unwritten - money)
            found.base += money

    def correct(self, sums: dict[str, float], day: int) -> None:
        """Takes over the day's sums of the database, with what other processes wrote."""
        for team, money in sums.items():
            found = self._teams.setdefault(team, _Team(float("inf"), self.clock(), day=day))
            if found.day == day:
                found.base = max(found.base, money)

    def day(self) -> int:
        return int(self.today() // DAY)

    def _team(self, team: str, limits: TeamLimits) -> _Team:
        now, day = self.clock(), self.day()
        found = self._teams.get(team)
        if found is None:
            found = self._teams[team] = _Team(float("inf"), now, day=day)
        if found.day != day:
            found.day, found.base, found.unwritten, found.reserved = day, 0.0, 0.0, 0.0
        if limits.tokens_per_minute is not None:
            refill = (now - found.at) * limits.tokens_per_minute / 60.0
            found.tokens = min(float(limits.tokens_per_minute), found.tokens + refill)
        found.at = now
        return found

    @staticmethod
    def _return(found: _Team, limits: TeamLimits, tokens: float) -> None:
        if limits.tokens_per_minute is not None:
            found.tokens = min(float(limits.tokens_per_minute), found.tokens + tokens)
