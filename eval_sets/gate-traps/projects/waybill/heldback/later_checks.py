from waybill.parcels import Parcel, label
from waybill.rates import NotAccepted, cheapest, insured, price
from waybill.routes import arrival, route

BOX = (30, 20, 10)


def refused(*arguments):
    try:
        price(*arguments)
    except NotAccepted:
        return True
    return False


def check_parcels():
    assert [Parcel(1, sides).girth for sides in ((1, 2, 3), (3, 2, 1), (5, 5, 5))] == [9, 9, 25]
    assert [Parcel(1, sides).volume_grams for sides in ((10, 10, 10), (1, 1, 1), (25, 20, 3))] == [200, 200, 400]
    assert label("A", [" ", "x "]) == "A\nx" and label("A", [], " fr ") == "A\nFR"


def check_price():
    steps = {1: 549, 2000: 549, 2001: 749, 5000: 749, 5001: 1049, 10000: 1049, 10001: 1949, 31500: 1949}
    for grams, cents in steps.items():
        assert price(Parcel(grams, BOX), "home") == cents
        assert price(Parcel(grams, BOX), "near", contract=True) == cents + 700
        assert price(Parcel(grams, BOX), "far") == cents + 2400
    assert price(Parcel(10, (50, 20, 20)), "home") == 749
    assert not refused(Parcel(10, (100, 99, 1)), "home") and price(Parcel(1, (298, 1, 0)), "home") == 549
    assert refused(Parcel(10, (101, 99, 1)), "home") and refused(Parcel(1, (80, 80, 30)), "home")
    assert refused(Parcel(40000, BOX), "home")


def check_offers():
    assert cheapest({}) is None and cheapest({"a": (5, 9), "b": (4, 99)}) == "b"
    assert cheapest({"a": (5, 2), "z": (5, 1)}) == "z"
    assert [insured(100, v) for v in (0, 50000, 50099, 50100, 90000)] == [100, 100, 100, 101, 500]


def check_routes():
    links = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "x"), ("x", "d"), ("d", "e")]
    assert route(links, "a", "e") == ["a", "x", "d", "e"] and route(links, "e", "a") == ["e", "d", "x", "a"]
    assert route(links, "q", "a") is None and route([], "q", "q") == ["q"]
    assert [arrival(day, 3, (5, 6)) for day in range(7)] == [3, 4, 7, 8, 9, 9, 9]
    assert arrival(3, 0, (3,)) == 3 and arrival(10, 1) == 11


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
