"""Matches: who plays whom on which day, and with what result."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^(?:(?P<day>\d+)\.\s*)?(?P<home>.+?)\s+(?:(?P<hg>\d+)\s*:\s*(?P<ag>\d+)|-)\s+(?P<away>.+?)$")


@dataclass(frozen=True)
class Fixture:
    home: str
    away: str
    home_goals: int | None = None
    away_goals: int | None = None
    day: int = 0

    @property
    def played(self) -> bool:
        return self.home_goals is not None and self.away_goals is not None

    def points_for(self, team: str) -> int:
        """3, 1 or 0 for one of the two teams; 0 while it is not played."""
        if not self.played:
            return 0
        if self.home_goals == self.away_goals:
            return 1
        winner = self.home if self.home_goals > self.away_goals else self.away
        return 3 if team == winner else 0

    def __str__(self) -> str:
        middle = f"{self.home_goals}:{self.away_goals}" if self.played else "-"
        return f"{self.home} {middle} {self.away}"


def parse_line(line: str) -> Fixture:
    """Reads `3. Rovers 2:1 Athletic`, or `Rovers - Athletic` for a match to come."""
    match = _LINE.match(line.strip())
    if match is None:
        raise ValueError(f"not a match: {line!r}")
    day = int(match["day"] or 0)
    if match["hg"] is None:
        return Fixture(match["home"], match["away"], day=day)
    return Fixture(match["home"], match["away"], int(match["hg"]), int(match["ag"]), day)


def parse(text: str) -> list[Fixture]:
    """Reads a file of matches; empty lines and lines that start with # are skipped."""
    lines = (line.strip() for line in text.splitlines())
    return [parse_line(line) for line in lines if line and not line.startswith("#")]


def round_robin(teams: list[str]) -> list[list[Fixture]]:
    """Everybody against everybody once (circle method); with an odd number one team rests each day."""
    circle: list[str | None] = list(teams)
    if len(circle) % 2:
        circle.append(None)
    half = len(circle) // 2
    days = []
    for number in range(len(circle) - 1):
        matches = []
        for index in range(half):
            home, away = circle[index], circle[-1 - index]
            if home is None or away is None:
                continue
            if index == 0 and number % 2:
                home, away = away, home
            matches.append(Fixture(home, away, day=number + 1))
        days.append(matches)
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return days
