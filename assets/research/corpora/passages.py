"""Cuts documents into passages: whole blocks under one heading, of some 120 words, never across headings. Code is
apart from prose."""

from collections.abc import Iterable, Iterator

from assets.research.records import Block, Document, Passage, text_hash

LARGEST = 900
"""Characters of a passage, unless a single block is longer."""
LARGEST_BLOCK = 4_000
MOST_BLOCKS = 20_000


def passages_of(document: Document, corpus: str) -> list[Passage]:
    """The passages of a document, in their order. A document without text has none."""
    found = []
    for blocks in _grouped(document.blocks[:MOST_BLOCKS]):
        text = "\n\n".join(block.text for block in blocks)
        if not any(char.isalnum() for char in text):
            continue
        line = blocks[0].line
        found.append(
            Passage(
                hash=text_hash(text),
                text=text,
                heading=blocks[0].heading[:300],
                code=blocks[0].code,
                address=document.address[:2000],
                place=f"line {line}" if line else "",
                title=document.title[:300],
                date=document.date,
                licence=document.licence[:200],
                trust=document.trust,
                corpus=corpus,
            )
        )
    return found


def _grouped(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    group: list[Block] = []
    size = 0
    for block in _cut(blocks):
        apart = group and (block.heading != group[0].heading or block.code != group[0].code)
        new = apart or (group and size + len(block.text) > LARGEST)
        if new:
            yield group
            group, size = [], 0
        group.append(block)
        size += len(block.text)
    if group:
        yield group


def _cut(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        text = block.text
        while len(text) > LARGEST_BLOCK:
            at = max(text.rfind(end, LARGEST_BLOCK // 4, LARGEST_BLOCK) for end in (". ", "\n", " "))
            at = at + 1 if at > 0 else LARGEST_BLOCK
            yield Block(text[:at].strip(), block.heading, block.line, block.code)
            text = text[at:]
        if text.strip():
            yield Block(text.strip(), block.heading, block.line, block.code)
