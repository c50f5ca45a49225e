from treepath import find, get

SHOP = {"orders": [{"id": 1, "state": "paid"}, {"id": 2, "state": "open"}, {"id": 3, "state": "paid"}]}


def test_items_by_a_value():
    assert find(SHOP, "orders[?state=paid].id") == [("orders[0].id", 1), ("orders[2].id", 3)]


def test_numbers_are_compared_as_they_are_written():
    assert get(SHOP, "orders[?id=2].state") == "open"
