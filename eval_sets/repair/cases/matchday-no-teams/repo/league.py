"""League tables: from results to standings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fixtures import Fixture


@dataclass
class Row:
    """One team's line in the table."""

    team: str
    won: int = 0
    drawn: int = 0
    lost: int = 0
    scored: int = 0
    conceded: int = 0
    deducted: int = 0
    form: str = ""

    @property
    def played(self) -> int:
        return self.won + self.drawn + self.lost

    @property
    def difference(self) -> int:
        return self.scored - self.conceded

    @property
    def points(self) -> int:
        return 3 * self.won + self.drawn - self.deducted

    def add(self, scored: int, conceded: int) -> None:
        self.scored += scored
        self.conceded += conceded
        if scored > conceded:
            self.won += 1
            self.form += "W"
        elif scored == conceded:
            self.drawn += 1
            self.form += "D"
        else:
            self.lost += 1
            self.form += "L"


@dataclass
class League:
    name: str
    rows: dict[str, Row] = field(default_factory=dict)
    results: list[Fixture] = field(default_factory=list)

    def row(self, team: str) -> Row:
        return self.rows.setdefault(team, Row(team))

    def record(self, fixture: Fixture) -> None:
        """Books a played match. Raises `ValueError` when it has no result or was booked before."""
        if not fixture.played:
            raise ValueError(f"{fixture} has no result")
        if any(known.home == fixture.home and known.away == fixture.away for known in self.results):
            raise ValueError(f"{fixture.home} - {fixture.away} was recorded before")
        self.results.append(fixture)
        self.row(fixture.home).add(fixture.home_goals, fixture.away_goals)
        self.row(fixture.away).add(fixture.away_goals, fixture.home_goals)

    def deduct(self, team: str, points: int) -> None:
        self.row(team).deducted += points

    def table(self) -> list[Row]:
        """Best first: points, goal difference, goals scored, then direct matches, then the name."""
        ranked = sorted(self.rows.values(), key=lambda row: row.team)
        return sorted(ranked, key=self._rank, reverse=True)

    def _rank(self, row: Row) -> tuple[int, int, int, int]:
        return (row.points, row.difference, row.scored, self._direct_points(row))

    def _direct_points(self, row: Row) -> int:
        """Points from matches against teams that are level with this one."""
        level = {
            other.team
            for other in self.rows.values()
            if other is not row
            and (other.points, other.difference, other.scored) == (row.points, row.difference, row.scored)
        }
        points = 0
        for match in self.results:
            if match.home == row.team and match.away in level:
                points += match.points_for(match.home)
            elif match.away == row.team and match.home in level:
                points += match.points_for(match.away)
        return points

    def champion(self) -> str | None:
        table = self.table()
        return table[0].team

    def recent_form(self, team: str, count: int = 5) -> str:
        """The last results, the latest at the right."""
        return self.row(team).form[-count:]


def build(name: str, fixtures: Iterable[Fixture]) -> League:
    league = League(name)
    for fixture in fixtures:
        league.row(fixture.home)
        league.row(fixture.away)
        if fixture.played:
            league.record(fixture)
    return league
