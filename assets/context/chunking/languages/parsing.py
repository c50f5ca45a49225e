"""Parses with tree-sitter within bounds of size, steps and time.

They stop most of what a hostile file can do, not all: a few kilobytes of nested ambiguities can take
gigabytes between two looks at the bounds. `isolated` runs this in a process of limited memory.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Tree

MOST_BYTES = 1 << 20
"""A larger file is not parsed."""

MOST_STEPS = 1000
STEPS_PER_BYTE = 0.1
"""The parser reports once in some hundred operations; ordinary files need 0.01 to 0.025 reports a byte."""

MOST_SECONDS = 1.0
"""Of this thread's processor time, so that a busy machine does not change what a file is cut into.
Ordinary files need 0.15 s a megabyte."""

_EVERY = 8
"""Reports from one look at the clock to the next, since the clock costs as much as some steps."""


def parse(load: Callable[[], object], data: bytes) -> "Tree | None":
    """The syntax tree of UTF-8 text, with error nodes where it is broken, or None beyond the bounds.

    `load` gives the grammar's language pointer, as the one-language wheels do.
    """
    from tree_sitter import Parser

    if len(data) > MOST_BYTES:
        return None
    left = int(MOST_STEPS + STEPS_PER_BYTE * len(data))
    deadline = time.thread_time() + MOST_SECONDS

    def read(offset: int, point: object) -> bytes:
        return data[offset : offset + 65536]

    def stop(offset: int, error: bool) -> bool:
        nonlocal left
        left -= 1
        return left < 0 or (left % _EVERY == 0 and time.thread_time() > deadline)

    try:
        return Parser(_language(load)).parse(read, progress_callback=stop)
    except ValueError:  # how a stopped parse ends
        return None


@lru_cache(maxsize=32)
def _language(load: Callable[[], object]) -> "Language":
    from tree_sitter import Language

    return Language(load())
