"""The elements of a `text[]` as Postgres takes them: in a module of its own, since the processes that cut files make
them and need nothing else of a database."""

import struct
from collections.abc import Sequence

_SIZE = struct.Struct(">i")


def sized(values: Sequence[str]) -> bytes:
    """Each value after its size; those of several lists may be appended to each other."""
    encoded = [value.encode() for value in values]
    parts = [b""] * (2 * len(encoded))
    parts[::2] = map(_SIZE.pack, map(len, encoded))
    parts[1::2] = encoded
    return b"".join(parts)
