"""The encoding of Python sources, as Python itself determines it (PEP 263): a byte order mark, a comment, else UTF-8.

A diff is text here. What is applied to a file must be in that file's encoding, so `encode_diff` encodes each file's
part of a diff by itself.
"""

import codecs
import re
from collections.abc import Callable

_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK = re.compile(rb"[ \t\f]*(?:#[^\r\n]*)?\r?\n?")
_ASCII = bytes(range(128)) + rb"\n\x41\u0041+AEE-"
_START = re.compile(r"^(?=diff --git )", re.MULTILINE)
_HEADER = re.compile(r'^(?:---|\+\+\+) (?:"?[ab]/([^\n\t"]+)"?|/dev/null)', re.MULTILINE)


def encoding_of(path: str, content: bytes) -> str:
    """The name of a file's encoding: `utf-8` for everything but Python sources that declare another.

    Raises `LookupError` for a declared encoding that Python does not know, or in which ASCII is not ASCII.
    """
    if not path.endswith((".py", ".pyi", ".pyw")) or content.startswith(codecs.BOM_UTF8):
        return "utf-8"
    for line in content[:4000].split(b"\n", 2)[:2]:
        if found := _COOKIE.match(line):
            name = found[1].decode("ascii", "replace")
            if name.lower().replace("_", "-") in ("utf-8", "utf8", "ascii", "us-ascii", "utf-8-sig"):
                return "utf-8"
            try:
                known = codecs.lookup(name).name
                plain = _ASCII.decode(known) == _ASCII.decode("ascii")
            except (LookupError, UnicodeError, ValueError) as error:
                raise LookupError(f"the encoding {name} is unknown") from error
            if not plain:
                raise LookupError(f"in the encoding {name}, ASCII is not ASCII")
            return known
        if not _BLANK.fullmatch(line):
            break
    return "utf-8"


def encode(path: str, text: str) -> bytes:
    """A file's content, in the encoding that the text itself declares. Raises `UnicodeEncodeError` for characters that
    it cannot express, and `LookupError` as `encoding_of` does."""
    return text.encode(encoding_of(path, text[:4000].encode("utf-8", "surrogatepass")))


def encode_diff(diff: str, content: Callable[[str], bytes | None]) -> bytes:
    """A unified diff for `git apply`: each file's part in the encoding of its old content, which `content` returns by
    path (None for a new file). Parts that this encoding cannot express stay UTF-8."""
    if diff.isascii():
        return diff.encode()
    return b"".join(_encoded_part(part, content) for part in _START.split(diff))


def _encoded_part(part: str, content: Callable[[str], bytes | None]) -> bytes:
    paths = [path for path in _HEADER.findall(part) if path]
    if not part.isascii() and paths:
        old = content(paths[0])
        try:
            if old is not None and (name := encoding_of(paths[0], old)) != "utf-8":
                head, at, body = part.partition("\n@@ ")
                return head.encode("utf-8", "surrogateescape") + (at + body).encode(name)
        except (LookupError, UnicodeEncodeError):
            pass  # git refuses what does not match
    return part.encode("utf-8", "surrogateescape")
