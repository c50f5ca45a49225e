from datetime import date, datetime, timezone

from helpdesk import WorkingHours


def utc(*parts):
    return datetime(*parts, tzinfo=timezone.utc)


def test_within_one_day():
    assert WorkingHours("UTC").due(utc(2024, 3, 4, 10), 90) == utc(2024, 3, 4, 11, 30)


def test_over_the_weekend():
    assert WorkingHours("UTC").due(utc(2024, 3, 8, 16), 120) == utc(2024, 3, 11, 10)


def test_far_from_greenwich():
    hours = WorkingHours("Pacific/Auckland")
    # Monday evening in Greenwich is Tuesday morning in Auckland.
    assert hours.is_open(utc(2024, 7, 1, 22))
    assert hours.due(utc(2024, 7, 1, 22), 60) == utc(2024, 7, 1, 23)


def test_late_in_the_afternoon_in_seattle():
    hours = WorkingHours("America/Los_Angeles")
    # Tuesday, 16:15 there
    assert hours.due(utc(2024, 1, 3, 0, 15), 30) == utc(2024, 1, 3, 0, 45)


def test_holidays():
    hours = WorkingHours("UTC", holidays=[date(2024, 3, 5)])
    assert hours.due(utc(2024, 3, 4, 16, 30), 60) == utc(2024, 3, 6, 9, 30)
