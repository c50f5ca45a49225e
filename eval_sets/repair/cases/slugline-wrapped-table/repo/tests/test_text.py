import pytest

from slugline import excerpt, linkify, strip_tags, table, word_count
from slugline.excerpt import sentences, shorten

TEXT = "Dr. Vogel came late. He had missed the train! Nobody minded, e.g. because of the cake."


def test_sentences():
    assert len(sentences(TEXT)) == 3


def test_excerpt_takes_whole_sentences():
    assert excerpt(TEXT, 50) == "Dr. Vogel came late. He had missed the train!"


def test_excerpt_of_one_long_sentence_is_cut():
    assert excerpt("One very long sentence without an end", 20) == "One very long…"


def test_shorten_keeps_what_fits():
    assert shorten("just fits", 9) == "just fits"


@pytest.mark.parametrize(("text", "count"), [("", 0), ("well-known don't", 2), ("a, b; c", 3)])
def test_word_count(text, count):
    assert word_count(text) == count


def test_linkify():
    assert linkify("see https://example.org/a.") == 'see <a href="https://example.org/a">https://example.org/a</a>.'


def test_linkify_escapes_the_rest():
    assert linkify("a < b") == "a &lt; b"


def test_tags_are_stripped():
    assert strip_tags("<p>Fish &amp; <b>chips</b></p>") == "Fish & chips"


def test_comments_are_stripped():
    assert strip_tags("a <!-- note --> b <!-- <b>x</b> --> c") == "a b c"


def test_table():
    assert table([("Apples", 3), ("Figs", 12)], header=("Fruit", "Count")) == (
        "Fruit   Count\n-------------\nApples      3\nFigs       12"
    )


def test_empty_table():
    assert table([]) == ""
