from datetime import datetime, timedelta

from tidetable.reminders import due, greeting, quarter

NOW = datetime(2024, 5, 13, 9, 0)


def test_due():
    tides = [NOW + timedelta(minutes=n) for n in (-1, 10, 30, 31)]
    assert due(tides, NOW) == tides[1:3]


def test_greeting():
    assert [greeting(hour) for hour in (8, 15, 20)] == ["Good morning", "Good afternoon", "Good evening"]


def test_greeting_at_night():
    assert greeting(3) == "Good night"


def test_quarter():
    assert [quarter(month) for month in (1, 6, 12)] == [1, 2, 4]
