"""Outlines of files and classes."""

from collections.abc import Sequence

from assets.context.chunking.chunks import Chunk, cut, language_of
from assets.context.chunking.outline import outline_lines

SOURCE = '''\
"""A module."""

import re


class Cart(Base):
    """Holds items.

    More text.
    """

    def total(self, rate: int = 1) -> int:
        """Sums up."""
        return rate

    size = 0

    class Meta:
        def key(self): ...


def load(path: str) -> Cart:
    return Cart()
'''


def outline(chunks: Sequence[Chunk]) -> str:
    return "\n".join(f"{line.start_line:>2} {'    ' * line.depth}{line.text}" for line in outline_lines(chunks))


def test_an_outline_nests_signatures_with_the_first_line_of_their_docstrings() -> None:
    assert outline(cut(SOURCE.encode(), language_of("a.py"))).split("\n") == [
        " 6 class Cart(Base)  # Holds items.",
        "12     def total(self, rate: int = 1) -> int  # Sums up.",
        "18     class Meta",
        "19         def key(self): ...",
        "22 def load(path: str) -> Cart",
    ]


def test_an_outline_of_a_document_nests_its_headings() -> None:
    text = b"# Guide\n\nx\n\n## Use\n\ny\n\n## Help\n\n# Other\n"
    assert outline(cut(text, language_of("a.md"))).split("\n") == [
        " 1 Guide",
        " 5     Use",
        " 9     Help",
        "11 Other",
    ]


def test_overloads_are_listed_each_and_parts_of_one_definition_once() -> None:
    text = "class A {\n  int f(int x) {\n    return 1;\n  }\n  int f(long x) {\n    return 2;\n  }\n  int y;\n}\n"
    lines = outline(cut(text.encode(), language_of("A.java"))).split("\n")
    assert [line.strip() for line in lines] == ["1 class A", "2     int f(int x)", "5     int f(long x)"]


def test_an_outline_of_plain_text_is_empty_and_long_signatures_are_cut() -> None:
    assert outline(cut(b"some text\n", language_of("a.txt"))) == ""
    long = f"def f({', '.join(f'argument_{n}' for n in range(100))}):\n    pass\n"
    assert len(outline(cut(long.encode(), language_of("a.py")))) < 200
