import pytest

from pagewalk import BadCursor, Store, decode, encode


def walk(store, **how):
    found, cursor = [], None
    while True:
        ids, cursor = store.page(cursor, **how)
        found.append(ids)
        if cursor is None:
            return found


def test_pages():
    store = Store([(n, f"i{n}") for n in range(5)])
    assert walk(store, size=2) == [["i0", "i1"], ["i2", "i3"], ["i4"]]
    assert walk(store, size=5, newest_first=True) == [["i4", "i3", "i2", "i1", "i0"]]
    assert walk(Store()) == [[]]


def test_an_import_of_many_at_once():
    store = Store([(1, "a"), (7, "b"), (7, "c"), (7, "d"), (9, "e")])
    assert walk(store, size=2) == [["a", "b"], ["c", "d"], ["e"]]


def test_items_come_and_go():
    store = Store([(n, f"i{n}") for n in range(6)])
    _, cursor = store.page(size=3)
    store.remove("i2")
    store.add(-1, "old")
    assert store.page(cursor, size=3) == (["i3", "i4", "i5"], None)


def test_cursors():
    assert decode(encode(5, "x")) == (5, "x")
    for wrong in ("", "x", encode(5, "x")[:-3], encode("5", "x")):
        with pytest.raises(BadCursor):
            decode(wrong)
