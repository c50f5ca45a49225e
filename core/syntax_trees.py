"""Parses with tree-sitter within bounds of size, steps and time.

The bounds do not stop every hostile file: a few kilobytes of nested ambiguities can take gigabytes between two
checks. Therefore its callers run it in a process with limited memory.
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
"""A step is a progress callback, once in some hundred operations. Ordinary files need 0.01 to 0.025 per byte."""

MOST_SECONDS = 1.0
"""Of this thread's processor time, so that the load of the machine does not change how a file is cut.
Ordinary files need 0.15 s per megabyte."""

_EVERY = 8
"""Progress callbacks per reading of the clock, which takes as long as some steps."""


def parse(load: Callable[[], object], data: bytes) -> "Tree | None":
    """The syntax tree of UTF-8 text, with error nodes where the syntax is broken. None if a bound is exceeded.

    `load` returns the grammar's language pointer, as the `language` functions of the grammars' packages do.
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
    except ValueError:  # raised when the callback stops the parser
        return None


@lru_cache(maxsize=32)
def _language(load: Callable[[], object]) -> "Language":
    from tree_sitter import Language

    return Language(load())
