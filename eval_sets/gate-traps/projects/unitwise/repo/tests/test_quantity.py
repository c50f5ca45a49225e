import pytest

from unitwise import Quantity, UnitError


def test_to():
    assert repr(Quantity(2.5, "km").to("m")) == "Quantity(2500, 'm')"


def test_unknown_unit():
    with pytest.raises(UnitError, match="parsec"):
        Quantity(1, "parsec")


def test_alias():
    assert Quantity(2, "hours").unit == "h"


def test_sum():
    assert str(Quantity(1, "kg") + Quantity(250, "g")) == "1.25 kg"


def test_sum_of_different_kinds():
    with pytest.raises(UnitError):
        Quantity(1, "kg") + Quantity(1, "m")


def test_order():
    assert sorted([Quantity(1, "m"), Quantity(5, "mm"), Quantity(9, "cm")])[0].unit == "mm"


def test_ratio():
    assert Quantity(3, "h") / Quantity(45, "min") == 4


def test_half():
    assert Quantity(3, "kg") / 2 == Quantity(1500, "g")


def test_fitted():
    assert str(Quantity(7200, "s").fitted()) == "2 h"


def test_equal_quantities_are_one_key():
    assert len({Quantity(1, "m"), Quantity(100, "cm")}) == 1
