"""Diffs as they are shown."""

from hypothesis import given
from hypothesis import strategies as some

from gateway.web.diff import MOST_LINES, parse_diff

DIFF = """diff --git a/a.py b/a.py
index 1..2 100644
--- a/a.py
+++ b/a.py
@@ -3,4 +3,5 @@ def f():
 one
-two
+2
+--- three
 four
-++ five
\\ No newline at end of file
+++ six
diff --git a/new.txt b/new.txt
new file mode 100644
--- /dev/null
+++ b/new.txt
@@ -0,0 +1 @@
+hello
diff --git a/old name b/new name
rename from old name
rename to new name
"""


def test_lines_have_their_numbers_on_both_sides() -> None:
    first, new, renamed = parse_diff(DIFF)
    assert (first.path, first.added, first.removed) == ("a.py", 3, 2)
    assert [(one.kind, one.old, one.new, one.text) for one in first.lines] == [
        ("hunk", None, None, "def f():"),
        ("same", 3, 3, "one"),
        ("del", 4, None, "two"),
        ("add", None, 4, "2"),
        ("add", None, 5, "--- three"),
        ("same", 5, 6, "four"),
        ("del", 6, None, "++ five"),
        ("note", None, None, "No newline at end of file"),
        ("add", None, 7, "++ six"),
    ]
    assert (new.path, new.change, new.added) == ("new.txt", "added", 1)
    assert (renamed.path, renamed.change, renamed.lines) == ("new name", "renamed", ())


def test_a_long_diff_is_cut_and_says_by_how_much() -> None:
    body = "\n".join(f"+{n}" for n in range(MOST_LINES + 100))
    [file] = parse_diff(f"diff --git a/x b/x\n@@ -0,0 +1,{MOST_LINES + 100} @@\n{body}")
    assert len(file.lines) == MOST_LINES
    assert (file.left, file.added) == (101, MOST_LINES + 100)


@given(some.text())
def test_any_text_is_taken(text: str) -> None:
    parse_diff(text)
    parse_diff(f"diff --git a/x b/x\n@@ -1,9 +1,9 @@\n{text}")
