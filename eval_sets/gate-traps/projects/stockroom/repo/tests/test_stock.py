import pytest

from stockroom.stock import Shortage, Stock, low


@pytest.fixture
def stock():
    made = Stock()
    made.receive("bolt", 10)
    made.receive("nut", 4)
    return made


def test_levels(stock):
    assert stock.levels() == {"bolt": 10, "nut": 4}
    assert stock.level("screw") == 0


def test_levels_is_a_copy(stock):
    stock.levels()["bolt"] = 99
    assert stock.level("bolt") == 10


def test_ship(stock):
    stock.ship("bolt", 3)
    assert stock.level("bolt") == 7
    assert stock.journal[-1] == ("bolt", -3)


def test_shipping_everything_leaves_no_level(stock):
    stock.ship("nut", 4)
    assert stock.levels() == {"bolt": 10}


def test_shortage(stock):
    with pytest.raises(Shortage) as caught:
        stock.ship("nut", 5)
    assert caught.value.missing == 1


def test_listeners(stock):
    told = []
    stock.listeners.append(lambda *what: told.append(what))
    stock.receive("nut", 1)
    assert told == [("nut", 5)]


def test_reserved_articles_are_not_shipped(stock):
    stock.reserve("nut", 3)
    assert stock.available("nut") == 1
    with pytest.raises(Shortage):
        stock.ship("nut", 2)
    assert stock.release("nut") == 3


def test_undo(stock):
    stock.receive("bolt", 5)
    stock.undo()
    assert stock.level("bolt") == 10
    assert stock.journal == [("bolt", 10), ("nut", 4)]


def test_receive_nothing(stock):
    with pytest.raises(ValueError):
        stock.receive("bolt", 0)


def test_low(stock):
    assert low(stock, {"bolt": 12, "nut": 9, "screw": 1}) == ["nut", "bolt", "screw"]


def test_low_counts_what_is_reserved(stock):
    stock.reserve("bolt", 8)
    assert low(stock, {"bolt": 5}) == ["bolt"]
