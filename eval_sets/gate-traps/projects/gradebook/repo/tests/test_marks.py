import pytest

from gradebook.marks import average, mark, weighted


@pytest.mark.parametrize(("points", "value"), [(100, 1), (92, 1), (91, 2), (70, 3), (30, 5), (0, 6)])
def test_mark(points, value):
    assert mark(points) == value


def test_other_maximum():
    assert mark(45, 60) == 3


def test_too_many_points():
    with pytest.raises(ValueError):
        mark(61, 60)


def test_average_is_cut():
    assert average([2, 3, 3]) == 2.6


def test_average_of_nothing():
    assert average([]) is None


def test_weighted():
    assert weighted([(1, 1), (3, 1)]) == 2.0


def test_no_weights():
    assert weighted([]) is None
