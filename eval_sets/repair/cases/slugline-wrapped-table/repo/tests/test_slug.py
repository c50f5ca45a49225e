import pytest

from slugline import slugify, unique_slug


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Hello, World!", "hello-world"),
        ("Größe & Gewicht", "groesse-gewicht"),
        ("  Café   au lait ", "cafe-au-lait"),
        ("100% cotton", "100-cotton"),
        ("日本", "untitled"),
    ],
)
def test_slugs(title, slug):
    assert slugify(title) == slug


def test_long_titles_are_cut_at_a_word():
    assert slugify("the quick brown fox", max_length=12) == "the-quick"


def test_a_word_that_just_fits_is_kept():
    assert slugify("the quick brown fox", max_length=15) == "the-quick-brown"


def test_one_long_word_is_cut_anywhere():
    assert slugify("abcdefghij", max_length=4) == "abcd"


def test_unique_slugs_are_numbered():
    assert unique_slug("News", set()) == "news"
    assert unique_slug("News", {"news", "news-2"}) == "news-3"
