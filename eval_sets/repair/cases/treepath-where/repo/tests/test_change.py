import pytest

from treepath import Change, PathError, delete, diff, merge, put


def test_put_creates_what_is_missing():
    document = {}
    put(document, "a.b[0].c", 1)
    assert document == {"a": {"b": [{"c": 1}]}}


def test_put_beyond_the_end():
    with pytest.raises(IndexError):
        put({"a": [1]}, "a[2]", 3)


def test_put_needs_one_place():
    with pytest.raises(PathError, match="one place"):
        put({"a": [1]}, "a[*]", 3)


def test_delete_returns_the_value():
    document = {"a": [1, 2]}
    assert delete(document, "a[0]") == 1
    assert document == {"a": [2]}


def test_diff_of_values():
    assert diff({"a": 1, "b": [1, 2]}, {"a": 2, "b": [1]}) == [Change("a", 1, 2), Change("b[1]", 2, "<absent>")]


def test_diff_of_equal_documents():
    before = {"title": "report %d" % 7, "size": 1000, "rows": [[1.5], ["x" * 3]]}
    after = {"title": "report 7", "size": 999 + 1, "rows": [[3 / 2], ["xxx"]]}
    assert diff(before, after) == []


def test_diff_sees_types():
    assert diff({"a": 1}, {"a": True}) == [Change("a", 1, True)]


def test_merge():
    base = {"a": {"x": 1, "y": 2}, "b": [1]}
    assert merge(base, {"a": {"y": 3}, "b": [2], "c": 4}) == {"a": {"x": 1, "y": 3}, "b": [2], "c": 4}


def test_merge_removes():
    assert merge({"a": 1, "b": 2}, {"a": None}) == {"b": 2}


def test_merge_appends_lists():
    assert merge({"a": [1]}, {"a": [2]}, lists="append") == {"a": [1, 2]}


def test_merge_appends_nested_lists():
    base = {"hooks": {"pre": ["lint"], "post": []}}
    assert merge(base, {"hooks": {"pre": ["types"]}}, lists="append") == {"hooks": {"pre": ["lint", "types"], "post": []}}


def test_merge_leaves_its_arguments_alone():
    base, over = {"a": {"x": [1]}}, {"a": {"z": [2]}}
    merge(base, over)["a"]["z"].append(3)
    assert (base, over) == ({"a": {"x": [1]}}, {"a": {"z": [2]}})
