import re

from hypothesis import given
from hypothesis import strategies as st

from assets.context.chunking import terms
from assets.context.ranking.query import Frame, read_query
from assets.context.source import skips
from core.git import Entry
from core.word_parts import stem


def test_an_identifier_is_found_whole_and_by_its_parts() -> None:
    assert terms.expand("parseHTTPResponse") == ("parsehttpresponse", "pars", "http", "respons")
    assert terms.expand("_max_retries") == ("max_retries", "max", "retry")
    assert terms.expand("word") == ("word",)
    assert terms.expand("___") == terms.expand("x" * 65) == ()


PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z_]+")


@given(st.one_of(st.text(max_size=8), st.from_regex(r"\w{1,70}", fullmatch=True)))
def test_a_word_is_split_into_itself_and_its_stemmed_parts(word: str) -> None:
    bare = word.strip("_")
    stems = [stem(part.lower()) for part in PARTS.findall(bare)]
    whole = bare.lower()
    expected = [whole, *dict.fromkeys(s for s in stems if len(s) > 1 and s != whole)] if len(stems) > 1 else []
    if len(stems) <= 1:
        expected = [stem(whole)]
    if not 0 < len(bare) <= terms.LONGEST:
        expected = []
    assert (list(terms.split(word)[0]), list(terms.expand(word))) == (expected, expected)
    assert list(terms.split(word)[1]) == list(terms.parts(word))
    assert list(terms.parts(word)) == [part.lower() for part in PARTS.findall(word[: terms.LONGEST])]


def test_words_with_different_endings_are_one_term() -> None:
    for group in (
        ["parse", "parses", "parsed", "parsing"],
        ["query", "queries"],
        ["run", "running"],
        ["class", "classes"],
    ):
        assert len({stem(word) for word in group}) == 1, group
    assert stem("process") == "process"
    assert stem("status") == "status"


@given(st.text(max_size=60))
def test_any_word_of_a_document_is_found_by_a_query_of_the_same_word(text: str) -> None:
    document = terms.count_terms(text)
    for word in terms.words(text):
        assert set(terms.expand(word)) <= set(document)


def test_a_query_names_frames_paths_identifiers_and_messages() -> None:
    query = read_query(
        "Crash in `Slug.make` for empty titles\n\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/app/src/words/slug.py", line 12, in make\n'
        "    raise ValueError\n"
        "ValueError: title may not be empty here\n"
        "tests/test_slug.py:30: in test_empty\n"
        "See src/words/text.py, words.text.clean_up() and HTTPError.\n"
    )
    assert query.frames == (
        Frame("/srv/app/src/words/slug.py", 12, "make"),
        Frame("tests/test_slug.py", 30, "test_empty"),
    )
    assert "src/words/text.py" in query.paths
    assert {"Slug", "make", "clean_up", "ValueError", "HTTPError"} <= set(query.names)
    assert "words.text.clean_up" in query.dotted
    assert query.messages == ("title may not be empty here",)
    assert query.terms["slug"] > query.terms["word"]
    assert "in" not in query.terms


@given(st.text(max_size=300))
def test_any_text_is_a_query(text: str) -> None:
    query = read_query(text)
    assert all("\0" not in name for name in (*query.names, *query.paths, *query.terms))


def test_a_huge_text_is_read_in_bounded_time() -> None:
    for text in ("a." * 100_000, "'" * 100_000, "`x" * 100_000, 'File "' * 50_000, "a/" * 100_000, "a_" * 100_000):
        query = read_query(text)
        assert len(query.terms) <= 400
        assert max(len(query.names), len(query.paths), len(query.dotted), len(query.messages)) <= 60


def entry(path: str, *, mode: str = "100644", size: int = 10) -> Entry:
    return Entry(mode, "0" * 40, size, path)


def test_each_skip_has_its_reason() -> None:
    assert skips.never_read(entry("src/a.py")) is skips.usually_left_out("src/a.py") is None
    assert skips.never_read(entry("a", mode="160000")) == "submodule"
    assert skips.never_read(entry("a", mode="120000")) == "symlink"
    assert skips.never_read(entry("a\udcff.py")) == "its path is not UTF-8"
    assert "larger than 1 MiB" in (skips.never_read(entry("a", size=2 << 20)) or "")
    assert "vendored" in (skips.usually_left_out("x/node_modules/y/a.js") or "")
    assert skips.usually_left_out("poetry.lock") == "lock file"
    assert skips.usually_left_out("a.min.js") == "minified"
    assert "longer than" in (skips.never_read(entry("a" * 501)) or "")
    assert skips.skip_content(b"text\n") is None
    assert skips.skip_content(b"\x89PNG\0") == "binary"
    assert skips.skip_content(b"version https://git-lfs.github.com/spec/v1\n") == "Git LFS pointer"
    assert "very long lines" in (skips.skip_content(b"x" * 20_000) or "")
    assert skips.skip_content(b"# caf\xe9\n") is None
