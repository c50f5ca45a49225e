import os
import sys
import time
from datetime import date, datetime, timedelta

sys.path.insert(0, "src")
from tidetable.clock import lasting, minutes, shown
from tidetable.hours import Hours
from tidetable.reminders import due, greeting, quarter, stamp


def check_clock():
    for value in range(0, 1441, 7):
        assert minutes(shown(value)) == value
    for text in ("25:00", "-1:00", "10:99"):
        try:
            minutes(text)
        except ValueError:
            continue
        raise AssertionError(text)
    assert [lasting(n) for n in (0, 59, 60, 61, 600)] == ["0 min", "59 min", "1 h", "1 h 1 min", "10 h"]


def check_hours():
    spans = {"tue": [("20:00", "24:00"), ("6:30", "7:00")], "sun": [("0:00", "1:00")]}
    hours = Hours(spans, closed=[date(2024, 5, 28)])
    found = [hours.is_open(datetime(2024, 5, 14, *at)) for at in ((6, 29), (6, 30), (6, 59), (7, 0), (23, 59))]
    assert found == [False, True, True, False, True]
    assert hours.next_opening(datetime(2024, 5, 14, 6, 30)) == datetime(2024, 5, 14, 20, 0)
    assert hours.next_opening(datetime(2024, 5, 14, 6, 0)) == datetime(2024, 5, 14, 6, 30)
    assert hours.next_opening(datetime(2024, 5, 26, 2, 0)) == datetime(2024, 6, 2, 0, 0)
    assert not hours.is_open(datetime(2024, 5, 28, 21, 0))
    assert hours.week() == "tue: 6:30-7:00, 20:00-24:00\nsun: 0:00-1:00"
    assert Hours({}).week() == ""


def check_reminders():
    now = datetime(2030, 1, 1, 23, 50)
    tides = [now + timedelta(minutes=n) for n in (-30, 0, 15, 60, 61)]
    assert due(tides, now) == tides[1:3]
    assert due(tides, now, timedelta(hours=1)) == tides[1:4]
    words = ["night"] * 5 + ["morning"] * 7 + ["afternoon"] * 6 + ["evening"] * 6
    assert [greeting(hour) for hour in range(24)] == [f"Good {word}" for word in words]
    assert [quarter(month) for month in range(1, 13)] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


def check_stamp():
    for zone, text in (("UTC", "1970-01-02 00:00"), ("JST-9", "1970-01-02 09:00")):
        os.environ["TZ"] = zone
        time.tzset()
        assert stamp(86400) == text


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
