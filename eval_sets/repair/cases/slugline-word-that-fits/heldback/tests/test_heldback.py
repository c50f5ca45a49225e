import pytest

from slugline import excerpt, linkify, slugify, strip_tags, table
from slugline.excerpt import shorten


@pytest.mark.parametrize(
    ("length", "slug"),
    [(3, "one"), (4, "one"), (6, "one"), (7, "one-two"), (8, "one-two"), (12, "one-two"), (13, "one-two-three"), (2, "on")],
)
def test_cut_lengths(length, slug):
    assert slugify("one two three", max_length=length) == slug


def test_slug_is_never_longer_than_asked():
    for length in range(1, 30):
        assert len(slugify("lorem ipsum dolor sit amet", max_length=length)) <= length


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<!-- a -->x<!-- b -->", "x"),
        ("1<!--\n\n-->2<i>3</i><!---->4", "12 3 4"),
        ("<!-- only -->", ""),
        ("a<br>b<!-- c > d -->e", "a be"),
        ("x --> y", "x --> y"),
    ],
)
def test_comments(markup, text):
    assert strip_tags(markup) == text


def test_tags_next_to_each_other():
    assert strip_tags("<ul><li>one</li><li>two</li></ul>") == "one two"


@pytest.mark.parametrize(("limit", "text"), [(3, "ab…"), (5, "ab…"), (6, "ab cd…"), (7, "ab cd…"), (8, "ab cd ef")])
def test_shorten(limit, text):
    assert shorten("ab cd ef", limit) == text


def test_wrapped_tables():
    assert table([("a b c", "d"), ("", "e f")], max_width=3) == "a b  d\nc\n     e f"
    assert table([("abcdef", 1)], max_width=4).splitlines() == ["abcd  1", "ef"]
    assert table([("a b", 1)]) == "a b  1"


def test_linkify_parentheses():
    assert linkify("(https://x.org/a_(b))") == '(<a href="https://x.org/a_(b)">https://x.org/a_(b)</a>)'


def test_excerpt_fits():
    assert excerpt("A b. C d. E f.", 9) == "A b. C d."
