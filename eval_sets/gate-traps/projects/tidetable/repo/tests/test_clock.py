import pytest

from tidetable.clock import lasting, minutes, shown


@pytest.mark.parametrize(("text", "value"), [("7:05", 425), ("0:00", 0), ("24:00", 1440), ("9", 540)])
def test_minutes(text, value):
    assert minutes(text) == value


@pytest.mark.parametrize("text", ["24:01", "7:60"])
def test_no_such_time(text):
    with pytest.raises(ValueError):
        minutes(text)


def test_shown():
    assert shown(425) == "7:05"


def test_lasting():
    assert [lasting(n) for n in (120, 125, 5)] == ["2 h", "2 h 5 min", "5 min"]
