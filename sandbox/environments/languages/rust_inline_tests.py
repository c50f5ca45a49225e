"""Tests inside of Rust source files: `#[cfg(test)]` items and test functions.

A file under `src/` is code and tests at once, so it cannot be protected as a whole; this says whether a change of it
touches the tests, or what is compiled for tests alone. Examples in documentation comments are not counted.
"""

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_TEST_ATTRIBUTE = re.compile(
    r"#!?\[\s*(?:\w+\s*::\s*)*(?:test|bench|rstest|proptest|quickcheck|\w+_test|test_\w+)\s*[(\]]"
)
_CFG = re.compile(r"\bcfg(?:_attr)?\s*!?\s*\(")
_ONLY_TEST = re.compile(r"#!?\[\s*cfg\s*\(\s*(?:all\s*\(\s*(?:[^()]*,\s*)?)?test\s*[,)]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMES_TEST = re.compile(r"\btest\b")
_TEST_MACROS = frozenset({"proptest", "quickcheck"})
_COMMENTS = frozenset({"line_comment", "block_comment"})
_MOST_NODES = 500_000


def test_code_changed(old: str, new: str) -> bool:
    """Whether the test code of a .rs file differs between two texts of it (empty for a file that is not there), or what
    depends on being compiled for tests, such as `cfg!(test)`. Comments and layout do not count."""
    return _test_code(old) != _test_code(new)


def has_test_code(text: str) -> bool:
    return bool(_test_code(text))


def _test_code(text: str) -> list[str]:
    if not _NAMES_TEST.search(text) and not re.search(r"test|bench|quickcheck", text):
        return []
    root = _parser().parse(text.encode(errors="replace")).root_node
    return list(_found(root))


def _found(root: "Node") -> Iterator[str]:
    stack = [root]
    seen = 0
    while stack and seen < _MOST_NODES:
        node = stack.pop()
        seen += 1
        kind = node.type
        if kind == "inner_attribute_item" and _only_tests(_text(node)):
            yield _tokens(node.parent or root)  # a module or file of tests
            return
        if kind in ("macro_invocation", "macro_definition") and _is_test_macro(node):
            yield _tokens(node)
            continue
        attributes: list[Node] = []
        below: list[Node] = []
        for child in node.children:
            if child.type == "attribute_item":
                attributes.append(child)
            elif child.type not in _COMMENTS:
                if attributes and any(_only_tests(_text(one)) for one in attributes):
                    yield " ".join(_tokens(one) for one in (*attributes, child))
                else:
                    for one in attributes:
                        if _depends_on_test(_text(one)):
                            yield _tokens(one)
                    below.append(child)
                attributes = []
        stack.extend(reversed(below))


def _only_tests(attribute: str) -> bool:
    return bool(_TEST_ATTRIBUTE.match(attribute) or _ONLY_TEST.match(attribute))


def _depends_on_test(text: str) -> bool:
    """Whether a condition, such as that of `#[cfg(not(test))]`, names `test` outside of strings."""
    return any(_NAMES_TEST.search(_condition(text, found.end())) for found in _CFG.finditer(_STRING.sub('""', text)))


def _condition(text: str, start: int) -> str:
    """What is in the brackets that open before `start`."""
    text = _STRING.sub('""', text)
    depth, at = 1, start
    while at < len(text) and depth:
        depth += (text[at] == "(") - (text[at] == ")")
        at += 1
    return text[start:at]


def _is_test_macro(node: "Node") -> bool:
    """Whether a macro makes tests, or holds something that depends on being compiled for tests."""
    name = node.child_by_field_name("macro")
    if name is not None and _text(name).rpartition("::")[2] in _TEST_MACROS:
        return True
    return _depends_on_test(_text(node))


def _text(node: "Node") -> str:
    return (node.text or b"").decode(errors="replace")


def _tokens(node: "Node") -> str:
    """The tokens of a node, without comments."""
    found: list[str] = []
    stack = [node]
    while stack:
        one = stack.pop()
        if one.type in _COMMENTS:
            continue
        if one.child_count == 0 or one.type in ("string_literal", "raw_string_literal", "char_literal"):
            found.append(_text(one))
        else:
            stack.extend(reversed(one.children))
    return " ".join(found)


@functools.cache
def _parser() -> "Parser":
    import tree_sitter
    import tree_sitter_rust

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
