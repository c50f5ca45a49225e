import pytest

from unitwise import Quantity, UnitError, parse
from unitwise.parsing import total


def test_decimal_comma():
    assert parse("12,5 cm") == Quantity(125, "mm")


def test_parts():
    assert str(parse("1h 45min")) == "1.75 h"


def test_negative():
    assert parse("-3 m").number == -3


def test_nonsense():
    with pytest.raises(ValueError):
        parse("about 3 m")


def test_empty():
    with pytest.raises(ValueError):
        parse("  ")


def test_unknown():
    with pytest.raises(UnitError):
        parse("3 parsec")


def test_total():
    assert total(["1 m", "20 cm"]) == Quantity(1.2, "m")


def test_total_of_nothing():
    assert total([]) is None
