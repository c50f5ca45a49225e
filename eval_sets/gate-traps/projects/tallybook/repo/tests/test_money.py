import pytest

from tallybook import money


@pytest.mark.parametrize(("text", "cents"), [("12.50", 1250), ("12", 1200), ("0.5", 50), ("-0.05", -5)])
def test_parse(text, cents):
    assert money.parse(text) == cents


def test_three_decimals():
    with pytest.raises(ValueError):
        money.parse("1.005")


def test_show():
    assert [money.show(cents) for cents in (5, 1250, -320)] == ["0.05", "12.50", "-3.20"]


def test_share():
    assert money.share(1999, 10) == 200
