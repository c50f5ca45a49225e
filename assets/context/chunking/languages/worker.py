"""The process in which `isolated` parses: a request is a language and a text, the answer segments or null."""

from typing import Any

from assets.context.chunking.languages.grammars import GRAMMARS
from core.worker import serve

MEMORY = 512 << 20
"""Bytes of address space. A parser that needs more ends this process, and the file is not parsed.
An ordinary file of 1 MB needs 60 MiB."""


def _segments(request: tuple[str, str]) -> list[Any] | None:
    language, text = request
    segments = GRAMMARS[language](text.split("\n"))
    return segments and [(s.kind, s.first, s.last, s.symbol, s.signature, s.docstring) for s in segments]


def _prepare() -> None:
    import tree_sitter  # noqa: F401 - a missing wheel must fail the start, not look like a file that cannot be parsed


if __name__ == "__main__":
    serve(_segments, memory=MEMORY, prepare=_prepare)
