"""Coverage as V8 writes it becomes lines."""

import json

import pytest

from sandbox.reports.v8_coverage import executed_lines

TEXT = "function a(x) {\n  if (x) {\n    return 1;\n  }\n  return 2;\n}\n\nfunction b() {\n  return 3;\n}\na(1);\n"


def report(*functions: list[tuple[int, int, int]], url: str = "file:///workspace/src/a.js") -> bytes:
    names = ("startOffset", "endOffset", "count")
    made = [{"functionName": "", "ranges": [dict(zip(names, each, strict=True)) for each in one]} for one in functions]
    return json.dumps({"result": [{"scriptId": "1", "url": url, "functions": made}]}).encode()


def lines_of(content: bytes, text: str = TEXT) -> dict[str, frozenset[int]]:
    return executed_lines(content, "/workspace", lambda path: text)


def test_inner_ranges_decide_about_their_lines() -> None:
    whole = [(0, len(TEXT), 1)]
    ran = [(0, TEXT.index("\n\nfunction b") + 1, 1), (TEXT.index("  return 2"), TEXT.index("}\n\n"), 0)]
    never = [(TEXT.index("function b"), TEXT.index("a(1);"), 0)]
    assert lines_of(report(whole, ran, never)) == {"src/a.js": frozenset({1, 2, 3, 4, 6, 11})}


def test_a_range_that_begins_where_its_outer_one_does_decides() -> None:
    never = [(0, TEXT.index("\n\nfunction b"), 0)]
    assert lines_of(report(never, [(0, len(TEXT), 1)])) == {"src/a.js": frozenset({8, 9, 10, 11})}


def test_offsets_are_in_utf_16_units() -> None:
    text = "f('😀');\nif (x) {\n  g();\n}\n"
    size = len(text.encode("utf-16-le")) // 2
    start = len(text[: text.index("{")].encode("utf-16-le")) // 2
    found = lines_of(report([(0, size, 1), (start, start + 10, 0)]), text)
    assert found == {"src/a.js": frozenset({1, 2})}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"result": 1}',
        b'{"result": [1, {"url": 2}, {"url": "file:///workspace/src/a.js", "functions": 3}]}',
        b'{"result": [{"url": "file:///workspace/src/a.js", "functions": [1, {"ranges": [{"startOffset": "a"}]}]}]}',
        report([(0, 5, 1)]),  # not the length of the file
        report([(0, len(TEXT), 1)], url="file:///workspace/node_modules/x/src/a.js"),
        report([(0, len(TEXT), 1)], url="file:///elsewhere/src/a.js"),
        report([(0, len(TEXT), 1)], url="node:fs"),
        report([(0, len(TEXT), 1)], url="file:///workspace/%2e%2e/a.js"),
    ],
)
def test_what_says_nothing_about_a_file_of_the_repository_is_left_out(content: bytes) -> None:
    assert lines_of(content) == {}
