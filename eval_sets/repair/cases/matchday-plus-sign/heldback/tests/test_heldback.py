import pytest

from fixtures import Fixture, parse, round_robin
from league import build


def test_away_goals_go_to_the_away_team():
    league = build("X", [Fixture("A", "B", 1, 4)])
    a, b = league.row("A"), league.row("B")
    assert (a.scored, a.conceded, a.points) == (1, 4, 0)
    assert (b.scored, b.conceded, b.points) == (4, 1, 3)
    assert (a.form, b.form) == ("L", "W")


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("A 5:4 B\nC 1:0 D", ["A", "C", "B", "D"]),
        ("A 3:0 B\nC 4:1 D", ["C", "A", "D", "B"]),
        ("A 1:1 B\nC 2:2 D", ["C", "D", "A", "B"]),
        ("A 0:1 B\nC 0:1 A\nB 0:1 C", ["A", "B", "C"]),
    ],
)
def test_orders(text, order):
    assert [row.team for row in build("X", parse(text)).table()] == order


def test_difference_before_goals():
    league = build("X", parse("A 9:8 B\nC 2:0 D"))
    assert [row.team for row in league.table()] == ["C", "A", "B", "D"]


def test_direct_match_between_two():
    league = build("X", parse("A 2:0 B\nC 2:0 A\nB 2:0 C\nA 1:0 D\nB 1:0 D\nD 1:0 C"))
    table = [row.team for row in league.table()]
    assert table.index("A") < table.index("B")


def test_direct_away_win():
    league = build("X", parse("A 0:2 B\nC 0:2 A\nB 0:2 C\nB 0:1 D\nA 0:1 E"))
    rows = {row.team: row for row in league.table()}
    assert rows["A"].difference == -1
    table = [row.team for row in league.table()]
    assert table.index("B") < table.index("A")


def test_no_team_no_champion():
    league = build("X", [])
    assert league.champion() is None
    assert league.table() == []
    league.row("A")
    assert league.champion() == "A"


@pytest.mark.parametrize(
    ("goals", "text"), [((10, 0), "  10:0  +10   3"), ((0, 0), "   0:0   +0   1"), ((0, 12), "  0:12  -12   0")]
)
def test_report_columns(goals, text):
    from report import render

    lines = render(build("X", [Fixture("Aces", "Bees", *goals)])).splitlines()
    assert next(line for line in lines if "Aces" in line).endswith(text)


@pytest.mark.parametrize("count", [2, 3, 5, 6, 8])
def test_round_robin_days(count):
    teams = [f"T{n}" for n in range(count)]
    days = round_robin(teams)
    assert len(days) == count - 1 + count % 2
    for day in days:
        playing = [team for match in day for team in (match.home, match.away)]
        assert len(playing) == len(set(playing)) == count - count % 2
    pairs = {frozenset((match.home, match.away)) for day in days for match in day}
    assert len(pairs) == count * (count - 1) // 2


def test_recent_form_is_the_latest():
    league = build("X", [Fixture("A", f"B{n}", n, 2) for n in range(5)])
    assert league.recent_form("A", 3) == "DWW"
    assert league.recent_form("A", 9) == "LLDWW"
