import ast
import re
import sysconfig
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets.context.chunking import chunks as chunking
from assets.context.chunking import python_chunks
from assets.context.chunking.chunks import LANGUAGES, PYTHON, WINDOWS, Chunk, cut, language_of, lines_of
from assets.context.chunking.content import make_content

SOURCE = '''\
"""A module about dates."""

import re

LIMIT = 3


# Why this is here.
@decorated
@also(
    "x",
)
def parse(text: str,
          strict: bool = False) -> int:
    """Reads a number.

    def not_a_function(): pass
    """
    def inner():
        return 1
    return inner()


class Shape(Base):
    """A shape."""

    sides = 0

    def area(self) -> float:
        r\'\'\'Raw: \'\'\'
        return (
0)

    color = "red"

    class Meta:
        ordering = []

        def key(self): return "#"

async def fetch(): ...
if LIMIT:
    def conditional():
        pass
'''


def by_symbol(chunks: list[Chunk]) -> dict[str, Chunk]:
    return {chunk.symbol: chunk for chunk in reversed(chunks)}


def test_python_is_cut_by_function_and_class() -> None:
    chunks = cut(SOURCE.encode(), PYTHON)
    assert [(chunk.kind, chunk.symbol, chunk.start_line, chunk.end_line) for chunk in chunks] == [
        ("module", "", 1, 5),
        ("function", "parse", 8, 21),
        ("class", "Shape", 24, 27),
        ("method", "Shape.area", 29, 32),
        ("class", "Shape", 34, 34),
        ("class", "Shape.Meta", 36, 37),
        ("method", "Shape.Meta.key", 39, 39),
        ("function", "fetch", 41, 41),
        ("module", "", 42, 42),
        ("function", "conditional", 43, 44),
    ]


def test_a_chunk_keeps_signature_docstring_and_scope() -> None:
    found = by_symbol(cut(SOURCE.encode(), PYTHON))
    assert found["parse"].signature == "def parse(text: str, strict: bool = False) -> int"
    assert found["parse"].docstring.startswith("Reads a number.")
    assert found["parse"].text.startswith("# Why this is here.\n@decorated")
    assert found["Shape"].docstring == "A shape."
    assert found["Shape"].signature == "class Shape(Base)"
    assert found["Shape.area"].docstring == "Raw:"
    assert (found["Shape.Meta.key"].scope, found["Shape.Meta.key"].name) == ("Shape.Meta", "key")
    assert found[""].docstring == "A module about dates."


def test_text_in_strings_and_comments_is_not_a_definition() -> None:
    text = 's = """\ndef a():\n"""\nt = \'def b(): pass\'\n# def c():\nu = "\\\n" ; v = (\n"def d():"\n)\n'
    assert {chunk.kind for chunk in cut(text.encode(), PYTHON)} == {"module"}


@pytest.mark.parametrize(
    "text",
    [
        "def a(:\n    x = (1,\n\ndef b():\n    pass\n",
        "print 'python 2'\ndef a():\n\tpass\ndef b():\n  print 'x'\n",
        "{{ template }}\ndef a():\n    pass\n\ndef b():\n    '''unclosed\n",
    ],
)
def test_files_with_invalid_syntax_are_cut_too(text: str) -> None:
    assert {"a", "b"} <= {chunk.symbol for chunk in cut(text.encode(), PYTHON)}


