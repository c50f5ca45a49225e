"""Documents are cut by their headings."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.context.chunking import terms
from assets.context.chunking.chunks import cut, language_of, lines_of
from assets.context.chunking.content import make_content

MARKDOWN = """\
Before any heading.

# Guide #

Intro.

## Install `it`

    # not a heading, indented code

```sh
# not a heading, fenced
```

~~~
## nor this
```
# nor this
~~~

Options
-------

- item
---

| a | b |
|---|---|

Two line
title
=====

#hashtag

### Deep
"""

RST = """\
=====
Title
=====

Intro.

Install
=======

Text::

    Not a heading
    -------------

Options
-------

=====  =====
a      b
=====  =====

Use
===

Last.
"""


def outline(path: str, text: str) -> list[tuple[str, int, int]]:
    return [(chunk.symbol, chunk.start_line, chunk.end_line) for chunk in cut(text.encode(), language_of(path))]


def test_markdown_sections_carry_the_path_of_their_headings() -> None:
    assert outline("a.md", MARKDOWN) == [
        ("", 1, 1),
        ("Guide", 3, 5),
        ("Guide > Install `it`", 7, 19),
        ("Guide > Options", 21, 28),
        ("Two line title", 30, 34),
        ("Two line title > Deep", 36, 36),
    ]


def test_restructuredtext_levels_follow_the_order_of_their_adornments() -> None:
    assert outline("a.rst", RST) == [
        ("Title", 1, 5),
        ("Title > Install", 7, 13),
        ("Title > Install > Options", 15, 20),
        ("Title > Use", 22, 25),
    ]


def test_a_section_has_the_heading_as_its_name_and_the_headings_above_as_its_scope() -> None:
    chunk = cut(b"# A v1.0\n\n## B.c\n\ntext\n", language_of("a.md"))[1]
    assert (chunk.kind, chunk.name, chunk.scope, chunk.signature) == ("section", "B.c", "A v1.0", "B.c")


def test_a_heading_is_found_by_its_words_and_is_not_a_definition() -> None:
    content = make_content(b"# parse_date\n\ntext\n", language_of("a.md"))
    found = {term for counts in content.counts for term in counts}
    assert terms.expand("parse_date")[0] in found
    assert not [term for term in found if term.startswith("=")]


def test_a_heading_directly_below_another_is_one_too() -> None:
    text = "=====\nTitle\n=====\nInstall\n-------\nUse it\n~~~~~~\ntext\nno\n---\n"
    assert outline("a.rst", text) == [
        ("Title", 1, 3),
        ("Title > Install", 4, 5),
        ("Title > Install > Use it", 6, 10),
    ]


@pytest.mark.parametrize("end", ["---", "..."])
def test_front_matter_is_not_a_heading(end: str) -> None:
    text = f"---\ntitle: Rates\nlayout: page\n{end}\n# Rates\n\ntext\n\n### Deep\n"
    assert outline("a.md", text) == [("", 1, 4), ("Rates", 5, 7), ("Rates > Deep", 9, 9)]
    assert outline("a.md", text.replace("\n", "\r\n")) == outline("a.md", text)
    assert outline("a.md", "---\n\n# A\n\n---\n") == [("", 1, 1), ("A", 3, 5)]


def test_only_marks_that_stand_apart_close_a_heading() -> None:
    text = "# C#\n\n## a ##\n\n###\n\n#### # ####\n\n#no\n####### no\n"
    assert [symbol for symbol, _, _ in outline("a.md", text)] == ["C#", "C# > a", "C# > a > -", "C# > a > - > #"]


@pytest.mark.parametrize("unit", [" \t", " #", "#", "`", "~`", "=", "=-", "| ", "- "])
def test_no_line_takes_long(unit: str) -> None:
    began = time.process_time()
    for path in ("a.md", "a.rst"):
        outline(path, f"# a{unit * 100_000}#x\n{unit * 100_000}\n")
    assert time.process_time() - began < 20


PIECES = ["# a", "## b ##", "====", "----", "```", "~~~~", "  text", "", "- x", "> q", "a.b", "\t# c", "***", "é\r"]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("\n".join))
def test_every_line_of_a_document_is_in_exactly_one_chunk(text: str) -> None:
    for path in ("a.md", "a.rst"):
        covered = [n for _, first, last in outline(path, text) for n in range(first, last + 1)]
        assert covered == sorted(set(covered))
        assert {n for n, line in enumerate(lines_of(text.encode()), 1) if line.strip()} <= set(covered)
