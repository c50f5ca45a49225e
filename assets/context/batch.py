"""Contents on their way into the store, column by column, so that thousands of chunks are a few arrays.

A batch crosses from a cutting process to the writing one as plain lists and bytes.
"""

from collections.abc import Iterable
from typing import Any

from assets.context.content import Content, embedded_text
from assets.context.postings import PostingsBuilder

Key = tuple[str, str]
"""Blob id (hexadecimal) and chunker."""

COLUMNS = ("kind", "symbol", "signature", "docstring", "start_line", "end_line", "text")


class ContentBatch:
    """Contents in the order in which they were added; their chunks have the slots of `postings` in that order.

    `lengths` holds the terms of each chunk by content, `columns` the fields of all chunks one after
    another, `texts` what models embed of them. `skipped` are keys that became nothing, with the reason.
    """

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.lengths: list[list[int]] = []
        self.columns: list[list[Any]] = [[] for _ in COLUMNS]
        self.texts: list[str] = []
        self.postings = PostingsBuilder()
        self.skipped: list[tuple[Key, str]] = []

    @classmethod
    def of(cls, contents: Iterable[tuple[Key, Content]]) -> "ContentBatch":
        made = cls()
        for key, content in contents:
            made.add(key, content)
        return made

    @property
    def chunks(self) -> int:
        return len(self.texts)

    def add(self, key: Key, content: Content) -> None:
        self.keys.append(key)
        self.lengths.append(list(content.lengths))
        for column, field in zip(self.columns, COLUMNS, strict=True):
            column.extend([getattr(chunk, field) for chunk in content.chunks])
        self.texts.extend([embedded_text(chunk) for chunk in content.chunks])
        self.postings.add(content.counts)

    def skip(self, key: Key, reason: str) -> None:
        self.skipped.append((key, reason))

    def merge(self, other: "ContentBatch") -> None:
        self.keys += other.keys
        self.lengths += other.lengths
        for column, more in zip(self.columns, other.columns, strict=True):
            column.extend(more)
        self.texts += other.texts
        self.postings.merge(other.postings)
        self.skipped += other.skipped

    def to_plain(self) -> tuple[Any, ...]:
        return self.keys, self.lengths, self.columns, self.texts, self.postings.to_plain(), self.skipped

    @classmethod
    def from_plain(cls, plain: tuple[Any, ...]) -> "ContentBatch":
        made = cls()
        made.keys, made.lengths, made.columns, made.texts, postings, made.skipped = plain
        made.postings = PostingsBuilder.from_plain(postings)
        return made
