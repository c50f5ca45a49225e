"""The places of a program that a text names: files, lines of files, and functions in files that are known to matter."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from assets.executions.engines.search.source import SourceFile
from assets.executions.tokenizer import identifiers
from core.work import Location

MOST_PLACES = 10
_MOST_READ = 40
"""Files in which names are looked up."""
_FILE = re.compile(r"(?<![\w/.-])(?:\.?/)?((?:[\w.+-]+/)*[\w.+-]+\.\w+)(?::(\d{1,6}))?")


def named_places(
    text: str,
    paths: Iterable[str],
    sources: Mapping[str, SourceFile],
    likely: Iterable[str] = (),
    texts: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Location, ...]:
    """At most `MOST_PLACES` places: lines, definitions (in files that the text names, and in those of `likely`), and
    files that are named without either, as a whole. Of `paths`, `sources` has the parsed ones, `texts` the others."""
    mentioned = _mentioned(text, list(paths))
    names = identifiers(text)
    places: dict[tuple[str, int, int], Location] = {}
    for path in dict.fromkeys((*mentioned, *likely)):
        if len(places) >= MOST_PLACES:
            break
        source = sources.get(path)
        found = list(_defined(source, names)) if source is not None else []
        for line in mentioned.get(path, ()):
            found.append(_around(path, line, source))
        if not found and path in mentioned:
            last = source.lines if source is not None else texts.get(path, "").count("\n") + 1
            found.append(Location(path=path, start_line=1, end_line=last, symbol="", score=1.0))
        for one in found:
            places.setdefault((one.path, one.start_line, one.end_line), one)
    return tuple(places.values())[:MOST_PLACES]


def _mentioned(text: str, paths: list[str]) -> dict[str, list[int]]:
    """The files that a text names by the end of their path, unless that is the end of several, with named lines."""
    found: dict[str, list[int]] = {}
    for name, line in list(dict.fromkeys(_FILE.findall(text)))[:_MOST_READ]:
        ending = [path for path in paths if path == name or path.endswith(f"/{name}")]
        if len(ending) == 1 or name in ending:
            path = name if name in ending else ending[0]
            found.setdefault(path, []).extend([int(line)] if line else [])
    return found


def _defined(source: SourceFile, names: set[str]) -> Iterator[Location]:
    """The functions and classes of a file with one of these names; of a class, only if none of its methods is named."""
    nodes = [
        node
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name in names
    ]
    for node in nodes:
        first, last = node.lineno, node.end_lineno or node.lineno
        if not any(one is not node and first <= one.lineno <= last for one in nodes):
            yield Location(path=source.path, start_line=first, end_line=last, symbol=source.symbol_at(first), score=1.0)


def _around(path: str, line: int, source: SourceFile | None) -> Location:
    symbol = source.symbol_at(line) if source is not None else ""
    return Location(path=path, start_line=line, end_line=line, symbol=symbol, score=1.0)
