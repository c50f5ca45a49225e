"""The library's rules, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    BOOK = "book"
    FILM = "film"
    MAGAZINE = "magazine"


@dataclass(frozen=True)
class Terms:
    """Days of a loan, how often it can be renewed, and the fine per day in cents."""

    days: int
    renewals: int
    fine_per_day: int


POLICY: dict[Kind, Terms] = {
    Kind.BOOK: Terms(days=28, renewals=2, fine_per_day=20),
    Kind.FILM: Terms(days=7, renewals=1, fine_per_day=50),
    Kind.MAGAZINE: Terms(days=14, renewals=0, fine_per_day=20),
}

MAX_FINE = 1000
"""No loan is fined more than this, in cents."""

BLOCK_AT = 1500
"""A patron who owes this much or more cannot borrow, in cents."""

MAX_LOANS = 10
