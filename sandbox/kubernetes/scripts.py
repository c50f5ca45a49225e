"""The shell scripts that run in the pod, and how their arguments and input are encoded.

They need `/bin/sh` with the usual programs of a Linux distribution or of BusyBox: env, find, du, head, readlink, tar.
"""

import functools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

_INSIDE = Path(__file__).parent / "inside"
_NOT_CODE = re.compile(r"^\s*(#.*)?$")
_INNER_COMMENT = re.compile(r"\s# [^'\"]*$")


def _code(name: str) -> str:
    """A script without its comments and indentation, since it travels in an address."""
    lines = (_INSIDE / f"{name}.sh").read_text().splitlines()
    return "\n".join(_INNER_COMMENT.sub("", line).strip() for line in lines if not _NOT_CODE.match(line)) + "\n"


MAIN = _code("main")


@functools.cache
def command(name: str) -> tuple[str, ...]:
    """The command that runs the script `name` of the folder `inside`."""
    return "/bin/sh", "-c", _code("arguments") + _code(name)


def encoded_arguments(arguments: Sequence[str]) -> bytes:
    """The arguments of a script, to be sent as the first bytes of its standard input."""
    text = f"set -- {shlex.join(arguments)}" if arguments else "set --"
    encoded = text.encode("utf-8", "surrogateescape")
    return b"%d\n%s\n" % (encoded.count(b"\n") + 1, encoded)


def encoded_line(line: bytes) -> bytes:
    """A line of standard input, for the mode `lines` of run.sh."""
    return b"L" + line.replace(b"\\", b"\\0134").replace(b"\0", b"\\0000") + b"\n"


END_OF_LINES = b"E\n"
