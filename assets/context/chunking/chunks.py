"""Cuts a text file into chunks: a partition of its lines, by function, class or heading if the language is known.

`language_of` selects the language by file name; a file that its language cannot cut is cut into windows. A chunk
depends only on the file's content and language, not on its path, so that it can be stored under the blob's id.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from assets.context.chunking import heading_chunks, python_chunks, window_chunks
from assets.context.chunking.languages import isolated
from assets.context.chunking.segment import Segment

LONGEST_LINES = 120
"""A longer function is cut into parts of about this many lines, each with the function's symbol."""

MOST_SEGMENTS = 4000
"""A file with more segments than this is taken to be generated, and is cut into windows."""

LINE_CHARACTERS = 2000
"""Longer lines are truncated to this many characters in a chunk's text."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines `start_line` to `end_line` (1-based, inclusive) of one file.

    `kind` is function, method, class, module, section or window. `symbol` is the dotted name within the
    file (`Class.method`; empty for module-level code), and for a section the path of its headings.
    """

    kind: str
    symbol: str
    signature: str
    docstring: str
    start_line: int
    end_line: int
    text: str

    @property
    def name(self) -> str:
        return self.symbol.rpartition(self._separator)[2]

    @property
    def scope(self) -> str:
        """The dotted name of the enclosing definition; empty at module level."""
        return self.symbol.rpartition(self._separator)[0]

    @property
    def _separator(self) -> str:
        return heading_chunks.SEPARATOR if self.kind == "section" else "."


@dataclass(frozen=True, slots=True)
class Language:
    """How files of one language are cut. `segments` returns None for a file that it cannot cut."""

    name: str
    version: int
    segments: Callable[[Sequence[str]], list[Segment] | None]

    @property
    def chunker(self) -> str:
        """The name and version under which chunks are stored; if either changes, files are cut again."""
        return f"{self.name}-{self.version}"


def _parsed(name: str, version: int) -> Language:
    return Language(name, version, partial(isolated.segments, name))


PYTHON = Language("python", 1, python_chunks.segments)
WINDOWS = Language("windows", 1, window_chunks.segments)

_SUFFIXES: dict[Language, str] = {
    PYTHON: "py pyi pyw",
    _parsed("javascript", 2): "js jsx mjs cjs",
    _parsed("typescript", 2): "ts mts cts",
    _parsed("tsx", 2): "tsx",
    _parsed("go", 1): "go",
    _parsed("java", 1): "java",
    _parsed("rust", 1): "rs",
    _parsed("c", 1): "c",
    _parsed("c-header", 1): "h",
    _parsed("cpp", 1): "cc cpp cxx c++ hh hpp hxx h++ inl ipp tpp cu cuh",
    _parsed("ruby", 2): "rb rake gemspec ru",
    Language("markdown", 2, heading_chunks.markdown_segments): "md markdown mdx",
    Language("restructuredtext", 2, heading_chunks.restructuredtext_segments): "rst rest",
    WINDOWS: "",
}
LANGUAGES: tuple[Language, ...] = tuple(_SUFFIXES)

CONFIG = ",".join(language.chunker for language in LANGUAGES)
"""Changes whenever a language is added or its version is raised."""

_BY_SUFFIX = {f".{suffix}": language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_NAMED = {"rakefile": "rb", "gemfile": "rb", "guardfile": "rb", "vagrantfile": "rb", "podfile": "rb"}


def language_of(path: str) -> Language:
    """How a file of this name is cut."""
    name = PurePosixPath(path)
    suffix = f".{_NAMED[name.name.lower()]}" if name.name.lower() in _NAMED else name.suffix.lower()
    return _BY_SUFFIX.get(suffix, WINDOWS)


def lines_of(content: bytes) -> list[str]:
    """The lines as git counts them, separated by line feeds only. Undecodable bytes and NULs become U+FFFD."""
    text = content.decode("utf-8", "replace").replace("\0", "\ufffd").removeprefix("\ufeff")
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines


def cut(content: bytes, language: Language) -> list[Chunk]:
    """The file's chunks in order. Every line that is not blank is in exactly one of them."""
    lines = lines_of(content)
    segments = language.segments(lines)
    if segments is None or len(segments) > MOST_SEGMENTS:
        segments = window_chunks.segments(lines, max(window_chunks.LINES, len(lines) // MOST_SEGMENTS + 1))
    chunks = []
    for segment in segments:
        for first, last in _parts(lines, segment.first, segment.last):
            body = [line.rstrip()[:LINE_CHARACTERS] for line in lines[first - 1 : last]]
            chunks.append(
                Chunk(segment.kind, segment.symbol, segment.signature, segment.docstring, first, last, "\n".join(body))
            )
    return chunks


def _parts(lines: Sequence[str], first: int, last: int) -> list[tuple[int, int]]:
    """The span without blank lines at its ends, in parts of at most 1.5 * `LONGEST_LINES` lines."""
    while first <= last and not lines[first - 1].strip():
        first += 1
    while first <= last and not lines[last - 1].strip():
        last -= 1
    if first > last:
        return []
    parts = []
    while last - first + 1 > LONGEST_LINES * 3 // 2:
        end = first + LONGEST_LINES - 1
        blank = next((n for n in range(end, end - LONGEST_LINES // 4, -1) if not lines[n - 1].strip()), end)
        parts += _parts(lines, first, blank)
        first = blank + 1
    return [*parts, *_parts(lines, first, last)] if parts else [(first, last)]
