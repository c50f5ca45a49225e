"""Cuts a ticket's text into chunks of about the length that is embedded.

A chunk depends only on title and text, so that the same text in another ticket, or after a change of state, is
stored and embedded once.
"""

from assets.context.chunking import terms
from assets.context.chunking.chunks import LINE_CHARACTERS, Chunk, lines_of
from assets.context.chunking.content import Content, count_chunks

CHUNKER = f"ticket-1/terms-{terms.VERSION}"

CHUNK_CHARACTERS = 1000
"""160 words of a chunk are embedded; English prose has about six characters per word."""

_LONG_LINE = LINE_CHARACTERS // 2


def make_text(title: str, text: str) -> Content:
    """The content of a ticket's body with its title, or of a comment (empty title). Line numbers refer to the text."""
    return count_chunks(cut(title, text))


def cut(title: str, text: str) -> list[Chunk]:
    """Cuts between paragraphs where possible. The title is part of the first chunk's text, and embedded with each."""
    pieces = _pieces(text) or ([(1, 1, "")] if title else [])
    chunks = []
    for number, (first, last, body) in enumerate(pieces):
        shown = f"{title}\n\n{body}".strip() if number == 0 else body
        chunks.append(Chunk("ticket", "", "", title if number else "", first, last, shown))
    return chunks


def _pieces(text: str) -> list[tuple[int, int, str]]:
    """(first line, last line, text) of each piece."""
    pieces: list[tuple[int, int, str]] = []
    held: list[str] = []
    size, first, last = 0, 1, 1

    def close() -> None:
        if body := "\n".join(held).strip("\n"):
            pieces.append((first, last, body))

    for number, line in enumerate(lines_of(text.encode()), start=1):
        for part in [line[n : n + _LONG_LINE] for n in range(0, len(line), _LONG_LINE)] or [""]:
            full = size + len(part) > CHUNK_CHARACTERS
            # A chunk ends at a blank line once it is two thirds full, so that the next paragraph is not split.
            if held and (full or (not part.strip() and size > CHUNK_CHARACTERS * 2 // 3)):
                close()
                held, size, first = [], 0, number
            if not held:
                if not part.strip():
                    continue
                first = number
            held.append(part.rstrip())
            size += len(part) + 1
            last = number
    close()
    return pieces
