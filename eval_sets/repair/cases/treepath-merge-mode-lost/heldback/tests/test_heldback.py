import pytest

from treepath import Change, diff, find, merge, put, walk

TREE = {"a": {"b": {"c": {"d": 1}}}, "e": [[[0]]]}


@pytest.mark.parametrize(
    ("depth", "where"),
    [
        (0, []),
        (1, ["a", "e"]),
        (3, ["a", "a.b", "a.b.c", "e", "e[0]", "e[0][0]"]),
        (None, ["a", "a.b", "a.b.c", "a.b.c.d", "e", "e[0]", "e[0][0]", "e[0][0][0]"]),
        (9, ["a", "a.b", "a.b.c", "a.b.c.d", "e", "e[0]", "e[0][0]", "e[0][0][0]"]),
    ],
)
def test_walk_depths(depth, where):
    assert [place for place, _ in walk(TREE, max_depth=depth)] == where


def test_equal_but_distinct_values():
    for make in (lambda: int("123456789"), lambda: "-".join("ab"), lambda: float("2.5"), lambda: (1, 2), lambda: {3}):
        assert diff({"v": make()}, {"v": make()}) == []


def test_different_values():
    assert diff([1, "a"], [1.0, "b"]) == [Change("[0]", 1, 1.0), Change("[1]", "a", "b")]
    assert diff({"a": None}, {}) == [Change("a", None, "<absent>")]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ("replace", {"a": {"b": [3], "c": {"d": [4]}}}),
        ("append", {"a": {"b": [1, 2, 3], "c": {"d": [0, 4]}}}),
        ("zip", {"a": {"b": [3, 2], "c": {"d": [4]}}}),
    ],
)
def test_nested_lists(lists, expected):
    assert merge({"a": {"b": [1, 2], "c": {"d": [0]}}}, {"a": {"b": [3], "c": {"d": [4]}}}, lists=lists) == expected


def test_where():
    stock = {"a": {"size": "L", "n": 1}, "b": {"size": "M"}, "c": 5, "d": {"size": "L", "n": 2}}
    assert find({"s": stock}, "s[?size=L].n") == [("s.a.n", 1), ("s.d.n", 2)]
    assert find({"s": stock}, "s[?size=XL]") == []
    assert find({"s": stock}, "**[?n=2].size") == [("s.d.size", "L")]


def test_zip_merges_items():
    assert merge([{"x": [1]}], [{"x": [2]}, 5], lists="zip") == [{"x": [2]}, 5]


def test_deep_finds_all_levels_below():
    assert [where for where, _ in find({"x": {"x": {"x": 1}}}, "**.x")] == ["x", "x.x", "x.x.x"]


def test_put_keeps_what_is_there():
    document = {"a": {"b": 1}}
    put(document, "a.c", 2)
    put(document, "l[0]", "x")
    assert document == {"a": {"b": 1, "c": 2}, "l": ["x"]}
