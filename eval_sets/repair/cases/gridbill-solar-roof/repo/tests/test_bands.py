from datetime import datetime, time

from gridbill import Band, band_of
from gridbill.bands import split

NIGHT = Band("night", time(22), time(6))
NOON = Band("noon", time(11), time(14), frozenset({5, 6}))


def test_by_day():
    assert band_of([NOON], datetime(2024, 6, 1, 11)) == "noon"
    assert band_of([NOON], datetime(2024, 6, 1, 14)) == "day"
    assert band_of([NOON], datetime(2024, 6, 3, 12)) == "day"


def test_by_night():
    names = [band_of([NIGHT, NOON], datetime(2024, 6, 3, hour)) for hour in (0, 5, 6, 21, 22, 23)]
    assert names == ["night", "night", "day", "day", "night", "night"]


def test_split():
    values = [(datetime(2024, 6, 1, hour), 2) for hour in range(24)]
    assert split([NOON], values) == {"day": 42, "noon": 6}
