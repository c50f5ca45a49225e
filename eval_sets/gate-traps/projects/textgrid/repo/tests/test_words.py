import pytest

from textgrid.words import ordinal, plural, shorten, title


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [("short", 5, "short"), ("too long", 4, "too…"), ("a b c", 3, "a …")],
)
def test_shorten(text, width, short):
    assert shorten(text, width) == short


def test_shorten_with_dots():
    assert shorten("a long story", 8, "...") == "a lon..."


@pytest.mark.parametrize(("number", "text"), [(1, "1st"), (10, "10th"), (22, "22nd"), (103, "103rd")])
def test_ordinal(number, text):
    assert ordinal(number) == text


@pytest.mark.parametrize("number", [11, 12, 13])
def test_ordinal_of_the_teens(number):
    assert ordinal(number) == f"{number}th"


def test_plural():
    assert plural(0, "file") == "0 files"


def test_plural_of_minus_one():
    assert plural(-1, "degree") == "-1 degree"


def test_title():
    assert title("the lord of the rings") == "The Lord of the Rings"
