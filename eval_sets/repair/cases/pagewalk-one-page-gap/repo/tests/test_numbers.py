import pytest

from pagewalk import page_count, shown_pages
from pagewalk.numbers import bounds


@pytest.mark.parametrize(("items", "pages"), [(0, 1), (1, 1), (20, 1), (21, 2), (40, 2)])
def test_count(items, pages):
    assert page_count(items, 20) == pages


def test_shown():
    assert shown_pages(1, 1) == [1]
    assert shown_pages(3, 5) == [1, 2, 3, 4, 5]
    assert shown_pages(10, 20) == [1, None, 8, 9, 10, 11, 12, None, 20]


def test_no_gap_for_a_single_page():
    assert shown_pages(5, 9, around=2) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_bounds():
    assert [bounds(page, 20, 54) for page in (1, 3, 4)] == [(1, 20), (41, 54), (0, 0)]
