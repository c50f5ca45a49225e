from feedmix.items import Item, read, short


def test_read():
    assert read("u1 | Rain &amp; wind | 5") == [Item("u1", "Rain & wind", 5)]


def test_bad_lines():
    assert read("u1|Rain\n\nu2|Sun|soon\nu3|Fog|7") == [Item("u3", "Fog", 7)]


def test_tags():
    assert read("u|Storm #Coast # now|1")[0].tags == ("coast",)


def test_short():
    assert short("Heavy rain in the mountains tonight", 20) == "Heavy rain in the\u2026"


def test_short_enough():
    assert short("Rain", 4) == "Rain"
