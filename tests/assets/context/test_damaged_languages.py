"""How each language's chunker cuts code that is broken, truncated or deeply nested."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.context.chunking.chunks import cut, language_of, lines_of
from tests.assets.context.language_cases import EXPECTED


@pytest.mark.parametrize(
    ("path", "text", "symbols"),
    [
        (
            "a.js",
            "function good() {\n  return 1;\n}\n\nfunction bad( {\n\nfunction later() {\n  return 2;\n}\n",
            {"good"},
        ),
        (
            "a.go",
            "package a\n\nfunc good() {}\n\n<<<<<<< HEAD\nfunc mine() {}\n=======\nfunc yours() {}\n",
            {"good", "mine"},
        ),
        ("a.java", "class A {\n  void good() {}\n  void bad( {\n  }\n}\n", {"A"}),
        ("a.rs", "fn good() {}\n\nfn bad( {\n\nfn later() {}\n", {"good"}),
        ("a.cpp", "int good() { return 1; }\nWEIRD(x) y z;\nint later() { return 2; }\n", {"good", "later"}),
        ("a.rb", "def good\n  1\nend\n\nclass Bad\n  def later\n    2\n  end\n", {"good"}),
    ],
)
def test_intact_definitions_in_a_broken_file_are_found(path: str, text: str, symbols: set[str]) -> None:
    assert symbols <= {chunk.symbol for chunk in cut(text.encode(), language_of(path))}


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A real source with some spans deleted, duplicated, or replaced by brackets, quotes and noise."""
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, len(text)))
        last = min(len(text), first + draw(st.integers(0, 80)))
        instead = draw(
            st.sampled_from(["", text[first:last] * 2, "{", "}", "(", '"', "/*", "`", "<<A\n", "\r\n", "\0", "é\u2028"])
        )
        text = text[:first] + instead + text[last:]
    return text


@pytest.mark.parametrize("path", EXPECTED)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_line_of_a_damaged_source_is_in_exactly_one_chunk(path: str, data: st.DataObject) -> None:
    content = data.draw(damaged(EXPECTED[path][0])).encode()
    lines = lines_of(content)
    chunks = cut(content, language_of(path))
    assert all(chunk.symbol or chunk.kind in ("module", "window") for chunk in chunks)
    covered = [n for chunk in chunks for n in range(chunk.start_line, chunk.end_line + 1)]
    assert covered == sorted(set(covered))
    assert {n for n, line in enumerate(lines, 1) if line.strip()} <= set(covered) <= set(range(1, len(lines) + 1))


@pytest.mark.parametrize("path", EXPECTED)
def test_a_file_is_cut_alike_each_time_and_with_any_line_ends(path: str) -> None:
    text = EXPECTED[path][0]
    chunks = cut(text.encode(), language_of(path))
    assert cut(text.encode(), language_of(path)) == chunks
    windows = cut(text.replace("\n", "\r\n").encode(), language_of(path))
    assert [(c.kind, c.symbol, c.start_line, c.end_line) for c in windows] == [
        (c.kind, c.symbol, c.start_line, c.end_line) for c in chunks
    ]


@pytest.mark.parametrize("path", EXPECTED)
def test_deeply_nested_definitions_are_cut_like_any_file(path: str) -> None:
    opening = {"cart.go": "func f() { func() {\n", "cart.rb": "module M\n", "cart.c": "struct s {\n"}
    text = opening.get(path, "class A {\n") * 3000
    assert sum(c.end_line - c.start_line + 1 for c in cut(text.encode(), language_of(path))) == 3000


@pytest.mark.parametrize(
    ("path", "lines", "symbols"),
    [
        ("cart.jsx", 32, {"add", "Cart.total", "load"}),
        ("cart.go", 13, {"Cart", "Key"}),
        ("Cart.java", 17, {"Cart"}),
        ("cart.cpp", 9, {"Cart"}),
        ("cart.rb", 19, {"total", "load"}),
    ],
)
def test_a_file_that_ends_in_the_middle_is_read_as_far_as_it_goes(path: str, lines: int, symbols: set[str]) -> None:
    text = "\n".join(EXPECTED[path][0].split("\n")[:lines])
    assert symbols <= {chunk.symbol for chunk in cut(text.encode(), language_of(path))}
