"""Fits ranked places into a token budget: whole functions first, then the imports and outlines of their files.

Greedy by score per token, after the best place. Nothing is shown twice: spans are sets of lines, so a method of a
class that is shown adds nothing, adjacent spans merge, and a text that occurs at two paths is shown once with
both.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from assets.context.chunking.chunks import Chunk
from assets.context.chunking.outline import outline_lines
from assets.context.pack.spans import ContextPack, Quote, Span, SpanKind, cost, heading, render
from assets.context.pack.tokens import estimate_tokens, text_cost
from assets.context.ranking.index import Manifest
from core.work import Location

QUOTES_SHARE = 0.25
"""The most of the budget for quotes of tickets."""

CODE_SHARE = 0.85
"""The most of the budget for quotes and code, before imports and outlines are added."""

DEFINITION_SHARE = 0.5
CLASS_SHARE = 0.25
"""A function (or a class) that would take more of the budget than this is shown in part."""

MOST_LOCATIONS = 100
MOST_OUTLINED = 40
"""The most lines of one file's outline, and of one import statement."""

_MOST_CHUNKS = 20_000
"""The most chunks read from the files of all places; later ones are ignored."""

_GAP = 3
_ALSO = 3
_LEAST_TOKENS = 60
_LEAST_QUOTED = 40
_IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s+\S|using\s|require\b|require_relative\b|package\s"
    r"|(?:const|let|var)\s.{0,200}=\s*require\s*\(|export\s.{0,200}\bfrom\b|extern\s+crate\b)"
)
_WORD = re.compile(r"[^\W\d]\w+")
_IMPORT_WORDS = {"const", "export", "from", "import", "include", "let", "package", "require", "use", "using", "var"}


