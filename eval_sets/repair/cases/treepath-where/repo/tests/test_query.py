import pytest

from treepath import PathError, find, get, parse, walk

SHOP = {
    "name": "corner shop",
    "orders": [
        {"id": 1, "lines": [{"price": 3}, {"price": 4}]},
        {"id": 2, "lines": [{"price": 5}]},
    ],
    "owner": {"id": 9, "odd key": True},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "corner shop"),
        ("orders[1].id", 2),
        ("orders[-1].lines[0].price", 5),
        ('owner."odd key"', True),
    ],
)
def test_get(path, value):
    assert get(SHOP, path) == value


def test_get_without_a_match():
    with pytest.raises(KeyError, match="orders"):
        get(SHOP, "orders[5].id")
    assert get(SHOP, "nothing", None) is None


def test_every():
    assert [value for _, value in find(SHOP, "orders[*].lines[*].price")] == [3, 4, 5]


def test_deep():
    assert find(SHOP, "**.id") == [("orders[0].id", 1), ("orders[1].id", 2), ("owner.id", 9)]


def test_deep_twice_finds_each_once():
    assert [where for where, _ in find(SHOP, "**.lines.**.price")] == [
        "orders[0].lines[0].price",
        "orders[0].lines[1].price",
        "orders[1].lines[0].price",
    ]


def test_walk():
    assert [where for where, _ in walk({"a": [1, {"b": 2}]})] == ["a", "a[0]", "a[1]", "a[1].b"]


def test_walk_to_a_depth():
    document = {"a": {"b": {"c": 1}}, "d": [0]}
    assert [where for where, _ in walk(document, max_depth=2)] == ["a", "a.b", "d", "d[0]"]


@pytest.mark.parametrize(("path", "position"), [("a..b", 2), ("a b", 1), ("a.", 2), (".a", 0)])
def test_bad_paths(path, position):
    with pytest.raises(PathError) as caught:
        parse(path)
    assert caught.value.position == position
