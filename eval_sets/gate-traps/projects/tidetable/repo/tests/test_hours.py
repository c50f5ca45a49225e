from datetime import date, datetime

import pytest

from tidetable.hours import Hours


@pytest.fixture
def hours():
    spans = {"mon": [("14:00", "18:00"), ("8:00", "12:00")], "sat": [("10:00", "13:00")]}
    return Hours(spans, closed=[date(2024, 5, 20)])


def test_open_in_the_morning(hours):
    assert hours.is_open(datetime(2024, 5, 13, 8, 0))


def test_closed_at_noon(hours):
    assert not hours.is_open(datetime(2024, 5, 13, 12, 0))


def test_closed_on_a_holiday(hours):
    assert not hours.is_open(datetime(2024, 5, 20, 9, 0))


def test_opens_after_lunch(hours):
    assert hours.next_opening(datetime(2024, 5, 13, 12, 30)) == datetime(2024, 5, 13, 14, 0)


def test_opens_on_saturday(hours):
    assert hours.next_opening(datetime(2024, 5, 13, 19, 0)) == datetime(2024, 5, 18, 10, 0)


def test_never_opens():
    assert Hours({}).next_opening(datetime(2024, 5, 13)) is None


def test_week(hours):
    assert hours.week() == "mon: 8:00-12:00, 14:00-18:00\nsat: 10:00-13:00"
