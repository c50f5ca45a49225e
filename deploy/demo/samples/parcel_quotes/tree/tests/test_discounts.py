from datetime import date
from decimal import Decimal

import pytest

from parcelquote.discounts import Discounts
from parcelquote.errors import UnknownCode
from parcelquote.money import Money


def test_no_discount_for_few_parcels(card):
    assert card.discounts.volume_percent(24) == 0


def test_volume_discount_starts_with_the_printed_count(card):
    assert card.discounts.volume_percent(25) == 3


def test_a_card_without_volume_discount():
    assert Discounts().volume_percent(1000) == 0


@pytest.mark.parametrize("day", [date(2024, 3, 1), date(2024, 4, 30)])
def test_a_code_is_valid_on_its_first_and_last_day(card, day):
    assert card.discounts.promotion(" spring24", day).percent == Decimal(5)


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2024, 5, 1)])
def test_a_code_is_not_valid_outside_its_days(card, day):
    with pytest.raises(UnknownCode):
        card.discounts.promotion("SPRING24", day)


def test_the_better_of_two_discounts_counts(card):
    amount = card.discounts.amount(Money(1000), 100, "SPRING24", date(2024, 3, 15))
    assert amount == Money(60)
