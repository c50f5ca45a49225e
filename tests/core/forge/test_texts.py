"""Texts for forges: within bounds, with their marker at the end, whole code blocks, and without mentions."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forge.texts import (
    TITLE_CHARACTERS,
    answer_marker,
    bounded,
    marker,
    plain_message,
    plain_title,
    quiet,
    with_comment_mark,
    with_reference_mark,
)

TASK = uuid.UUID("00000000-0000-0000-0000-00000000000a")
MARKDOWN = st.text(alphabet=st.sampled_from("ab@#1`~ \n<!->"), max_size=3_000)


def _open_fence(text: str) -> str:
    fence = ""
    for line in text.split("\n"):
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence):
            fence = ""
    return fence


@given(MARKDOWN, st.integers(1_000, 2_500))
def test_a_text_fits_and_ends_with_its_marker(text: str, most: int) -> None:
    mark = marker(TASK, 1)
    made = bounded(text, mark, most)
    assert len(made) <= most
    assert made.endswith(mark)
    if len(_open_fence(text)) == 0 and len(max(re.findall(r"`{3,}|~{3,}", text), key=len, default="")) < 100:
        assert _open_fence(made.removesuffix(mark)) == "", "a cut code block is closed, or the marker would be shown"


@given(st.text(alphabet=st.sampled_from("ab@# \n."), max_size=300))
def test_nothing_outside_of_code_mentions(text: str) -> None:
    for made in (quiet(text), plain_title(text), plain_message(text)):
        assert not re.search(r"@[A-Za-z0-9_]", made)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("`@app.route` by @ada", "`@app.route` by @\u2060ada"),
        ("```\n@app\n```\n@ada", "```\n@app\n```\n@\u2060ada"),
        ("````\n```\n@app\n````\n@ada", "````\n```\n@app\n````\n@\u2060ada"),
        ("a@b.org", "a@\u2060b.org"),
        ("x @ y", "x @ y"),
        ("@{557058:1}", "@\u2060{557058:1}"),
        ("a `` ` @x `` @y", "a `` ` @x `` @\u2060y"),
        ("lonely ` @x", "lonely ` @\u2060x"),
    ],
)
def test_code_stays_as_it_is(text: str, made: str) -> None:
    assert quiet(text) == made


def test_titles_and_first_lines_refer_to_nothing() -> None:
    assert plain_title("Fix: #5 and !6, not # 7") == "Fix: #\u20605 and !\u20606, not # 7"
    assert plain_message("Fix: #5\n\nIssue: x#5\n") == "Fix: #\u20605\n\nIssue: x#5\n"
    assert plain_title("a\x00\n b") == "a b"
    assert len(plain_title("word " * 200)) <= TITLE_CHARACTERS


def test_markers_of_different_things_differ() -> None:
    marks = {marker(TASK), marker(TASK, 1), marker(TASK, 11), marker(uuid.UUID(int=11))}
    assert len(marks) == 4
    assert not any(a != b and a.endswith(b) for a in marks for b in marks)


@given(MARKDOWN)
def test_a_marker_is_the_same_after_it_was_a_reference(text: str) -> None:
    for mark in (marker(TASK), marker(TASK, 3), answer_marker(TASK)):
        made = bounded(text, mark, 4_000)
        shown = with_reference_mark(made)
        assert shown.endswith(f"\n\n[//]: # ({mark[5:-4]})")
        assert len(shown) == len(made) + 1
        assert with_comment_mark(shown) == made
        assert with_comment_mark(f"{shown} \n") == f"{made}\n"


@pytest.mark.parametrize(
    "text", ["<!-- penstock x --> and more", "<!-- other -->", "x [//]: # (penstock x)", "[//]: # (x)"]
)
def test_other_comments_stay_as_they_are(text: str) -> None:
    assert with_reference_mark(text) == with_comment_mark(text) == text
