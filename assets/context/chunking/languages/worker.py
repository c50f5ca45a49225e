"""The process that parses for another: limited in memory, without its secrets, gone when it is.

Reads requests from standard input (a line with the language and the number of bytes, then the text) and
answers each on standard output (a line with the number of bytes, then JSON: a list of segments or null).
"""

import json
import resource
import sys
from typing import BinaryIO

from assets.context.chunking.languages.grammars import GRAMMARS

MEMORY = 512 << 20
"""Bytes of address space. A parser that needs more ends this process, and the file is not parsed.
Ordinary files of a megabyte need 60 MiB."""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers until the input ends."""
    answers.write(b"ready\n")
    answers.flush()
    while header := requests.readline(200):
        name, size = header.decode().split()
        text = requests.read(int(size)).decode("utf-8", "replace")
        segments = GRAMMARS[name](text.split("\n"))
        rows = (
            None
            if segments is None
            else [(s.kind, s.first, s.last, s.symbol, s.signature, s.docstring) for s in segments]
        )
        answer = json.dumps(rows).encode()
        answers.write(b"%d\n%b" % (len(answer), answer))
        answers.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import tree_sitter  # noqa: F401 - a missing wheel is told at the start, not taken for a file too hard to parse

    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
