"""The process in which `isolated` parses: limited in memory, without its parent's secrets; ends with its parent.

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
An ordinary file of 1 MB needs 60 MiB."""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until the input ends."""
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
    import tree_sitter  # noqa: F401 - a missing wheel must fail the start, not look like a file that cannot be parsed

    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
