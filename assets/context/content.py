"""One file's content made searchable: its chunks, their term counts, and the text that models embed.

Depends on the bytes and the language alone. Both kinds of index are made of these.
"""

from array import array
from dataclasses import dataclass

from assets.context import terms
from assets.context.chunks import Chunk, Language, cut

EMBEDDED_WORDS = 160


@dataclass(frozen=True, slots=True)
class Content:
    """`lengths[i]` is the number of terms of chunk i; `postings[term]` holds pairs of chunk and count, flat."""

    chunks: tuple[Chunk, ...]
    lengths: tuple[int, ...]
    postings: dict[str, "array[int]"]


def chunker_of(language: Language) -> str:
    """What a content's rows are stored under, beside its blob: a change of cutting or of terms makes new rows."""
    return f"{language.chunker}/terms-{terms.VERSION}"


def make_content(raw: bytes, language: Language) -> Content:
    """Cuts and counts. Never fails, whatever the bytes."""
    chunks = cut(raw, language)
    lengths = []
    postings: dict[str, array[int]] = {}
    for number, chunk in enumerate(chunks):
        counts = terms.count_terms(chunk.text)
        lengths.append(sum(counts.values()))
        for term, count in counts.items():
            if (found := postings.get(term)) is None:
                postings[term] = found = array("H")
            found.append(number)
            found.append(min(count, 65535))
        for term in terms.name_terms(chunk.symbol):
            if (found := postings.get(term)) is None:
                postings[term] = found = array("H")
            found.append(number)
            found.append(1)
    return Content(tuple(chunks), tuple(lengths), postings)


def embedded_text(chunk: Chunk) -> str:
    """What a model sees of a chunk: its name and docstring as words, then the words of its code."""
    head = f"{chunk.symbol} {chunk.docstring[:600]}"
    found = [part for word in terms.words(f"{head} {chunk.text[:4000]}") for part in terms.parts(word)]
    return " ".join(found[:EMBEDDED_WORDS])
