from datetime import date

import pytest

from gridbill import BadReadings, Reading, used

JAN, APR, SEP, OCT, DEC = (date(2024, month, 1) for month in (1, 4, 9, 10, 12))


def test_difference():
    assert used([Reading(JAN, 100), Reading(DEC, 350)], JAN, DEC) == 250


def test_begins_again():
    assert used([Reading(JAN, 999_900), Reading(DEC, 50)], JAN, DEC) == 150


def test_fell():
    with pytest.raises(BadReadings, match="less than"):
        used([Reading(JAN, 100), Reading(DEC, 50)], JAN, DEC)


def test_readings_in_between():
    readings = [Reading(JAN, 100), Reading(DEC, 990), Reading(SEP, 700), Reading(OCT, 800)]
    assert used(readings, JAN, DEC) == 890
    assert used(readings, SEP, OCT) == 100


def test_a_new_meter():
    readings = [Reading(JAN, 9000, "old"), Reading(APR, 9500, "old"), Reading(APR, 3, "new"), Reading(DEC, 403, "new")]
    assert used(readings, JAN, DEC) == 900
    with pytest.raises(BadReadings, match="meter new"):
        used([*readings[:2], readings[3]], JAN, DEC)


def test_no_reading():
    with pytest.raises(BadReadings):
        used([Reading(JAN, 1)], JAN, DEC)
