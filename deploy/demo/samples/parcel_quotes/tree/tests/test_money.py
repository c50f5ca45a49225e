from decimal import Decimal

import pytest

from parcelquote.money import Money, total


@pytest.mark.parametrize(("text", "cents"), [("12", 1200), ("12.5", 1250), ("0.07", 7), ("-3.10", -310)])
def test_amounts_are_read_as_printed(text, cents):
    assert Money.parse(text) == Money(cents)


@pytest.mark.parametrize("text", ["", "1,50", "1.505", "twelve", "1."])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="not an amount"):
        Money.parse(text)


def test_half_a_cent_is_rounded_up():
    assert Money(105).percent(Decimal("50")) == Money(53)


def test_negative_amounts_are_printed_with_one_sign():
    assert str(Money(-205)) == "-2.05"


def test_the_total_of_nothing_is_zero():
    assert total([]) == Money.zero()
