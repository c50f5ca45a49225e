import pytest

from netprobe.settings import SettingsError, flag, interval, parse


def test_parse():
    assert parse("interval = 5 # quick\n\n") == {"interval": "5", "retries": "3", "quiet": "no"}


def test_unknown_key():
    with pytest.raises(SettingsError, match="line 2"):
        parse("retries = 1\ncolour = red")


def test_flag():
    assert [flag(v) for v in ("Yes", "off", "1")] == [True, False, True]


def test_interval():
    assert interval({"interval": "0"}) == 1


def test_bad_interval():
    with pytest.raises(SettingsError, match="soon"):
        interval({"interval": "soon"})
