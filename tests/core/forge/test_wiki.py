"""Markdown as Jira's wiki markup: what it means stays, and foreign text stays text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forge.texts import quiet
from core.forge.wiki import escaped, wiki_of

JOINER = "\N{WORD JOINER}"


@pytest.mark.parametrize(
    ("markdown", "wiki"),
    [
        ("# Head *line*", "h1. Head _line_"),
        ("**bold**, *slanted*, ~~gone~~", "*bold*, _slanted_, -gone-"),
        ("fo**ob**ar", "fo{*}ob{*}ar"),
        ("a `code_span`", "a {{code_span}}"),
        ("`--flag {x}`", f"{{{{\\-\\-flag \\{{{JOINER}x\\}}}}}}"),
        ("[page](https://example.org/a_b?c=d)", "[page|https://example.org/a_b?c=d]"),
        ("See https://example.org/a_b, please.", "See [https://example.org/a_b], please."),
        ("[it](docs/a.md) and [no](ftp://e.org/x)", "it and no"),
        ("[x](https://e.org/a%7Cb|[~ada])", "[x|https://e.org/a%7Cb%7C%5B~ada%5D]"),
        ("![plot](https://e.org/p.png)", "[plot|https://e.org/p.png]"),
        ("- one\n  more\n  - two\n    1. three\n- four", "* one more\n** two\n**# three\n* four"),
        ("> said\n> > before", "{quote}\nsaid\n\nbefore\n{quote}"),
        ("| a | b |\n|---|---|\n| 1 \\| 2 |  |", "||a||b||\n|1 \\| 2| |"),
        ("```python\nx = {1: 2}\n```", "{code:python}\nx = {1: 2}\n{code}"),
        ("```brainfuck\n+-\n```", "{noformat}\n+-\n{noformat}"),
        ("one\ntwo", "one\ntwo"),
        ("---", "----"),
        ("a<br>b <!-- hidden --> <b>c</b>", "a\nb  c"),
        ("<details><summary>More</summary>\n\nText\n\n</details>", "More\n\nText"),
    ],
)
def test_markdown_keeps_its_meaning(markdown: str, wiki: str) -> None:
    assert wiki_of(markdown) == wiki


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[~ada]", f"\\[{JOINER}\\~ada\\]"),
        ("{color:red}x", f"\\{{{JOINER}color:red\\}}x"),
        ("!secret.png!", "\\!secret.png!"),
        ("Great! 2 + 2, a_b_c, x^2, n-1", "Great! 2 + 2, a_b_c, x^2, n-1"),
        ("a | b", "a \\| b"),
        (r"C:\path \\{code}", f"C:\\{JOINER}path \\{JOINER}\\{JOINER}\\{{{JOINER}code\\}}"),
        ("(x) (see) (*r)", "\\(x) (see) \\(\\*r)"),
        ("# no\n* no\nh1. no\nbq. no", f"\\# no\n\\* no\nh{JOINER}1. no\nb{JOINER}q. no"),
    ],
)
def test_text_stays_text(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_code_cannot_end_its_block_or_mention_anybody() -> None:
    made = wiki_of("```python\n{code}\n[~ada] {NoFormat}\n```")
    assert made == f"{{code:python}}\n{{{JOINER}code}}\n[{JOINER}~ada] {{{JOINER}NoFormat}}\n{{code}}"


_MARKUP = st.text(alphabet=st.sampled_from("ab ~*_-{}[]()|!\\`#>@\n:"), max_size=60)


@given(_MARKUP)
def test_no_text_becomes_a_macro_or_a_mention(text: str) -> None:
    made = wiki_of(quiet(text))
    made = re.sub(r"\{(?:code|noformat)\}\n.*?\n\{(?:code|noformat)\}|\{quote\}", "", made, flags=re.DOTALL)
    made = re.sub(r"\{[*_-]\}|\{\{|\}\}", "", made)
    assert "[~" not in made
    assert not re.search(r"(?<!\\)\{", made), made
    assert "\\\\" not in made.replace("\\" + JOINER, ""), made


@given(st.text(max_size=300))
def test_any_text_is_converted(text: str) -> None:
    wiki_of(text)
