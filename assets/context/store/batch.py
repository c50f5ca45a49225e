"""Contents to be stored, column by column, so that thousands of chunks are a few arrays.

A batch passes from a cutting process to the writing process as plain lists and bytes, in Postgres's binary form.
"""

import itertools
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from assets.context.chunking.chunks import Chunk
from assets.context.chunking.content import Content, embedded_text
from assets.context.chunking.vocabulary import Vocabulary
from assets.context.store.elements import sized
from assets.context.store.postings import PostingsBuilder

Key = tuple[str, str]
"""Blob id (hexadecimal) and chunker."""

TEXTS = ("kind", "symbol", "signature", "docstring", "text")
NUMBERS = ("start_line", "end_line")


class ContentBatch:
    """Contents in the order in which they were added; their chunks have the slots of `postings` in that order.

    `lengths` holds, for each content, the number of terms of each of its chunks. The other fields run over all chunks:
    `columns` holds the fields `TEXTS`, each packed by `sized`; `lines` holds the fields `NUMBERS`; `texts` holds the
    texts to embed. `skipped` lists the keys that were not indexed, with the reason.
    """

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.lengths: list[list[int]] = []
        self.columns = [bytearray() for _ in TEXTS]
        self.lines = [array("i") for _ in NUMBERS]
        self.texts: list[str] = []
        self.postings = PostingsBuilder()
        self.skipped: list[tuple[Key, str]] = []

    @classmethod
    def of(cls, contents: Iterable[tuple[Key, Content]]) -> "ContentBatch":
        made = cls()
        for key, content in contents:
            made.keys.append(key)
            made.lengths.append(list(content.lengths))
            made._add_chunks(content.chunks)
            made.texts.extend([embedded_text(chunk) for chunk in content.chunks])
            made.postings.add(content.counts)
        return made

    @classmethod
    def counted(cls, contents: Sequence[tuple[Key, Sequence[Chunk]]], vocabulary: Vocabulary) -> "ContentBatch":
        """The same from chunks whose terms are not counted yet; faster for many chunks."""
        made = cls()
        chunks = [chunk for _, own in contents for chunk in own]
        counted = vocabulary.count(chunks)
        lengths = iter(counted.lengths)
        made.keys = [key for key, _ in contents]
        made.lengths = [list(itertools.islice(lengths, len(own))) for _, own in contents]
        made._add_chunks(chunks)
        made.texts = counted.texts
        made.postings.add_numbered(vocabulary.terms, counted.sizes, counted.numbers, counted.counts)
        return made

    @property
    def chunks(self) -> int:
        return len(self.texts)

    def _add_chunks(self, chunks: Sequence[Chunk]) -> None:
        for column, field in zip(self.columns, TEXTS, strict=True):
            column.extend(sized([getattr(chunk, field) for chunk in chunks]))
        for numbers, field in zip(self.lines, NUMBERS, strict=True):
            numbers.extend([getattr(chunk, field) for chunk in chunks])

    def skip(self, key: Key, reason: str) -> None:
        self.skipped.append((key, reason))

    def merge(self, other: "ContentBatch") -> None:
        self.keys += other.keys
        self.lengths += other.lengths
        for column, more in zip(self.columns, other.columns, strict=True):
            column.extend(more)
        for numbers, added in zip(self.lines, other.lines, strict=True):
            numbers.extend(added)
        self.texts += other.texts
        self.postings.merge(other.postings)
        self.skipped += other.skipped

    def to_plain(self) -> tuple[Any, ...]:
        """The batch as plain values that `marshal` can write, for another process."""
        columns, lines = map(bytes, self.columns), (numbers.tobytes() for numbers in self.lines)
        return self.keys, self.lengths, *columns, *lines, self.texts, self.postings.to_plain(), self.skipped

    @classmethod
    def from_plain(cls, plain: tuple[Any, ...]) -> "ContentBatch":
        made = cls()
        made.keys, made.lengths, *fields, made.texts, postings, made.skipped = plain
        made.columns = [bytearray(column) for column in fields[: len(TEXTS)]]
        for numbers, raw in zip(made.lines, fields[len(TEXTS) :], strict=True):
            numbers.frombytes(raw)
        made.postings = PostingsBuilder.from_plain(postings)
        return made
