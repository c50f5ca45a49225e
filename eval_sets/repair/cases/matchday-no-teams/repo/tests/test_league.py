import pytest

from fixtures import Fixture, parse
from league import build
from report import render


def test_table(league):
    assert [(row.team, row.points) for row in league.table()] == [
        ("Rovers", 6), ("Athletic", 3), ("Wanderers", 1), ("Harriers", 1),
    ]


def test_goals(league):
    assert [(row.scored, row.conceded) for row in league.table()] == [(4, 2), (4, 2), (1, 2), (0, 3)]


def test_deduction(league):
    league.deduct("Rovers", 4)
    assert league.champion() == "Athletic"


def test_a_match_counts_once(league):
    with pytest.raises(ValueError, match="before"):
        league.record(Fixture("Rovers", "Athletic", 0, 0))


def test_a_match_without_result(league):
    with pytest.raises(ValueError, match="no result"):
        league.record(Fixture("Harriers", "Rovers"))


def test_direct_match_decides():
    league = build("Cup", parse("B 1:0 A\nC 1:0 B\nA 1:0 C\nA 1:0 D\nB 1:0 D"))
    assert [row.team for row in league.table()] == ["B", "A", "C", "D"]


def test_level_in_everything_by_name():
    league = build("Cup", parse("Zebras 1:1 Ants"))
    assert [row.team for row in league.table()] == ["Ants", "Zebras"]


def test_form(league):
    assert league.recent_form("Athletic") == "LW"


def test_report(league):
    assert render(league).splitlines()[2] == "1  Rovers            2  2  0  0     4:2   +2   6"


def test_report_of_the_last(league):
    assert render(league).splitlines()[-1] == "4  Harriers          2  0  1  1     0:3   -3   1"


def test_an_empty_league():
    assert build("None", []).champion() is None
