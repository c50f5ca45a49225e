"""One file's content made searchable: its chunks, their term counts, and the text that models embed.

Depends on the bytes and the language alone. Both kinds of index are made of these.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from assets.context.chunking import terms
from assets.context.chunking.chunks import Chunk, Language, cut

EMBEDDED_WORDS = 160
TEXT_EMBEDDED = 4000
"""Characters of a chunk's text among which the embedded words are looked for."""

_DOCSTRING_EMBEDDED = 600


@dataclass(frozen=True, slots=True)
class Content:
    """`counts[i]` holds how often each term occurs in chunk i, names of definitions included; `lengths[i]`
    is the number of terms of its text."""

    chunks: tuple[Chunk, ...]
    lengths: tuple[int, ...]
    counts: tuple[Mapping[str, int], ...]


def chunker_of(language: Language) -> str:
    """What a content's rows are stored under, beside its blob: a change of cutting or of terms makes new rows."""
    return f"{language.chunker}/terms-{terms.VERSION}"


def make_content(raw: bytes, language: Language) -> Content:
    """Cuts and counts. Never fails, whatever the bytes."""
    return count_chunks(cut(raw, language))


def count_chunks(chunks: Sequence[Chunk]) -> Content:
    """The content that has these chunks, for texts that are not files."""
    lengths = []
    counted = []
    for chunk in chunks:
        counts = terms.count_terms(chunk.text)
        lengths.append(sum(counts.values()))
        for term in named_terms(chunk):
            counts[term] = 1  # marked terms of names are never terms of a text
        counted.append(counts)
    return Content(tuple(chunks), tuple(lengths), tuple(counted))


def named_terms(chunk: Chunk) -> Collection[str]:
    """The marked terms under which a chunk is found by its name. A heading is no definition: a section is found
    by its words."""
    return () if chunk.kind == "section" else terms.name_terms(chunk.symbol)


def embedded_head(chunk: Chunk) -> str:
    """What a model sees before the text of a chunk."""
    return f"{chunk.symbol} {chunk.docstring[:_DOCSTRING_EMBEDDED]}"


def embedded_text(chunk: Chunk) -> str:
    """What a model sees of a chunk: its name and docstring as words, then the words of its code."""
    seen = f"{embedded_head(chunk)} {chunk.text[:TEXT_EMBEDDED]}"
    found = [part for word in terms.words(seen) for part in terms.parts(word)]
    return " ".join(found[:EMBEDDED_WORDS])
