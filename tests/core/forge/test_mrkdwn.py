"""Markdown for Slack: its meaning stays, and nobody is mentioned."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.forge.mrkdwn import mrkdwn, parts

CONTROL = re.compile(r"<(?!https?://)")
"""A sequence that Slack would interpret, other than a link."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and *italic* and ~~gone~~", "*bold* and _italic_ and ~gone~"),
        ("# A *heading* #", "*A heading*"),
        ("- one\n  * two", "• one\n  • two"),
        ("> quoted **x**", "> quoted *x*"),
        ("[a | b](https://x.org/?a=1&b=2)", "<https://x.org/?a=1&amp;b=2|a / b>"),
        ("[`m.py`](https://x.org/m)", "<https://x.org/m|m.py>"),
        ("see https://x.org/a_b_c?d=*e*.", "see <https://x.org/a_b_c?d=*e>*."),
        ("`a < b && **c**`", "`a &lt; b &amp;&amp; **c**`"),
        ("```python\nx = '<b>' # **x**\n```", "```\nx = '&lt;b&gt;' # **x**\n```"),
        ("~~~\n```\n~~~", "```\n``\u200b`\n```"),
        ("```\nopen", "```\nopen\n```"),
        ("| a | b |\n|---|---|\n| `x\\|y` | 2 |", "• a - b\n• `x|y` - 2"),
        ("a\n\n---\n\nb", "a\n\n\nb"),
        ("a <!-- hidden --> b", "a  b"),
        ("2 * 3 * 4 and a_b_c", "2 * 3 * 4 and a_b_c"),
        ("<!channel> <@U1> <https://x.org|y>", "&lt;!channel&gt; &lt;@U1&gt; &lt;<https://x.org>|y&gt;"),
        ("[<!channel>](https://x.org)", "<https://x.org|&lt;!channel&gt;>"),
        ("[`<@U1>` <@U2>](https://x.org)", "<https://x.org|&lt;@U1&gt; &lt;@U2&gt;>"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
    ],
)
def test_each_form_has_one_of_slacks(text: str, shown: str) -> None:
    assert mrkdwn(text) == shown


@settings(deadline=None, max_examples=500)
@given(st.text(st.sampled_from("<>@!#|&;`*_~[]() \n\ue000\ue001\ue0020U1aht:/ps."), max_size=80))
def test_no_text_mentions_anybody(text: str) -> None:
    shown = mrkdwn(text.replace("hp", "https://x"))
    assert not CONTROL.search(shown), shown
    assert not set("\ue000\ue001\ue002") & set(shown)
    for part in parts(shown, 60):
        assert len(part) <= 60


@given(st.lists(st.text(st.sampled_from("ab <&`"), max_size=90), max_size=12))
def test_parts_hold_the_whole_text(lines: list[str]) -> None:
    shown = mrkdwn("\n".join(lines))
    joined = "".join(parts(shown, 80))
    for letter in "ab":
        assert joined.count(letter) == shown.count(letter)
    for part in parts(shown, 80):
        assert not re.search(r"&[a-z]{0,3}$", part)
        assert part.split("\n").count("```") % 2 == 0


def test_comments_are_hidden_outside_of_code_alone() -> None:
    assert mrkdwn("a <!-- hidden --> b") == "a  b"
    assert mrkdwn("```diff\n+<!-- x\n```\nThe verdict.") == "```\n+&lt;!-- x\n```\nThe verdict."
    assert "The verdict." in mrkdwn("a <!-- never closed\n\nThe verdict.")


@pytest.mark.parametrize(
    "line", ["-" * 9_000 + "x", "# " + " #" * 4_500 + "x", "|" + " |" * 4_500 + "x", "<!--" * 2_000]
)
def test_a_long_line_takes_no_time(line: str) -> None:
    began = time.process_time()
    mrkdwn(line)
    assert time.process_time() - began < 2
