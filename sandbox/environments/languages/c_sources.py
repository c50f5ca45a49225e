"""Finds the source file of a C or C++ test by its name: in macros of the usual frameworks, else by a file's name."""

import re
from collections.abc import Mapping
from functools import cached_property

from .tree import SourceTree

SOURCES = (".c", ".cc", ".cpp", ".cxx", ".c++", ".C")
HEADERS = (".h", ".hh", ".hpp", ".hxx")
_TEST_FOLDER = re.compile(r"(^|/)(t|tests?|unit-?_?tests?)/")
_TEST_NAME = re.compile(
    r"(^|/)((tests?|test[_-][^/]*|[^/]*[_-](unit)?tests?)\.\w+|\w*[a-z](Unit)?Tests?\.\w+|testing/[^/]+)$"
)
_MOST_BYTES = 64 << 20
_PAIR = re.compile(r"\b\w*TEST(?:_F|_P|_GROUP)?\w*\s*\(\s*(\w+)\s*,\s*(\w+)\s*[,)]")
_NAMED = re.compile(r'\b(?:\w+_)?(?:TEST_CASE|SCENARIO|TEST)\w*\s*\(\s*(?:[\w:<>]+\s*,\s*)?"((?:[^"\\\n]|\\.)*)"')
_ADDED = re.compile(r"\badd_test\s*\(\s*(?:NAME\s+)?\"?([\w.+/:-]+)", re.IGNORECASE)
_LEFT_OUT = re.compile(r"(^|/)(third[_-]?party|3rd[_-]?party|external|extern|deps|vendor|subprojects|\.[^/]*)/", re.I)


def is_own(path: str) -> bool:
    """Whether a file is none of a library that was copied in."""
    return not _LEFT_OUT.search(path)


def is_test_file(path: str) -> bool:
    """Whether the place or name of a C or C++ file says that it belongs to tests."""
    return path.endswith((*SOURCES, *HEADERS)) and bool(_TEST_FOLDER.search(path) or _TEST_NAME.search(path))


class TestSources:
    """The test sources of a repository, read when the first is asked for."""

    __test__ = False

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree

    def file(self, name: str, otherwise: str) -> str:
        """The file of a test as its runner names it."""
        base = re.sub(r"/\d+$|^\w+/(?=\w+\.)", "", name)  # instances of a parametrised test
        for found in (self._named.get(name), self._named.get(base), self._stems.get(name.rpartition("/")[2])):
            if found:
                return found
        return self._added.get(name, otherwise)

    @cached_property
    def _named(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        left = _MOST_BYTES
        for path in self._tree.paths:
            if path.endswith(SOURCES) and is_own(path) and left > 0:
                text = self._tree.text(path) or ""
                left -= len(text)
                for suite, name in _PAIR.findall(text):
                    found.setdefault(f"{suite}.{name}", path)
                for name in _NAMED.findall(text):
                    found.setdefault(re.sub(r"\\(.)", r"\1", name), path)
        return found

    @cached_property
    def _stems(self) -> Mapping[str, str]:
        """Files whose name, without its ending, no other source has."""
        found: dict[str, str] = {}
        for path in self._tree.paths:
            if path.endswith(SOURCES) and is_own(path):
                stem = path.rpartition("/")[2].rpartition(".")[0]
                found[stem] = "" if stem in found else path
        return found

    @cached_property
    def _added(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for path in self._tree.paths:
            if path.endswith(("CMakeLists.txt", ".cmake")) and is_own(path):
                for name in _ADDED.findall(self._tree.text(path) or ""):
                    found.setdefault(name, path)
        return found