def expected_functions(tree: ast.AST) -> set[tuple[str, int]]:
    found = set()

    def walk(node: ast.AST, scope: str, inside_function: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                if not inside_function:
                    found.add((f"{scope}{child.name}", child.end_lineno or 0))
                walk(child, f"{scope}{child.name}.", True)
            elif isinstance(child, ast.ClassDef):
                walk(child, f"{scope}{child.name}.", inside_function)
            else:
                walk(child, scope, inside_function)

    walk(tree, "", False)
    return found


STANDARD_LIBRARY = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


def test_functions_and_their_ends_are_those_that_ast_finds_in_the_standard_library() -> None:
    compared = 0
    for path in STANDARD_LIBRARY[::2]:
        content = path.read_bytes()
        wanted = expected_functions(ast.parse(content))
        chunks = [chunk for chunk in cut(content, PYTHON) if chunk.kind in ("function", "method")]
        assert wanted <= {(chunk.symbol, chunk.end_line) for chunk in chunks}, path
        assert {chunk.symbol for chunk in chunks} == {symbol for symbol, _ in wanted}, path
        compared += len(wanted)
    assert compared > 1000


def assert_partition(content: bytes, chunks: list[Chunk]) -> None:
    lines = lines_of(content)
    covered: list[int] = []
    for chunk in chunks:
        assert chunk.start_line <= chunk.end_line
        covered += range(chunk.start_line, chunk.end_line + 1)
        assert chunk.text.split("\n") == [
            line.rstrip()[: chunking.LINE_CHARACTERS] for line in lines[chunk.start_line - 1 : chunk.end_line]
        ]
    assert covered == sorted(set(covered)), "chunks overlap or are out of order"
    assert {n for n, line in enumerate(lines, 1) if line.strip()} <= set(covered)
    assert not covered or covered[-1] <= len(lines)


PIECES = """def f():|class C:|    def m(self):|    pass|\treturn 1|@d|# c||  |'|"|(|)|[|}|\\|x = 1|
async def g(a,|\r|\x0c|        class D(C): pass|é\u2028ü|\ufeff|f'{x}'|'''"""
pieces = st.sampled_from([*PIECES.split("|"), '"""'])


@settings(deadline=None, max_examples=300)
@given(st.lists(pieces, max_size=60).map("\n".join))
@example("(" * 20_000)
@example("'" * 20_001)
@example("{" * 20_000)
@example("class A{" * 3000)
@example("x = [\n" * 2000)
def test_chunks_of_code_like_text_partition_its_lines(text: str) -> None:
    for language in LANGUAGES:
        assert_partition(text.encode(), cut(text.encode(), language))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_at_all_can_be_cut(content: bytes) -> None:
    for language in LANGUAGES:
        chunks = cut(content, language)
        assert_partition(content, chunks)
        assert all("\0" not in chunk.text + chunk.symbol + chunk.docstring + chunk.signature for chunk in chunks)
        made = make_content(content, language)
        assert len(made.lengths) == len(made.chunks) == len(chunks)


def test_deeply_nested_classes_are_cut_like_any_file() -> None:
    text = "\n".join(f"{' ' * depth}class C{depth}:" for depth in range(1500))
    chunks = cut(text.encode(), PYTHON)
    assert_partition(text.encode(), chunks)
    assert max(len(chunk.symbol) for chunk in chunks) < 200


def test_a_long_function_is_cut_into_parts_that_keep_its_symbol() -> None:
    text = "def long():\n" + "".join(f"    x{n} = {n}\n" for n in range(1000))
    chunks = cut(text.encode(), PYTHON)
    assert len(chunks) > 5
    assert {chunk.symbol for chunk in chunks} == {"long"}
    assert max(chunk.end_line - chunk.start_line for chunk in chunks) < chunking.LONGEST_LINES * 3 // 2
    assert_partition(text.encode(), chunks)


def test_a_file_with_thousands_of_definitions_becomes_windows() -> None:
    text = "".join(f"def f{n}(): pass\n" for n in range(chunking.MOST_SEGMENTS + 1))
    chunks = cut(text.encode(), PYTHON)
    assert {chunk.kind for chunk in chunks} == {"window"}
    assert len(chunks) < chunking.MOST_SEGMENTS
    assert_partition(text.encode(), chunks)


def test_other_text_is_cut_at_blank_lines() -> None:
    paragraph = "line\n" * 9 + "\n"
    chunks = cut((paragraph * 10).encode(), WINDOWS)
    assert [(chunk.start_line, chunk.end_line) for chunk in chunks] == [(1, 39), (41, 79), (81, 99)]


def test_the_language_follows_the_file_name() -> None:
    assert language_of("a/b.py") is PYTHON
    assert language_of("a/B.PYI") is PYTHON
    assert language_of("a/b.zig") is language_of("Makefile") is WINDOWS
    names = {"a.mjs": "javascript", "a.cts": "typescript", "a.TSX": "tsx", "a.h": "c-header", "a.hpp": "cpp"}
    names |= {"Rakefile": "ruby", "x.gemspec": "ruby", "README.md": "markdown", "index.rst": "restructuredtext"}
    assert {name: language_of(name).name for name in names} == names


def test_each_chunker_has_a_version_of_its_own_and_all_are_in_the_configuration() -> None:
    assert len({language.chunker for language in LANGUAGES}) == len(LANGUAGES)
    assert chunking.CONFIG.split(",") == [language.chunker for language in LANGUAGES]


def test_lines_are_counted_as_editors_count_them() -> None:
    assert lines_of(b"\xef\xbb\xbfa\r\nb\x0cc\xe2\x80\xa8d\n\n") == ["a\r", "b\x0cc\u2028d", ""]
    assert lines_of(b"\xff\0") == ["\ufffd\ufffd"]


def plain_statements(lines: list[str]) -> list[tuple[int, int]]:
    """A reference for the logical lines of `python_chunks`, character by character."""
    text = "\n".join(lines)
    spans: list[tuple[int, int]] = []
    first, number, depth, at = 1, 1, 0, 0
    while at < len(text):
        character, start = text[at], at
        at += 1
        if character in "'\"":
            at = _end_of_string(text, start)
            number += text.count("\n", start, at)
        elif character == "#":
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        elif character == "\\" and (joined := re.match(r"\r?\n", text[at:])):
            at += joined.end()
            number += 1
        elif character == "\n":
            below = re.match(r"([ \t\f]*)(?:async[ \t]+def|def|class)[ \t]+[^\W\d]", lines[number])
            opened = re.match(r"[ \t\f]*", lines[first - 1])
            if below and opened and len(below[1]) <= opened.end():
                depth = 0
            if not depth:
                spans.append((first, number))
                first = number + 1
            number += 1
    return [*spans, (first, len(lines))] if first <= len(lines) else spans


def _end_of_string(text: str, start: int) -> int:
    quote = text[start]
    at = start + 3
    if text.startswith(quote * 3, start):
        while at < len(text) and not text.startswith(quote * 3, at):
            at += 2 if text[at] == "\\" else 1
        if at <= len(text):
            return min(at + 3, len(text))
    at = start + 1
    while at < len(text) and text[at] not in (quote, "\n"):
        if text[at] == "\\" and at + 1 == len(text):
            return at
        at += 2 if text[at] == "\\" else 1
    return at + 1 if text[at : at + 1] == quote else at


SYNTAX = [*"()[]{}'\"\\\n\r#a ", "'''", '"""', "def f", "class A", "async def g", "\n  ", "'a'", "f('x', [1])", "\\\n"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(SYNTAX), max_size=30).map("".join))
def test_python_lines_are_joined_as_a_scan_by_characters_joins_them(text: str) -> None:
    lines = lines_of(text.encode())
    assert python_chunks._statements(lines) == plain_statements(lines)
