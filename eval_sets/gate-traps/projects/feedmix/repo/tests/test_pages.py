from feedmix.items import Item
from feedmix.pages import page, pages, row


def test_pages():
    assert pages([1, 2, 3], 2) == [[1, 2], [3]]


def test_empty_feed():
    assert pages([], 5) == [[]]


def test_row():
    assert row(Item("u?a&b", "1 < 2", 1)) == '<a href="u?a&amp;b">1 &lt; 2</a>'


def test_page():
    assert page([Item("u", "t", 1)]) == '<ul><li><a href="u">t</a></li></ul>'
