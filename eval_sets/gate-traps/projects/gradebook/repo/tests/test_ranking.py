import pytest

from gradebook.ranking import improved, median, ranked


def test_ranked():
    assert ranked({"Bo": 7, "Al": 9, "Cy": 7, "Di": 3}) == [(1, "Al"), (2, "Bo"), (2, "Cy"), (4, "Di")]


def test_improved():
    assert improved({"Al": 1, "Bo": 5, "Cy": 2}, {"Al": 3, "Bo": 4, "Cy": 8, "Di": 9}) == ["Cy", "Al"]


def test_median():
    assert median([5, 1, 3]) == 3


def test_median_of_two():
    assert median([4, 1]) == 2.5


def test_median_of_nothing():
    with pytest.raises(ValueError):
        median([])
