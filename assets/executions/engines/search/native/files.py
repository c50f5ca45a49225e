"""The sources that a patch may change, and which of them the failing tests use."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from assets.executions.repository.walk import files

from .syntaxes import SYNTAXES, Syntax, syntax_of

MOST_FILES = 20_000
MOST_BYTES = 300_000
MOST_LINE = 2_000
"""Characters. A file with a longer line was made by a program."""
_GENERATED = re.compile(r"^(//|/\*).{0,80}(Code generated .{0,200} DO NOT EDIT|@generated)", re.MULTILINE)
_LEFT_OUT = re.compile(r"(^|/)(vendor|third_party|node_modules|dist|build|coverage|testdata)/|\.d\.[cm]?ts$|\.min\.js$")
_IMPORT = re.compile(r"""(?:\brequire\s*\(|\bfrom\s|\bimport\s*\(?|\bmock\s*\()\s*['"](\.{0,2}[^'"\s]{1,200})['"]""")
_GO_IMPORT = re.compile(r'^\s*(?:import\s+)?(?:[\w.]+\s+)?"([^"\s]{1,200})"', re.MULTILINE)
_SCRIPTS = tuple(suffix for suffix, syntax in SYNTAXES.items() if syntax.family == "javascript")
_ENDINGS = ("", ".js", ".ts", ".tsx", ".mjs", ".cjs", ".jsx", ".mts", "/index.js", "/index.ts", "/index.mjs")
_DEEPEST = 3
_BY_DISTANCE = (1.0, 0.6, 0.4, 0.25)
_OTHERWISE = 0.04


class ProgramFiles(Mapping[str, str]):
    """The text of each file that may be changed, by path, read at the first access. Those that are not UTF-8, are
    large, or were made by a program are not there."""

    def __init__(self, root: Path, suffixes: tuple[str, ...], refusal: Callable[[str], str | None]) -> None:
        self._root = root
        self.paths = tuple(
            path
            for path in sorted(files(root, MOST_FILES, hidden=False))
            if path.endswith(suffixes) and syntax_of(path) and not _LEFT_OUT.search(path) and refusal(path) is None
        )
        self._known = frozenset(self.paths)
        self._texts: dict[str, str | None] = {}

    def __getitem__(self, path: str) -> str:
        if path not in self._known:
            raise KeyError(path)
        if path not in self._texts:
            self._texts[path] = _text(self._root / path)
        if (text := self._texts[path]) is None:
            raise KeyError(path)
        return text

    def __contains__(self, path: object) -> bool:
        return path in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def syntax(self, path: str) -> Syntax:
        syntax = syntax_of(path)
        if syntax is None:
            raise KeyError(path)
        return syntax


def _text(path: Path) -> str | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    generated = _GENERATED.search(text[:2_000]) is not None or any(len(line) > MOST_LINE for line in text.split("\n"))
    return None if generated else text


def nearness(root: Path, program: ProgramFiles, tests: Iterable[str]) -> dict[str, float]:
    """How near each file is to the failing tests' files, from 0 to 1: imported by one, by what it imports, and so
    on; in Go, also in the same package."""
    distances: dict[str, int] = {}
    named = sorted({test.split("::")[0] for test in tests})
    level = [path for path in named if (root / path).is_file()] or named
    for distance in range(_DEEPEST + 1):
        following: list[str] = []
        for path in level:
            for found in _used(root, program, path, distance == 0):
                if found not in distances:
                    distances[found] = distance
                    following.append(found)
        level = following
    stems = {_stem(path) for path in named}
    near = {}
    for path in program.paths:
        value = _BY_DISTANCE[distances[path]] if path in distances else _OTHERWISE
        near[path] = min(1.0, value + 0.2 * (_stem(path) in stems))
    return near


def _stem(path: str) -> str:
    return re.sub(r"([._-](test|spec|tests))?\.\w+$", "", path.rpartition("/")[2]).lower()


def _used(root: Path, program: ProgramFiles, path: str, is_test: bool) -> list[str]:
    """The files of the program that a file imports, and those of its package."""
    text = (program.get(path) if path in program else _text(root / path)) or ""
    if not path.endswith(_SCRIPTS):
        return _go_used(program, path, text)
    found: dict[str, None] = {}
    for named in _IMPORT.findall(text)[:200]:
        target = _resolved(program, path, named)
        if target is not None:
            found.setdefault(target)
    if is_test and not found:
        stem = _stem(path)
        found.update(dict.fromkeys(one for one in program.paths if _stem(one) == stem))
    return list(found)


def _resolved(program: ProgramFiles, path: str, named: str) -> str | None:
    """The file that an import names; also where it names what is built from it, or the package itself."""
    if not named.startswith("."):
        inside = named.partition("/")[2] if not named.startswith("@/") else named[2:]
        tries = [inside, f"src/{inside}"] if inside else []
    else:
        tries = [posixpath.normpath(posixpath.join(posixpath.dirname(path), named))]
    for base in tries:
        bare = re.sub(r"\.[cm]?[jt]sx?$", "", base)
        for one in dict.fromkeys((base, bare)):
            for more in _ENDINGS:
                if one + more in program:
                    return one + more
        built = re.sub(r"(^|/)(dist|build|lib|out)/", r"\1src/", bare)
        for more in (".ts", ".tsx", ".js", ".mts"):
            if built != bare and built + more in program:
                return built + more
    return None


def _go_used(program: ProgramFiles, path: str, text: str) -> list[str]:
    folder = path.rpartition("/")[0] if path.endswith(".go") else path
    found = dict.fromkeys(one for one in program.paths if one.endswith(".go") and one.rpartition("/")[0] == folder)
    head = text[: text.find("\nfunc ")] if "\nfunc " in text else text[:5_000]
    folders = {one.rpartition("/")[0] for one in program.paths}
    for named in _GO_IMPORT.findall(head)[:100]:
        for one in sorted(folders):
            if one and (named == one or named.endswith(f"/{one}")):
                found.update(dict.fromkeys(p for p in program.paths if p.rpartition("/")[0] == one))
    return list(found)
