from glossa.catalog import Catalog
from glossa.filling import fill, grouped, joined, places
from glossa.plurals import chosen, form


def check_catalog():
    catalog = Catalog({"en": {"a": "A", "b": "B", "e": ""}, "de": {"a": "", "x": "X"}, "de-AT": {}}, "en")
    assert catalog.get("de", "a") == "" and catalog.get("de-AT", "a") == "" and catalog.get("de-AT", "b") == "B"
    assert catalog.get("zz-Q-R", "b") == "B" and catalog.get("en", "q") == "q"
    assert catalog.chain("de-AT-1996") == ["de-AT-1996", "de", "en"] and catalog.chain("en-GB") == ["en-GB", "en"]
    assert catalog.missing("de") == ["b", "e"] and catalog.missing("zz") == ["a", "b", "e"]
    assert Catalog({"fr": {"k": "v"}}, "fr").get("en", "k") == "v"
    assert Catalog({}).missing("de") == []


def check_plurals():
    assert [form("en", n) for n in (0, 1, 2, 21, 101)] == ["many", "one", "many", "many", "many"]
    assert [form("fr", n) for n in (0, 1, 2)] == ["one", "one", "many"]
    few = [n for n in range(200) if form("pl", n) == "few"]
    assert few == [n for n in range(200) if n % 10 in (2, 3, 4) and n // 10 % 10 != 1]
    assert form("uk", 21) == "many" and form("pl", 0) == "many" and form("pl", 114) == "many"
    forms = {"one": "1", "few": "2", "many": "5"}
    assert [chosen("pl", n, forms) for n in (1, 22, 25)] == ["1", "2", "5"] and chosen("en", 9, {"many": "m"}) == "m"


def check_filling():
    assert fill("{a}{a}{b}", a="{b}", b=0) == "{b}{b}0" and fill("{ a } {}", a=1) == "{ a } {}"
    assert fill("{x}", x=None) == "None" and fill("") == "" and fill("{n}", n=0) == "0"
    assert places("none") == [] and places("{b}{a}{b}") == ["b", "a"]
    assert joined([]) == "" and joined(iter("ab"), "or") == "a or b" and joined("abcd") == "a, b, c and d"
    assert joined(["x", "y"]) == "x and y"
    assert [grouped(n) for n in (0, 999, 1000, -12345, 1000000)] == ["0", "999", "1 000", "-12 345", "1 000 000"]
    assert grouped(1234, ".") == "1.234"


def check_sources():
    from pathlib import Path

    for path in Path("glossa").glob("*.py"):
        assert path.read_text(encoding="utf-8").isascii(), path


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
