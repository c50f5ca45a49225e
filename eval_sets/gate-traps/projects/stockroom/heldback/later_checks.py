from stockroom.stock import Shortage, Stock, low


def made(told=None):
    stock = Stock()
    if told is not None:
        stock.listeners.append(lambda *what: told.append(what))
    stock.receive("a", 5)
    return stock


def check_changes():
    told = []
    stock = made(told)
    stock.ship("a", 5)
    assert told == [("a", 5), ("a", 0)] and stock.journal == [("a", 5), ("a", -5)] and stock.levels() == {}
    stock.undo()
    assert stock.levels() == {"a": 5} and told[-1] == ("a", 5) and stock.journal == [("a", 5)]
    stock.undo()
    assert stock.levels() == {} and stock.journal == []


def check_views():
    stock = made()
    first = stock.levels()
    stock.receive("b", 1)
    assert first == {"a": 5} and stock.levels() == {"a": 5, "b": 1} and stock.levels() is not stock.levels()


def check_reserved():
    stock = made()
    stock.reserve("a", 2)
    stock.reserve("a", 3)
    assert stock.available("a") == 0 and stock.available("b") == 0
    for act in (stock.ship, stock.reserve):
        try:
            act("a", 1)
            raise AssertionError
        except Shortage as error:
            assert error.missing == 1
    assert stock.release("a") == 5 and stock.release("a") == 0 and low(stock, {"a": 5}) == [] and low(stock, {"a": 6}) == ["a"]
    stock.reserve("a", 1)
    assert low(stock, {"b": 1, "a": 5}) == ["a", "b"]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
