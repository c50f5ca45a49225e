from datetime import date

from larder.recipes import RecipeError, parse, scaled
from larder.shopping import by_aisle, merged, missing, shown
from larder.stock import Item, Stock

A, B, C = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


def check_stock():
    stock = Stock([Item("oat", 30, C), Item("oat", 20, A), Item("oat", 25, B), Item("tea", 5, A)])
    stock.take("oat", 50)
    assert sorted((i.name, i.grams, i.best_before) for i in stock.items) == [("oat", 25, C), ("tea", 5, A)]
    stock.take("oat", 0)
    for name, grams in (("oat", 26), ("none", 1)):
        try:
            stock.take(name, grams)
        except LookupError:
            continue
        raise AssertionError(name)
    assert stock.amount("oat") == 25 and stock.amount("none") == 0
    stock.take("oat", 25)
    assert [i.name for i in stock.items] == ["tea"]
    old = Stock([Item("b", 1, A), Item("a", 1, A), Item("a", 1, A), Item("c", 1, B)])
    assert ", ".join(old.spoiled(B)) == "a, b" and len(old.spoiled(A)) == 0


def check_recipes():
    assert parse(" 3 tsp vanilla sugar \n  # note\n0.25 kg butter") == {"vanilla sugar": 15, "butter": 250}
    assert parse("") == {} and parse("2 tbsp oil") == {"oil": 30}
    for text in ("salt", "2 salt", "g 2 salt", "1 lb nuts"):
        try:
            parse(text)
        except RecipeError as error:
            assert "line 1" in str(error)
            continue
        raise AssertionError(text)
    assert scaled({"a": 10, "b": 1, "c": 0}, 3, 7) == {"a": 24, "b": 3, "c": 0}
    assert scaled({"a": 12}, 4, 4) == {"a": 12}


def check_shopping():
    stock = Stock([Item("oat", 30, A), Item("oat", 20, B)])
    assert missing({"oat": 50, "nut": 1}, stock) == {"nut": 1}
    assert missing({"oat": 51}, stock) == {"oat": 1} and missing({}, stock) == {}
    one = {"a": 1}
    assert merged([one, one, {"b": 2}]) == {"a": 2, "b": 2} and one == {"a": 1} and merged([]) == {}
    assert [shown(g) for g in (0, 999, 1000, 2250)] == ["0 g", "999 g", "1 kg", "2.25 kg"]
    assert by_aisle(["soap", "bread", "apple"], {}) == ["apple", "bread", "soap"]
    assert by_aisle(["z", "b", "y", "a"], {"z": "fruit", "y": "dry", "b": "garden"}) == ["z", "y", "a", "b"]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
