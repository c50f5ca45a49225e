"""The encoding of a source is the one that Python itself would use, and a diff reaches each file in its encoding."""

import io
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.source_encoding import encode, encode_diff, encoding_of


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"# coding: latin-1\n", b"#!x\n# -*- coding: cp1252 -*-\n", b"\n\n"])
)
def test_the_encoding_is_the_one_that_python_detects(body: bytes, head: bytes) -> None:
    content = head + body
    try:
        wanted = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError:
        return
    try:
        found = encoding_of("a.py", content)
    except LookupError:
        return
    assert {"utf-8-sig": "utf-8", "iso-8859-1": "iso8859-1"}.get(wanted, wanted) == found


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40))
def test_text_and_bytes_are_inverse(text: str) -> None:
    content = "# coding: latin-1\n" + text
    assert encode("a.py", content) == content.encode("latin-1")
    assert encode("a.txt", content) == content.encode()


@pytest.mark.parametrize("name", ["utf-7", "rot13", "hex", "no-such", "utf-16", "unicode_escape"])
def test_encodings_in_which_ascii_is_not_ascii_are_refused(name: str) -> None:
    with pytest.raises(LookupError):
        encoding_of("a.py", f"# coding: {name}\n".encode())


def test_each_part_of_a_diff_has_the_encoding_of_its_file() -> None:
    part = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-x\n+\u00e9\n"
    diff = part.format("old.py") + part.format("new.py")
    files = {"old.py": b"# coding: latin-1\n", "new.py": b"x\n"}
    old, new = encode_diff(diff, files.get).split(b"diff --git a/new.py")
    assert old.endswith(b"+\xe9\n") and new.endswith("+\u00e9\n".encode())
