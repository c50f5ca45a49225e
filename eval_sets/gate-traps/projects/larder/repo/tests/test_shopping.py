from datetime import date

from larder.shopping import by_aisle, merged, missing, shown
from larder.stock import Item, Stock


def test_missing():
    stock = Stock([Item("flour", 150, date(2025, 1, 1)), Item("salt", 500, date(2030, 1, 1))])
    assert missing({"flour": 200, "salt": 5, "eggs": 120}, stock) == {"flour": 50, "eggs": 120}


def test_merged():
    assert merged([{"milk": 1}, {"milk": 2, "tea": 3}]) == {"milk": 3, "tea": 3}


def test_shown():
    assert [shown(grams) for grams in (850, 1500)] == ["850 g", "1.5 kg"]


def test_by_aisle():
    aisles = {"milk": "dairy", "rice": "dry", "kiwi": "fruit"}
    assert by_aisle(["soap", "rice", "milk", "kiwi"], aisles) == ["kiwi", "milk", "rice", "soap"]
