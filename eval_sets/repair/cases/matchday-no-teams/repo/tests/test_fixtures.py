import itertools

import pytest

from fixtures import Fixture, parse_line, round_robin


def test_a_played_match():
    assert parse_line("3. Rovers 2:1 Athletic") == Fixture("Rovers", "Athletic", 2, 1, 3)


def test_a_match_to_come():
    assert not parse_line("Rovers - Red Star").played


def test_nonsense():
    with pytest.raises(ValueError, match="not a match"):
        parse_line("Rovers beat Athletic")


@pytest.mark.parametrize(("goals", "points"), [((2, 1), (3, 0)), ((1, 1), (1, 1)), ((0, 4), (0, 3))])
def test_points(goals, points):
    match = Fixture("A", "B", *goals)
    assert (match.points_for("A"), match.points_for("B")) == points


def test_everybody_meets_everybody_once():
    days = round_robin(["A", "B", "C", "D"])
    pairs = [frozenset((match.home, match.away)) for day in days for match in day]
    assert sorted(map(sorted, pairs)) == sorted(map(list, itertools.combinations("ABCD", 2)))


def test_odd_number_of_teams():
    days = round_robin(["A", "B", "C"])
    assert [len(day) for day in days] == [1, 1, 1]