class Reader(Protocol):
    """The part of `assets.context.ranking.index.Index` that packing needs."""

    @property
    def source(self) -> str: ...

    @property
    def commit(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def manifest(self) -> Manifest: ...

    def chunks(self, documents: Sequence[int]) -> list[Chunk]: ...


def build_pack(index: Reader, locations: Sequence[Location], budget: int, quotes: Sequence[Quote] = ()) -> ContextPack:
    """A pack of at most `budget` tokens, as estimated by `assets.context.pack.tokens`.

    `locations` are ranked places of this index, best first; those that are not in it are ignored. `quotes` are
    added in their order, up to a quarter of the budget. If no piece fits, the pack is empty. Raises
    `ValueError` for a budget that cannot hold the heading.
    """
    packing = _Packing(index, budget)
    kept = packing.quote(quotes)
    candidates = packing.candidates(locations[:MOST_LOCATIONS])
    waiting = packing.fill(candidates, CODE_SHARE)
    packing.add_imports()
    packing.add_outlines()
    waiting = packing.fill(waiting, 1.0)
    spans = tuple(span for shown in packing.shown() for span in shown.spans)
    head = heading(index.source, index.commit, index.version)
    tokens = estimate_tokens(render(head, (*kept, *spans)))
    return ContextPack(index.source, index.commit, index.version, budget, tokens, tuple(kept), spans, len(waiting))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A ranked place: `wanted` are alternative sets of chunks to show, tried in order, the largest first."""

    path: str
    score: float
    chunk: Chunk
    wanted: tuple[tuple[Chunk, ...], ...]


@dataclass(slots=True)
class _Shown:
    """What is shown of one file."""

    path: str
    chunks: Sequence[Chunk]
    code: frozenset[int] = frozenset()
    outlined: tuple[tuple[int, str], ...] = ()
    imported: tuple[tuple[int, str], ...] = ()
    also: tuple[tuple[int, str], ...] = ()
    """(first line, `path:line` of a copy) of texts that occur elsewhere too."""
    spans: tuple[Span, ...] = ()
    cost: int = 0
    text: dict[int, str] = field(default_factory=dict)
    """The file's lines by number; lines outside of all chunks are blank and left out."""

    def lines_of(self, chunks: Iterable[Chunk]) -> frozenset[int]:
        return frozenset(n for chunk in chunks for n in range(chunk.start_line, chunk.end_line + 1))


class _Packing:
    def __init__(self, index: Reader, budget: int) -> None:
        self.index = index
        self.budget = budget
        self.used = text_cost(heading(index.source, index.commit, index.version))
        if self.used > budget * 100:
            raise ValueError(
                f"a budget of {budget} tokens is too small: the heading alone takes {-(-self.used // 100)}"
            )
        self.files: dict[str, _Shown] = {}
        self.texts: dict[str, tuple[str, int]] = {}

    def shown(self) -> list[_Shown]:
        """The files that have spans, in the order in which they were added."""
        return [file for file in self.files.values() if file.spans]

    def quote(self, quotes: Sequence[Quote]) -> list[Quote]:
        kept = []
        limit = self.used + int(self.budget * 100 * QUOTES_SHARE)
        for quote in quotes:
            fitting = _fitting(quote, limit - self.used)
            if fitting is None:
                break
            self.used += cost(fitting)
            kept.append(fitting)
        return kept

    def candidates(self, locations: Sequence[Location]) -> list[_Candidate]:
        """The places with their definitions: the best one first, the others by score per token."""
        manifest = self.index.manifest
        documents: dict[str, range] = {}
        room = _MOST_CHUNKS
        for location in locations:
            file = manifest.number.get(location.path)
            if file is not None and location.path not in documents:
                found = manifest.documents_of(file)[:room]
                room -= len(found)
                documents[location.path] = found
        chunks = iter(self.index.chunks([document for found in documents.values() for document in found]))
        held = {path: [next(chunks) for _ in found] for path, found in documents.items()}
        made = []
        for location in locations:
            of_file = held.get(location.path, ())
            place = next((n for n, c in enumerate(of_file) if c.start_line <= location.start_line <= c.end_line), None)
            if place is not None:
                self._file(location.path, of_file)
                made.append(self._candidate(location, of_file, place))
        return made[:1] + sorted(made[1:], key=lambda one: -one.score / max(_LEAST_TOKENS, _tokens(one.wanted[0])))

    def _file(self, path: str, chunks: Sequence[Chunk]) -> None:
        if path not in self.files:
            text = {c.start_line + n: line for c in chunks for n, line in enumerate(c.text.split("\n"))}
            self.files[path] = _Shown(path, chunks, text=text)

    def _candidate(self, location: Location, chunks: Sequence[Chunk], place: int) -> _Candidate:
        chunk = chunks[place]
        whole = _definition(chunks, place)
        share = CLASS_SHARE if chunk.kind == "class" else DEFINITION_SHARE
        wanted = [whole] if len(whole) > 1 and _tokens(whole) <= self.budget * share else []
        return _Candidate(location.path, location.score, chunk, (*wanted, (chunk,)))

    def fill(self, candidates: Sequence[_Candidate], share: float) -> list[_Candidate]:
        """Adds the candidates that fit and returns the others."""
        waiting = []
        for candidate in candidates:
            if not any(self._take(candidate.path, chunks, share) for chunks in candidate.wanted):
                waiting.append(candidate)
        return waiting

    def _take(self, path: str, chunks: Sequence[Chunk], share: float) -> bool:
        file = self.files[path]
        lines = file.lines_of(chunks)
        if lines <= file.code:
            return True
        text = "\n".join(chunk.text for chunk in chunks)
        first = chunks[0].start_line
        elsewhere = self.texts.get(text)
        if elsewhere is not None and elsewhere[0] != path:
            other = self.files[elsewhere[0]]
            also = (*other.also, (elsewhere[1], f"{path}:{first}"))
            # If the reference does not fit either, the text is still shown at the other path.
            if sum(1 for line, _ in also if line == elsewhere[1]) <= _ALSO:
                self._change(other, share, also=also)
            return True
        if not self._change(file, share, code=file.code | lines):
            return False
        self.texts[text] = (path, first)
        return True

    def _change(
        self,
        file: _Shown,
        share: float,
        *,
        code: frozenset[int] | None = None,
        also: tuple[tuple[int, str], ...] | None = None,
        outlined: tuple[tuple[int, str], ...] | None = None,
        imported: tuple[tuple[int, str], ...] | None = None,
    ) -> bool:
        """Applies a change to what is shown of a file, if it fits. Returns whether it did."""
        after = replace(
            file,
            code=file.code if code is None else code,
            also=file.also if also is None else also,
            outlined=file.outlined if outlined is None else outlined,
            imported=file.imported if imported is None else imported,
        )
        after.spans = tuple(self._spans(after))
        after.cost = sum(map(cost, after.spans))
        if self.used - file.cost + after.cost > int(self.budget * 100 * share):
            return False
        self.used += after.cost - file.cost
        self.files[file.path] = after
        return True

    def _spans(self, file: _Shown) -> Iterable[Span]:
        def span(kind: SpanKind, lines: Iterable[tuple[int, str]], symbols: Iterable[str] = ()) -> Span:
            return Span(kind, self.index.source, self.index.commit, file.path, tuple(symbols), tuple(lines))

        imported = [line for line in file.imported if line[0] not in file.code]
        if imported:
            yield span(SpanKind.IMPORTS, imported)
        for first, last in _runs(file.code, file.text):
            inside = [c for c in file.chunks if c.symbol and first <= c.start_line <= last]
            symbols = dict.fromkeys(c.symbol for c in inside)
            also = tuple(place for line, place in file.also if first <= line <= last)
            made = span(SpanKind.CODE, ((n, file.text.get(n, "")) for n in range(first, last + 1)), symbols)
            yield replace(made, also=also)
        outlined = [line for line in file.outlined if line[0] not in file.code]
        if outlined:
            yield span(SpanKind.OUTLINE, sorted(outlined))

    def add_imports(self) -> None:
        """Adds the imports that the shown lines of each file use."""
        for file in self.shown():
            used = {word for n in file.code for word in _WORD.findall(file.text.get(n, ""))}
            lines = tuple(_imports(file.chunks, used))
            if lines:
                self._change(file, 1.0, imported=lines)

    def add_outlines(self) -> None:
        """Adds outlines: first the definitions around shown code with their members, then the rest of its files."""
        lines = {file.path: outline_lines(file.chunks) for file in self.shown()}
        for members in (True, False):
            for path, found in list(lines.items()):
                file = self.files[path]
                scopes = {c.scope for c in file.chunks if c.scope and c.start_line in file.code}
                for line in found:
                    near = any(line.symbol == s or line.symbol.startswith(f"{s}.") for s in scopes)
                    known = line.start_line in file.code or any(line.start_line == n for n, _ in file.outlined)
                    if near is not members or known or len(file.outlined) >= MOST_OUTLINED:
                        continue
                    text = f"{'    ' * line.depth}{line.text}"
                    if not self._change(file, 1.0, outlined=(*file.outlined, (line.start_line, text))):
                        del lines[path]  # the budget is used up: shorter lines further down matter less
                        break
                    file = self.files[path]


def _tokens(chunks: Sequence[Chunk]) -> int:
    return estimate_tokens("\n".join(chunk.text for chunk in chunks))


def _definition(chunks: Sequence[Chunk], place: int) -> tuple[Chunk, ...]:
    """The chunk with the adjacent chunks of the same definition or inside it."""
    symbol = chunks[place].symbol
    if not symbol or chunks[place].kind == "section":
        return (chunks[place],)

    def belongs(chunk: Chunk) -> bool:
        return chunk.symbol == symbol or chunk.symbol.startswith(f"{symbol}.")

    first = last = place
    while first > 0 and belongs(chunks[first - 1]):
        first -= 1
    while last + 1 < len(chunks) and belongs(chunks[last + 1]):
        last += 1
    return tuple(chunks[first : last + 1])


def _runs(lines: frozenset[int], text: dict[int, str]) -> list[tuple[int, int]]:
    """The lines as (first, last) spans; spans merge across a few blank lines."""
    runs: list[tuple[int, int]] = []
    for number in sorted(lines):
        if runs and number - runs[-1][1] <= _GAP and not any(n in text for n in range(runs[-1][1] + 1, number)):
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _imports(chunks: Sequence[Chunk], used: set[str]) -> Iterable[tuple[int, str]]:
    """(number, text) of the lines of module-level import statements that contain a word of `used`."""
    for chunk in chunks:
        if chunk.kind != "module":
            continue
        lines = chunk.text.split("\n")
        n = 0
        while n < len(lines):
            begun = n
            if _IMPORT.match(lines[n]):
                depth = lines[n].count("(") + lines[n].count("{") - lines[n].count(")") - lines[n].count("}")
                while depth > 0 and n + 1 < len(lines) and n - begun < MOST_OUTLINED:
                    n += 1
                    depth += lines[n].count("(") + lines[n].count("{") - lines[n].count(")") - lines[n].count("}")
                if used.intersection(_WORD.findall("\n".join(lines[begun : n + 1]))) - _IMPORT_WORDS:
                    yield from ((chunk.start_line + m, lines[m]) for m in range(begun, n + 1))
            n += 1


def _fitting(quote: Quote, room: int) -> Quote | None:
    """The quote, cut to `room` (hundredths of a token), or None if less than `_LEAST_QUOTED` characters fit."""
    if cost(quote) <= room:
        return quote
    low, high = 0, len(quote.text)
    while low < high:
        middle = (low + high + 1) // 2
        if cost(replace(quote, text=quote.text[:middle], cut=True)) <= room:
            low = middle
        else:
            high = middle - 1
    return replace(quote, text=quote.text[:low], cut=True) if low >= _LEAST_QUOTED else None
