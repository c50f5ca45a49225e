from waybill.routes import arrival, route

LINKS = [("A", "B"), ("B", "C"), ("A", "D"), ("D", "C"), ("E", "F")]


def test_route():
    assert route(LINKS, "A", "C") == ["A", "B", "C"]


def test_no_route():
    assert route(LINKS, "A", "F") is None


def test_stay():
    assert route(LINKS, "B", "B") == ["B"]


def test_arrival():
    assert arrival(0, 2) == 2


def test_arrival_after_sunday():
    assert arrival(4, 2, closed=(6,)) == 7
