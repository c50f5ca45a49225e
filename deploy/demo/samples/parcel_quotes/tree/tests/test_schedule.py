from datetime import date, datetime

import pytest

from parcelquote.workdays import Workdays


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2024, 6, 4), date(2024, 6, 4)),  # a Tuesday
        (date(2024, 6, 8), date(2024, 6, 10)),  # a Saturday
        (date(2024, 5, 1), date(2024, 5, 2)),  # a holiday
    ],
)
def test_the_next_workday(card, day, expected):
    assert card.schedule.workdays.next_workday(day) == expected


def test_an_order_in_the_morning_is_collected_today(card):
    assert card.schedule.collection_day(datetime(2024, 6, 4, 15, 29)) == date(2024, 6, 4)


def test_an_order_after_the_cutoff_is_collected_tomorrow(card):
    assert card.schedule.collection_day(datetime(2024, 6, 4, 15, 30)) == date(2024, 6, 5)


def test_a_late_order_on_friday_is_collected_on_monday(card):
    assert card.schedule.collection_day(datetime(2024, 6, 7, 18, 0)) == date(2024, 6, 10)


def test_transit_days_are_workdays(card):
    alpine = card.zones.zone_of("9020")
    assert card.schedule.delivery_day(datetime(2024, 6, 6, 9, 0), alpine) == date(2024, 6, 11)


def test_saturday_delivery_counts_saturdays(card):
    west = card.zones.zone_of("5020")
    ordered = datetime(2024, 6, 6, 9, 0)
    assert card.schedule.delivery_day(ordered, west) == date(2024, 6, 10)
    assert card.schedule.delivery_day(ordered, west, saturday=True) == date(2024, 6, 8)


def test_no_vans_on_sundays_even_when_saturdays_count():
    assert not Workdays().is_workday(date(2024, 6, 9), saturday=True)
