import pytest

from rosterly.rotation import rotation, swapped, until


def test_rotation():
    assert rotation(["a", "b", "c"], 4, start=2) == ["c", "a", "b", "c"]


def test_nobody():
    assert rotation([], 3) == []


def test_swapped():
    assert swapped(["a", "b", "c", "a"], "a", "c") == ["c", "b", "a", "c"]


def test_until():
    assert until(["a", "b", "c"], "a", start=1) == 2


def test_until_it_is_nobody():
    with pytest.raises(LookupError):
        until(["a", "b"], "z")
