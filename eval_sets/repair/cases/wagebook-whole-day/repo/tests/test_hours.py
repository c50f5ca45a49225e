from datetime import date

import pytest

from hours import SheetError, by_day, by_week


def test_two_spans_a_day(sheet):
    shifts = sheet("2024-03-04 08:00-12:00 12:30-17:15")
    assert by_day(shifts) == {date(2024, 3, 4): 8.75}


def test_past_midnight(sheet):
    assert sheet("2024-03-05 22:00-06:00")[0].hours == 8


def test_a_whole_day(sheet):
    assert sheet("2024-03-05 07:00-07:00")[0].hours == 24


def test_comments_and_empty_lines(sheet):
    assert sheet("# March\n\n2024-03-04 08:00-09:00 # short\n")[0].hours == 1


def test_the_line_is_named(sheet):
    with pytest.raises(SheetError, match="line 2"):
        sheet("2024-03-04 08:00-09:00\n2024-03-05 eight to nine")


def test_night_hours(sheet):
    assert [shift.night_hours for shift in sheet("2024-03-04 21:00-23:30 05:00-07:00")] == [1.5, 1]


def test_weeks(sheet):
    shifts = sheet("2024-03-08 08:00-12:00\n2024-03-11 08:00-09:00\n2024-03-10 08:00-10:00")
    assert by_week(shifts) == {(2024, 10): 6, (2024, 11): 1}
