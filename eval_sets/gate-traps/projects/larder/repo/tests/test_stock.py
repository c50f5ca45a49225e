from datetime import date

import pytest

from larder.stock import Item, Stock


@pytest.fixture
def stock():
    return Stock([Item("milk", 500, date(2024, 3, 9)), Item("milk", 1000, date(2024, 3, 2)), Item("rice", 800, date(2026, 1, 1))])


def test_amount(stock):
    assert stock.amount("milk") == 1500


def test_take_from_the_oldest(stock):
    stock.take("milk", 400)
    assert Item("milk", 600, date(2024, 3, 2)) in stock.items


def test_take_from_two(stock):
    stock.take("milk", 1200)
    assert stock.amount("milk") == 300


def test_take_everything(stock):
    stock.take("rice", 800)
    assert len(stock.items) == 2


def test_too_little(stock):
    with pytest.raises(LookupError):
        stock.take("milk", 1501)


def test_spoiled(stock):
    assert stock.spoiled(date(2024, 3, 9)) == ["milk"]
