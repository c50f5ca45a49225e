"""What is indexed of one file's content: its chunks, their term counts, and the text to embed.

Depends only on the bytes and the language. Both indexes, in Postgres and in memory, are built from it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from assets.context.chunking import terms
from assets.context.chunking.chunks import Chunk, Language, cut

EMBEDDED_WORDS = 160
TEXT_EMBEDDED = 4000
"""The embedded words are taken from this many characters at the start of a chunk's text."""

_DOCSTRING_EMBEDDED = 600


@dataclass(frozen=True, slots=True)
class Content:
    """`counts[i]` maps each term of chunk i, including the marked terms of its name, to the number of occurrences;
    `lengths[i]` is the number of terms in its text."""

    chunks: tuple[Chunk, ...]
    lengths: tuple[int, ...]
    counts: tuple[Mapping[str, int], ...]


def chunker_of(language: Language) -> str:
    """With the blob id, the key of a content's rows: a change to chunking or terms leads to new rows."""
    return f"{language.chunker}/terms-{terms.VERSION}"


def make_content(raw: bytes, language: Language) -> Content:
    """Cuts a file and counts its terms. Succeeds for any bytes."""
    return count_chunks(cut(raw, language))


def count_chunks(chunks: Sequence[Chunk]) -> Content:
    """The content made of these chunks, for texts that are not files."""
    lengths = []
    counted = []
    for chunk in chunks:
        counts = terms.count_terms(chunk.text)
        lengths.append(sum(counts.values()))
        for term in named_terms(chunk):
            counts[term] = 1  # the mark keeps terms of names apart from those of texts
        counted.append(counts)
    return Content(tuple(chunks), tuple(lengths), tuple(counted))


def named_terms(chunk: Chunk) -> Collection[str]:
    """The marked terms by which a chunk is found by its name. A section has none, since a heading is not a
    definition: it is found by its words."""
    return () if chunk.kind == "section" else terms.name_terms(chunk.symbol)


def embedded_head(chunk: Chunk) -> str:
    """What is embedded before the text of a chunk: its symbol and the start of its docstring."""
    return f"{chunk.symbol} {chunk.docstring[:_DOCSTRING_EMBEDDED]}"


def embedded_text(chunk: Chunk) -> str:
    """The text that is embedded for a chunk: the words of its symbol and docstring, then those of its text."""
    seen = f"{embedded_head(chunk)} {chunk.text[:TEXT_EMBEDDED]}"
    found = [part for word in terms.words(seen) for part in terms.parts(word)]
    return " ".join(found[:EMBEDDED_WORDS])
